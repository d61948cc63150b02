//! The names of the tag columns that every table has in addition to the policy's columns.
//!
//! Invariant: no column of a product has one of these names; `policy check` refuses it.

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
pub const EXPIRES: &str = "expires_";

/// Returns true if a column of that name would be taken for a tag column. Ignores case, because
/// engines do.
#[must_use]
pub fn is_tag(column: &str) -> bool {
    let column = column.to_ascii_lowercase();
    column.starts_with(EXPIRES) || TAGS.contains(&column.as_str())
}
