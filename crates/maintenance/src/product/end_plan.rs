//! The way in which the records of a product end.

use ebbtide_policy::anonymize::CellPlan;

/// The way in which the records of a product end.
#[derive(Debug, Clone, PartialEq)]
pub enum EndPlan {
    /// They are removed.
    Remove,
    /// They are aggregated into cells.
    Anonymize(CellPlan),
}
