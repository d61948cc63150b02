//! Which rows of a segment are meant, by what their columns say.

use chrono::{DateTime, Utc};

/// Rows chosen by what their columns say. A null is no value: nothing of it is true.
#[derive(Clone, PartialEq, Eq)]
pub enum Predicate {
    /// The text column has that very value.
    Is {
        /// The column.
        column: String,
        /// The value.
        value: String,
    },
    /// The instant column lies in `from <= x < to`.
    Between {
        /// The column.
        column: String,
        /// The first instant; `None`: from the beginning.
        from: Option<DateTime<Utc>>,
        /// The first instant behind; `None`: without an end.
        to: Option<DateTime<Utc>>,
    },
    /// All of them; of none: every row.
    All(Vec<Predicate>),
    /// Any of them; of none: no row.
    Any(Vec<Predicate>),
}
