//! Segments that may have rows whose tags are no longer true, and such rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use ebbtide_base::ids::{Category, Deadline};
use ebbtide_policy::Profile;
use ebbtide_table::{Predicate, StoredSegment};

/// A segment with rows that may have tags that are no longer true.
#[derive(Debug, Clone)]
pub struct TriggerCandidate {
    /// The segment.
    pub segment: StoredSegment,
    /// The time of the earliest notice for which it was not checked.
    pub recorded_at: DateTime<Utc>,
    /// The deadlines that its rows may get, or the time of the notice if that is later: the
    /// earliest of each category.
    pub due: BTreeMap<Category, Deadline>,
    /// The earliest of the deadlines caused by notices since the activation of the active policy,
    /// if any. The effects of other notices were carried out under the earlier policy: a check for
    /// them is due, but rarely finds anything.
    pub urgent: Option<Deadline>,
    /// The profile of its rows.
    pub(super) profile: Arc<Profile>,
    /// The rows that may have stale tags.
    pub(super) rows: Predicate,
}

/// Rows of one segment that are to get the same tags.
#[derive(Debug, Clone)]
pub struct StaleRows {
    /// The number of records.
    pub records: u64,
    /// The deadlines that they get, or the time of the notice if that is later.
    pub due: BTreeMap<Category, Deadline>,
}

impl TriggerCandidate {
    /// Returns the number of notices for which it must be checked.
    #[must_use]
    pub fn notices(&self) -> usize {
        match &self.rows {
            Predicate::Any(rows) => rows.len(),
            _ => 1,
        }
    }

    /// Returns the earliest instant at which data may be due that the tags do not show; never
    /// before its notice.
    #[must_use]
    pub fn first_due(&self) -> Deadline {
        self.due
            .values()
            .min()
            .copied()
            .unwrap_or(Deadline(self.recorded_at))
    }
}
