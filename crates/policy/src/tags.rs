//! The names of the tag columns that every table has in addition to the policy's columns.
//!
//! Invariant: no column of a product has one of these names; `policy check` refuses it.

use std::fmt::Display;

/// The tag columns of every table, except the `expires_<category>` columns.
pub const TAGS: [&str; 9] = [
    "jurisdiction",
    "policy_version",
    "ingested_at",
    "records",
    "source_topic",
    "source_partition",
    "source_offset",
    "bucket",
    "profile",
];

/// The prefix of the name of a category's deadline column.
const EXPIRES: &str = "expires_";

/// Returns the name of the column with a category's deadlines.
#[must_use]
pub fn expires_column(category: impl Display) -> String {
    format!("{EXPIRES}{category}")
}

/// Returns the category in the name of a deadline column; `None` for any other column.
#[must_use]
pub fn expires_category(column: &str) -> Option<&str> {
    column.strip_prefix(EXPIRES)
}

/// Returns true if a column of that name has deadlines.
#[must_use]
pub fn is_expires_column(column: &str) -> bool {
    expires_category(column).is_some()
}

/// Returns true if a column of that name would be taken for a tag column. Ignores case, because
/// engines do.
#[must_use]
pub fn is_tag(column: &str) -> bool {
    let column = column.to_ascii_lowercase();
    is_expires_column(&column) || TAGS.contains(&column.as_str())
}
