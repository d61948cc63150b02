//! The rows that a commit changes: the actions that add them, the properties that explain them, and
//! the check of their categories.

use deltalake_core::kernel::{Action, Metadata, MetadataExt, StructType};

use super::actions::add;
use super::categories::{
    AddedTags, CategoryColumns, ClearedDeadline, RemovedTags, cleared_deadline, with_columns,
};
use crate::error::{CommitError, StoreError};
use crate::evidence::Evidence;
use crate::index::{StoredSegment, deadlines_in_stats, policy_in_stats};
use crate::log::LogState;
use crate::segment::Segment;
use crate::spec::TableSpec;
use ebbtide_base::ids::{PolicyVersion, ProfileId};

/// The rows that a commit changes.
pub struct RowChange<'a> {
    /// The table's columns under the policy of this process.
    pub spec: &'a TableSpec,
    /// The same columns in Delta's types.
    pub schema: &'a StructType,
    /// The files that it adds.
    pub segments: &'a [Segment],
    /// The segments that it removes.
    pub removes: &'a [StoredSegment],
}

impl RowChange<'_> {
    /// Returns the actions that add the files.
    pub fn adds(&self, evidence: &Evidence) -> impl Iterator<Item = Action> {
        let (at, changes) = (evidence.at.timestamp_millis(), evidence.changes_data());
        self.segments
            .iter()
            .map(move |segment| Action::Add(add(segment, at, changes)))
    }

    /// Returns the table's metadata with the missing texts of profiles, and with the columns of the
    /// policy under which the change is made; `None` if it has them all.
    pub fn new_properties(
        &self,
        state: &LogState,
        policy: &PolicyVersion,
    ) -> Result<Option<Metadata>, StoreError> {
        let mut changed = match self.segments {
            [] => None,
            _ => with_columns(&state.metadata, self.spec, policy)?,
        };
        for home in self.segments.iter().map(|segment| &segment.home) {
            let Some(text) = &home.profile_text else {
                continue;
            };
            let key = profile_key(&home.profile);
            let now = changed.as_ref().unwrap_or(&state.metadata);
            if !now.configuration().contains_key(&key) {
                let with = now.clone().add_config_key(key, text.clone());
                changed = Some(with.map_err(|error| StoreError::Delta(Box::new(error.into())))?);
            }
        }
        Ok(changed)
    }

    /// Refuses a commit under another text of a policy than the table records, and one that clears
    /// a deadline although a column of its category stays.
    pub(super) fn check_categories(
        &self,
        state: &LogState,
        version: &PolicyVersion,
    ) -> Result<(), CommitError> {
        let recorded =
            |version: &PolicyVersion| CategoryColumns::recorded(&state.metadata, version);
        let own = CategoryColumns::of_spec(self.spec);
        if !self.segments.is_empty() && recorded(version).is_some_and(|recorded| recorded != own) {
            return Err(CommitError::OtherColumns {
                version: version.clone(),
            });
        }
        if self
            .removes
            .iter()
            .all(|segment| segment.deadlines.is_empty())
        {
            return Ok(());
        }
        // Columns that are not recorded yet are recorded by this commit, if they belong to the
        // policy of this process.
        let columns = |of: Option<&PolicyVersion>| {
            let of = of?;
            recorded(of).or_else(|| (of == version).then(|| own.clone()))
        };
        let removed: Vec<RemovedTags<'_>> = self
            .removes
            .iter()
            .map(|old| RemovedTags {
                deadlines: &old.deadlines,
                columns: columns(old.policy_version.as_ref()),
            })
            .collect();
        let added: Vec<AddedTags<'_>> = self
            .segments
            .iter()
            .map(|new| AddedTags {
                deadlines: deadlines_in_stats(&new.contents.stats),
                file: &new.contents.columns,
                columns: columns(policy_in_stats(&new.contents.stats).as_ref()),
                profile: new
                    .home
                    .profile_text
                    .as_deref()
                    .or_else(|| state.profile_text(&new.home.profile)),
            })
            .collect();
        match cleared_deadline(&removed, &added) {
            None => Ok(()),
            Some(ClearedDeadline { category, column }) => {
                Err(CommitError::DeadlineCleared { category, column })
            }
        }
    }
}

/// Returns the property that explains a profile.
pub fn profile_key(profile: &ProfileId) -> String {
    format!("ebbtide.profile.{profile}")
}
