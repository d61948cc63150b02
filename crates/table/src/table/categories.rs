//! The columns of each category as a table records them, by the version of the policy under which
//! segments are tagged. A commit that clears the deadline of a category is checked against them,
//! whatever policy the process was started with.
//!
//! Invariant: no commit clears a deadline while a column of its category stays in the new segments.

use std::collections::{BTreeMap, BTreeSet};

use deltalake_core::kernel::{Metadata, MetadataExt};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::spec::{ColumnRole, TableSpec};
use ebbtide_base::ids::{Category, Deadline, PolicyVersion};
use ebbtide_policy::{Profile, Trigger};

/// The prefix of the names of properties that record the columns of a policy; the policy's version
/// follows.
const COLUMNS: &str = "ebbtide.columns.";

/// The columns of each category of a table under one version of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CategoryColumns(BTreeMap<Category, BTreeSet<String>>);

impl CategoryColumns {
    /// Returns the columns of each category of `spec`.
    pub fn of_spec(spec: &TableSpec) -> CategoryColumns {
        let mut columns: BTreeMap<Category, BTreeSet<String>> = BTreeMap::new();
        for column in &spec.columns {
            if let ColumnRole::Personal(category) = &column.role {
                columns
                    .entry(category.clone())
                    .or_default()
                    .insert(column.name.clone());
            }
        }
        CategoryColumns(columns)
    }

    /// Returns the columns that the table records for a version of a policy; `None` if it records
    /// none.
    pub fn recorded(metadata: &Metadata, version: &PolicyVersion) -> Option<CategoryColumns> {
        serde_json::from_str(metadata.configuration().get(&key(version))?).ok()
    }

    /// Returns the metadata with these columns recorded for a version of a policy.
    pub fn record(
        &self,
        metadata: Metadata,
        version: &PolicyVersion,
    ) -> Result<Metadata, StoreError> {
        let text =
            serde_json::to_string(self).map_err(|error| StoreError::Refused(error.to_string()))?;
        let recorded = metadata.add_config_key(key(version), text);
        recorded.map_err(|error| StoreError::Delta(Box::new(error.into())))
    }

    /// Returns the category of a column.
    fn category(&self, column: &str) -> Option<&Category> {
        self.0
            .iter()
            .find(|(_, columns)| columns.contains(column))
            .map(|(category, _)| category)
    }
}

fn key(version: &PolicyVersion) -> String {
    format!("{COLUMNS}{version}")
}

/// A segment that a commit removes.
#[derive(Debug, Clone)]
pub struct RemovedTags<'a> {
    /// The deadlines of the segment in the log.
    pub deadlines: &'a BTreeMap<Category, Deadline>,
    /// The columns of its policy, as the table records them; `None` if it records none.
    pub columns: Option<CategoryColumns>,
}

/// A segment that a commit adds.
#[derive(Debug, Clone)]
pub struct AddedTags<'a> {
    /// The deadlines of the segment that the log will have.
    pub deadlines: BTreeMap<Category, Deadline>,
    /// The columns of its file.
    pub file: &'a BTreeSet<String>,
    /// The columns of its policy, as the table records them; `None` if it records none.
    pub columns: Option<CategoryColumns>,
    /// The text of its profile, if the table explains it.
    pub profile: Option<&'a str>,
}

/// A deadline that a commit would clear although a column of its category stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearedDeadline {
    /// The category.
    pub category: Category,
    /// The column that stays.
    pub column: String,
}

/// Finds a deadline that a commit clears although a column of its category stays in the added
/// segments.
///
/// A column that the new segment's policy has in another category must have the deadline of that
/// category, or one that is open. A segment of which some rows lost the category before may be
/// split so that one part has no deadline: another part has it.
pub fn cleared_deadline(
    removed: &[RemovedTags<'_>],
    added: &[AddedTags<'_>],
) -> Option<ClearedDeadline> {
    for old in removed {
        for category in old.deadlines.keys() {
            for new in added {
                if let Some(column) = kept_without_deadline(category, old, new, added) {
                    return Some(ClearedDeadline {
                        category: category.clone(),
                        column: column.clone(),
                    });
                }
            }
        }
    }
    None
}

/// Returns the column of a category of `old` that `new` keeps without a deadline to delete it by.
fn kept_without_deadline<'n>(
    category: &Category,
    old: &RemovedTags<'_>,
    new: &'n AddedTags<'_>,
    added: &[AddedTags<'_>],
) -> Option<&'n String> {
    let of = |columns: &Option<CategoryColumns>, name: &String| {
        columns
            .as_ref()
            .and_then(|columns| columns.0.get(category))
            .is_some_and(|columns| columns.contains(name))
    };
    let kept = new
        .file
        .iter()
        .filter(|name| of(&old.columns, name) || of(&new.columns, name));
    let mut without = kept.filter(|name| {
        let now = new
            .columns
            .as_ref()
            .and_then(|columns| columns.category(name))
            .unwrap_or(category);
        let elsewhere = added.iter().any(|other| other.deadlines.contains_key(now));
        !elsewhere && !is_open(new.profile, now)
    });
    without.next()
}

/// Returns true if the deadline of a category is open by the text of a profile, or the text is not
/// understood.
fn is_open(profile: Option<&str>, category: &Category) -> bool {
    let Some(profile) = profile else { return false };
    let Some(profile) = Profile::parse(profile) else {
        return Profile::is_open_text(profile);
    };
    let mut terms = profile
        .terms
        .iter()
        .filter(|term| term.category == *category);
    terms.any(|term| term.trigger == Trigger::ContractEnd && term.known.is_none())
}

/// Returns the metadata with the columns of this process's policy recorded; `None` if they are
/// recorded already.
pub fn with_columns(
    metadata: &Metadata,
    spec: &TableSpec,
    of: &PolicyVersion,
) -> Result<Option<Metadata>, StoreError> {
    match CategoryColumns::recorded(metadata, of) {
        Some(_) => Ok(None),
        None => CategoryColumns::of_spec(spec)
            .record(metadata.clone(), of)
            .map(Some),
    }
}

#[cfg(test)]
mod tests;
