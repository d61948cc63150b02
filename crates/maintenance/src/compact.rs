//! Compaction: the many small segments of a closed bucket are merged into few large ones, sorted by
//! subject, with the same rows and tags.
//!
//! Compaction never delays a sweep: it only merges segments whose bucket has been closed for a
//! while and that are not due within [`SOON`], works between rounds that had nothing to do, and
//! gives up a merge that lost a race. The choice of segments ([`choose()`]) and of their sort order
//! (`order`) needs no I/O.

mod choose;
mod order;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::carry_out::{CommitContext, PlannedCommit};
use super::error::SweepError;
use super::failures::FailedSegments;
use super::guard::ClockStatus;
use super::product::{SweepHolds, SweptProduct};
use super::share::RoundScope;
use super::sweeper::Sweeper;
pub use choose::{CompactionRule, MergePlan, SegmentMerge, choose};
use ebbtide_base::ids::ProductKey;
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
    settings: CompactionSettings,
    failures: FailedSegments,
    /// The time of the next search, in the time that the process has run.
    next: Duration,
}

impl Compaction {
    /// Creates a compaction that first searches at `first`, in the time that the process has run.
    #[must_use]
    pub fn new(settings: CompactionSettings, first: Duration) -> Compaction {
        Compaction {
            settings,
            failures: FailedSegments::default(),
            next: first,
        }
    }

    /// Returns the time between searches.
    pub(super) fn every(&self) -> Duration {
        self.settings.every
    }

    /// Returns true if a search is due at `now`, in the time that the process has run.
    fn is_time(&self, now: Duration) -> bool {
        now >= self.next
    }

