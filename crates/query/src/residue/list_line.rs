//! The line of a value, which identifies the value in results without showing it.

use std::fmt;

use serde::Serialize;

/// The line of a value in the list, counted from 1. It identifies the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ListLine(pub u32);

impl fmt::Display for ListLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
