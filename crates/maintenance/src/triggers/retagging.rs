//! The tags of rows whose trigger came: those that they would get on arrival.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::record_rules::RecordRules;
use ebbtide_base::ids::Bucket;
use ebbtide_policy::tag::Triggers;
use ebbtide_policy::{Profile, RecordTriggers};
use ebbtide_table::{NewTags, Predicate, Retagging, RewriteError, StoreError};

/// The retagging of rows of one bucket and profile with the tags that they would have on arrival.
pub(super) struct TriggerRetagging {
    pub(super) columns: Vec<String>,
    pub(super) rows: Predicate,
    /// The buckets of all triggers, sorted: targets are numbered by them.
    pub(super) buckets: Vec<Bucket>,
    pub(super) triggers: Arc<Triggers>,
    pub(super) rules: RecordRules,
    pub(super) profile: Arc<Profile>,
    pub(super) bucket: Bucket,
}

impl TriggerRetagging {
    fn number(&self, bucket: Option<Bucket>) -> u64 {
        let at = bucket.and_then(|bucket| self.buckets.binary_search(&bucket).ok());
        at.map_or(0, |at| at as u64 + 1)
    }

    fn bucket(&self, number: u64) -> Option<Bucket> {
        self.buckets
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
            .copied()
    }
}

impl Retagging for TriggerRetagging {
    fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    fn concerns(&self) -> Option<Predicate> {
        Some(self.rows.clone())
    }

    fn assign(&self, rows: &RecordBatch) -> Result<Vec<u64>, RewriteError> {
        let triggered = self
            .triggers
            .of_stored(&self.rules.records, rows, self.bucket);
        let triggered = triggered.map_err(|error| StoreError::Refused(error.to_string()))?;
        let number =
            |of: RecordTriggers| self.number(of.contract_end) << 32 | self.number(of.withdrawn);
        Ok(triggered.into_iter().map(number).collect())
    }

    fn target(&self, number: u64) -> Option<NewTags> {
        let (contract_end, withdrawn) = (
            self.bucket(number >> 32),
            self.bucket(number & u64::from(u32::MAX)),
        );
        let triggered = RecordTriggers {
            contract_end,
            withdrawn,
        };
        let (new, deadlines) = self
            .profile
            .moved_by(triggered, &self.rules.calendar, self.bucket);
        let (profile, profile_text) = (new.id, new.text);
        (profile != self.profile.id).then_some(NewTags {
            profile,
            profile_text,
            deadlines,
            policy_version: None,
            forms: None,
        })
    }
}
