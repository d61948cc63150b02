//! Compaction: the many small segments of a closed bucket are merged into few large ones, sorted by
//! subject, with the same rows and tags.
//!
//! Compaction never delays a sweep: it only merges segments whose bucket has been closed for a
//! while and that are not due within [`SOON`], works between rounds that had nothing to do, and
//! gives up a merge that lost a race. The choice of segments ([`choose()`]) and of their sort order
//! (`order`) needs no I/O.

pub mod choose;
mod order;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::commit::{CommitContext, PlannedCommit};
use super::error::SweepError;
use super::product::SweptProduct;
use super::product::holds::SweepHolds;
use super::product::view::SweepView;
use choose::{CompactionRule, MergePlan, SegmentMerge, choose};
use ebbtide_base::ids::{Bucket, ProductKey, ProfileId};
use ebbtide_config::CompactConfig;
use ebbtide_policy::ColumnClass;
use ebbtide_table::{COMPACT, MergeSettings, RewriteEvidence, StoredSegment};

/// The time before a deadline in which a segment is left to the sweep, which will rewrite it
/// anyway. It is longer than any merge takes, so that a merge and a sweep never need one segment at
/// the same time.
pub const SOON: TimeDelta = TimeDelta::hours(1);

/// The maximum number of segments of one merge: each is named in its commit.
const MOST_SEGMENTS: usize = 1000;

/// The settings of compaction.
#[derive(Debug, Clone)]
pub struct CompactionSettings {
    /// The limits for the choice of segments.
    pub rule: CompactionRule,
    /// The bytes of memory that one merge may use.
    pub memory: usize,
    /// The time after its end in which a bucket is not compacted, for records that arrive late.
    pub late: TimeDelta,
    /// The time between searches for segments to merge.
    pub every: Duration,
}

impl CompactionSettings {
    /// Returns the settings of the configuration.
    #[must_use]
    pub fn of(compact: &CompactConfig) -> CompactionSettings {
        CompactionSettings {
            rule: CompactionRule {
                target: compact.target,
                segments: MOST_SEGMENTS,
                works: 64,
            },
            memory: usize::try_from(compact.memory).unwrap_or(usize::MAX),
            late: TimeDelta::from_std(compact.late).unwrap_or(TimeDelta::MAX),
            every: compact.every,
        }
    }
}

/// Compaction and its state between searches.
pub struct Compaction {
    pub(super) settings: CompactionSettings,
    /// The time of the next search, in the time that the process has run.
    next: Duration,
}

impl Compaction {
    /// Creates a compaction that first searches at `first`, in the time that the process has run.
    #[must_use]
    pub fn new(settings: CompactionSettings, first: Duration) -> Compaction {
        Compaction {
            settings,
            next: first,
        }
    }

    /// Returns the time between searches.
    pub(super) fn every(&self) -> Duration {
        self.settings.every
    }

    /// Returns true if a search is due at `now`, in the time that the process has run.
    pub(super) fn is_time(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// Sets the next search to one interval after `now`.
    pub(super) fn rest(&mut self, now: Duration) {
        self.next = now + self.settings.every;
    }
}

/// The result of one round of compaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CompactionReport {
    /// Merges that were committed.
    pub merges: u64,
    /// Segments that they removed.
    pub segments_in: u64,
    /// Segments that they added.
    pub segments_out: u64,
    /// Records of the merged segments.
    pub records: u64,
    /// Bytes of the removed segments.
    pub bytes_in: u64,
    /// Bytes of the added segments.
    pub bytes_out: u64,
    /// Merges that failed.
    pub failed: u64,
    /// Merges that lost a race: another instance took a segment first, or the controls moved.
    pub lost: u64,
    /// True if more is left.
    pub more: bool,
    /// The reason why nothing was done, if the clock is not trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<&'static str>,
}

impl CompactionReport {
    /// Adds the counts of `later`. It ran after this one, so it decides what is left.
    pub fn add(&mut self, later: &CompactionReport) {
        self.merges += later.merges;
        self.segments_in += later.segments_in;
        self.segments_out += later.segments_out;
        self.records += later.records;
        self.bytes_in += later.bytes_in;
        self.bytes_out += later.bytes_out;
        self.failed += later.failed;
        self.lost += later.lost;
        self.more = later.more;
        self.clock = later.clock;
    }
}

/// A merge as reported by a dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMerge {
    /// The product.
    pub product: ProductKey,
    /// The planned merge.
    pub merge: SegmentMerge,
}

impl SweepView<'_> {
    /// Returns the merges at `now`, without the segments for which `wait` returns true.
    #[must_use]
    pub fn merges(
        &self,
        now: DateTime<Utc>,
        how: &CompactionSettings,
        held: &SweepHolds,
        wait: impl Fn(&StoredSegment) -> bool,
    ) -> MergePlan {
        let ready = |segment: &StoredSegment| {
            self.is_closed(segment, now, how.late)
                && segment
                    .deadlines
                    .values()
                    .all(|deadline| deadline.0 > now + SOON)
                && !self.is_held(segment, held)
                && !wait(segment)
        };
        choose(self.segments().iter(), &how.rule, ready)
    }

    /// Returns true if a segment's bucket has ended and the time for late records is over.
    fn is_closed(&self, segment: &StoredSegment, now: DateTime<Utc>, late: TimeDelta) -> bool {
        let end = self.state.rules.calendar.end(segment.bucket);
        end.checked_add_signed(late)
            .is_some_and(|closed| closed <= now)
    }

    /// Returns the columns by which the rows of merged segments are sorted; `first` is one of them.
    fn sort_order(&self, first: &StoredSegment) -> Vec<String> {
        let records = &self.state.rules.records;
        let subjects = records.subjects.iter().map(|subject| {
            let column = subject.column.as_str();
            let category = records.fields.get(column).and_then(ColumnClass::category);
            (column, category)
        });
        order::order(subjects, &first.deadlines, self.is_open(&first.profile))
    }

    /// Returns the largest number of segments in one closed bucket and profile.
    #[must_use]
    pub fn most_segments(&self, now: DateTime<Utc>, late: TimeDelta) -> usize {
        let mut counts: BTreeMap<(Bucket, &ProfileId), usize> = BTreeMap::new();
        for segment in self
            .segments()
            .iter()
            .filter(|segment| self.is_closed(segment, now, late))
        {
            *counts
                .entry((segment.bucket, &segment.profile))
                .or_default() += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }
}

impl SweptProduct {
    /// Returns the merges at `now`, without the segments for which `wait` returns true. `wait` must
    /// not use the product.
    pub fn merges(
        &self,
        now: DateTime<Utc>,
        how: &CompactionSettings,
        held: &SweepHolds,
        wait: impl Fn(&StoredSegment) -> bool,
    ) -> MergePlan {
        self.view().merges(now, how, held, wait)
    }

    /// Merges segments into one, sorted by the columns that `order` allows. Returns the bytes of
    /// the new segment.
    pub async fn merge(
        &mut self,
        merge: &SegmentMerge,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<u64, SweepError> {
        let first = merge.segments.first();
        let settings = MergeSettings {
            sort_by: first.map_or_else(Vec::new, |first| self.view().sort_order(first)),
            memory: by.memory,
        };
        let made = self.table.merge(&merge.segments, &settings).await?;
        let (bytes, removes, adds) = (made.size(), merge.segments.clone(), vec![made]);
        let step = PlannedCommit {
            operation: COMPACT,
            removes,
            adds,
            did: RewriteEvidence::default(),
            renewed: false,
        };
        self.commit(step, held, by).await?;
        Ok(bytes)
    }
}
