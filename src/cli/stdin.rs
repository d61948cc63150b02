//! A value that is read from standard input, so that it is not in the history of the shell.

use std::io::Read;

use ebbtide_policy::value_list::{ListError, parse_one};

/// Standard input does not give one value.
#[derive(Debug, thiserror::Error)]
pub(super) enum StdinError {
    /// It cannot be read.
    #[error("standard input cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// It has no value, several values, or bytes that are not text.
    #[error("standard input: {0}")]
    NotOne(#[from] ListError),
}

/// Reads the only value of standard input, in any encoding that a list may have.
pub(super) fn value_of_stdin() -> Result<String, StdinError> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    Ok(parse_one(&bytes)?)
}