    /// Sets the next search to one interval after `now`.
    fn rest(&mut self, now: Duration) {
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

impl SweptProduct {
    /// Returns the merges at `now`, without the segments for which `wait` returns true.
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
        choose(self.index.iter(), &how.rule, ready)
    }

    /// Returns true if a segment's bucket has ended and the time for late records is over.
    fn is_closed(&self, segment: &StoredSegment, now: DateTime<Utc>, late: TimeDelta) -> bool {
        self.calendar
            .end(segment.bucket)
            .checked_add_signed(late)
            .is_some_and(|closed| closed <= now)
    }

    /// Merges segments into one, sorted by the columns that `order` allows. Returns the bytes of
    /// the new segment.
    pub async fn merge(
        &mut self,
        merge: &SegmentMerge,
        held: &SweepHolds,
        by: &CommitContext,
    ) -> Result<u64, SweepError> {
        let sort_by = merge.segments.first().map_or_else(Vec::new, |segment| {
            let category = |column: &str| {
                self.records
                    .fields
                    .get(column)
                    .and_then(ColumnClass::category)
            };
            let subjects = self
                .records
                .subjects
                .iter()
                .map(|subject| subject.column.as_str());
            let subjects = subjects.map(|column| (column, category(column)));
            order::order(subjects, &segment.deadlines, self.is_open(&segment.profile))
        });
        let made = self
            .table
            .merge(
                &merge.segments,
                &MergeSettings {
                    sort_by,
                    memory: by.memory,
                },
            )
            .await?;
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

    /// Returns the largest number of segments in one closed bucket and profile.
    fn most_segments(&self, now: DateTime<Utc>, late: TimeDelta) -> usize {
        let mut counts: BTreeMap<
            (ebbtide_base::ids::Bucket, &ebbtide_base::ids::ProfileId),
            usize,
        > = BTreeMap::new();
        for segment in self
            .index
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

impl Sweeper {
    /// Returns the merges that would be made now, and true if there are more than these. Changes
    /// nothing.
    pub async fn merges(
        &mut self,
        compaction: &Compaction,
    ) -> Result<(Vec<PlannedMerge>, bool), SweepError> {
        let (mut all, mut more) = (Vec::new(), false);
        for index in 0..self.products.len() {
            let (merges, _) = self.merges_of(index, compaction).await?;
            let product = &self.products[index].key;
            more |= merges.more;
            all.extend(merges.works.into_iter().map(|merge| PlannedMerge {
                product: product.clone(),
                merge,
            }));
        }
        Ok((all, more))
    }

    async fn merges_of(
        &mut self,
        index: usize,
        compaction: &Compaction,
    ) -> Result<(MergePlan, SweepHolds), SweepError> {
        let (now, running) = (self.parts.clock.now(), self.parts.clock.monotonic());
        let product = &mut self.products[index];
        product.refresh().await?;
        let version = product.table.controls();
        let held = SweepHolds::at(product.controls(&self.controls).await?, now, version);
        let (partitions, failures) = (product.table.partitions(), &compaction.failures);
        let ours = self.parts.share.of(&partitions, RoundScope::Own, now);
        let wait =
            |segment: &StoredSegment| failures.waits(&segment.path, running) || !ours.has(segment);
        let how = &compaction.settings;
        let merges = product.merges(now, how, &held, wait);
        let most = i64::try_from(product.most_segments(now, how.late)).unwrap_or(i64::MAX);
        self.parts
            .metrics
            .bucket_segments
            .with_label_values(&[product.key.as_str()])
            .set(most);
        Ok((merges, held))
    }

    /// Makes at most `steps` merges.
    pub async fn compact(&mut self, compaction: &mut Compaction, steps: usize) -> CompactionReport {
        let mut did = CompactionReport::default();
        let verdict = self.look_at_clock();
        if verdict != ClockStatus::Trusted {
            return CompactionReport {
                clock: Some(verdict.as_str()),
                more: true,
                ..did
            };
        }
        let mut left = steps;
        for index in 0..self.products.len() {
            match self.merges_of(index, compaction).await {
                Ok((merges, held)) => {
                    did.more |= merges.more || merges.works.len() > left;
                    for merge in merges.works.iter().take(left) {
                        left -= 1;
                        self.merge_one(index, merge, &held, (compaction, &mut did))
                            .await;
                    }
                }
                Err(error) => {
                    let product = &self.products[index].key;
                    tracing::error!(%product, %error, "nothing is compacted in the table: it or its controls cannot be read");
                    self.count_merge(index, "failed");
                    did.failed += 1;
                }
            }
        }
        let products = &self.products;
        compaction.failures.retain(|path| {
            products
                .iter()
                .any(|product| product.index.get(path).is_some())
        });
        did
    }

    /// Makes one merge if a search is due. Returns true if another may follow immediately.
    pub(super) async fn compact_in_turn(&mut self, compaction: &mut Compaction) -> bool {
        if !compaction.is_time(self.parts.clock.monotonic()) {
            return false;
        }
        let did = self.compact(compaction, 1).await;
        let again = did.merges > 0 && did.more;
        if !again {
            compaction.rest(self.parts.clock.monotonic());
        }
        again
    }

    async fn merge_one(
        &mut self,
        index: usize,
        merge: &SegmentMerge,
        held: &SweepHolds,
        (compaction, did): (&mut Compaction, &mut CompactionReport),
    ) {
        let by = CommitContext {
            writer: self.writer,
            clock: Arc::clone(&self.parts.clock),
            policy_version: self.parts.policy.version.clone(),
            memory: compaction.settings.memory,
        };
        let product = &mut self.products[index];
        let key = product.key.clone();
        match product.merge(merge, held, &by).await {
            Ok(bytes) => {
                let segments = merge.segments.len() as u64;
                self.count_merge(index, "merged");
                let metrics = &self.parts.metrics;
                let bytes_of = |outcome| {
                    metrics
                        .compacted_bytes
                        .with_label_values(&[key.as_str(), outcome])
                };
                bytes_of("read").inc_by(merge.bytes());
                bytes_of("written").inc_by(bytes);
                let segments_of = |outcome| {
                    metrics
                        .compacted_segments
                        .with_label_values(&[key.as_str(), outcome])
                };
                segments_of("replaced").inc_by(segments);
                segments_of("added").inc();
                did.merges += 1;
                did.segments_in += segments;
                did.segments_out += 1;
                did.records += merge.records();
                did.bytes_in += merge.bytes();
                did.bytes_out += bytes;
                // The new segment may be merged with others.
                did.more = true;
            }
            Err(error) if error.is_stale() => {
                self.count_merge(index, "lost");
                did.lost += 1;
                tracing::debug!(product = %key, %error, "another was faster; letting it be");
            }
            Err(error) => {
                compaction
                    .failures
                    .note(&merge.segments, &error, self.parts.clock.monotonic());
                self.count_merge(index, "failed");
                did.failed += 1;
                let bucket = merge.bucket.to_string();
                tracing::error!(product = %key, bucket, %error, "a merge failed; trying again later");
            }
        }
    }

    fn count_merge(&self, index: usize, outcome: &str) {
        let product = self.products[index].key.as_str();
        self.parts
            .metrics
            .compactions
            .with_label_values(&[product, outcome])
            .inc();
    }
}
