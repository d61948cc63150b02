//! The names of the tag columns that every table has beside the policy's own.
//!
//! Promises that no column of a product takes one of them: `policy check` refuses it.

/// The tag columns of every table, but for the `expires_<category>` ones.
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

/// What the name of a category's deadline column begins with.
pub const EXPIRES: &str = "expires_";

/// Whether a column of that name would be taken for a tag; engines do not tell capitals apart.
#[must_use]
pub fn is_tag(column: &str) -> bool {
    let column = column.to_ascii_lowercase();
    column.starts_with(EXPIRES) || TAGS.contains(&column.as_str())
}
