//! Compaction by the sweeper, between its rounds.

use std::sync::Arc;

use super::Sweeper;
use super::share::RoundScope;
use crate::clock::guard::ClockStatus;
use crate::commit::CommitContext;
use crate::compact::choose::{MergePlan, SegmentMerge};
use crate::compact::{Compaction, CompactionReport, PlannedMerge};
use crate::error::SweepError;
use crate::product::holds::SweepHolds;
use crate::review::RetryKind;
use ebbtide_table::StoredSegment;

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
            let product = self.products[index].key();
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
        let partitions = product.table.partitions();
        let ours = self.parts.share.of(&partitions, RoundScope::Own, now);
        let (view, how) = (product.view(), &compaction.settings);
        let failed = view.reviews.waiting(RetryKind::Merge, running);
        let wait = |segment: &StoredSegment| failed.contains(&segment.path) || !ours.has(segment);
        let merges = view.merges(now, how, &held, wait);
        let most = i64::try_from(view.most_segments(now, how.late)).unwrap_or(i64::MAX);
        drop(view);
        self.parts
            .metrics
            .bucket_segments
            .with_label_values(&[product.key().as_str()])
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
        let (mut left, mut more) = (steps, false);
        for index in 0..self.products.len() {
            match self.merges_of(index, compaction).await {
                Ok((merges, held)) => {
                    more |= merges.more || merges.works.len() > left;
                    for merge in merges.works.iter().take(left) {
                        left -= 1;
                        let memory = compaction.settings.memory;
                        let one = self.merge_one(index, merge, &held, memory).await;
                        more |= one.more;
                        did.add(&one);
                    }
                }
                Err(error) => {
                    let product = self.products[index].key();
                    tracing::error!(%product, %error, "nothing is compacted in the table: it or its controls cannot be read");
                    self.count_merge(index, "failed");
                    did.failed += 1;
                }
            }
        }
        CompactionReport { more, ..did }
    }

    /// Makes one merge if a search is due. Returns true if another may follow immediately.
    pub(crate) async fn compact_in_turn(&mut self, compaction: &mut Compaction) -> bool {
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

    /// Makes one merge, with spills in at most `memory` bytes. Returns its counts.
    async fn merge_one(
        &mut self,
        index: usize,
        merge: &SegmentMerge,
        held: &SweepHolds,
        memory: usize,
    ) -> CompactionReport {
        let mut did = CompactionReport::default();
        let by = CommitContext {
            writer: self.writer,
            clock: Arc::clone(&self.parts.clock),
            policy_version: self.parts.policy.version.clone(),
            memory,
        };
        let product = &mut self.products[index];
        let key = product.key().clone();
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
                tracing::debug!(product = %key, %error, "another instance was faster; its merge stays");
            }
            Err(error) => {
                let now = self.parts.clock.monotonic();
                product.state.reviews.lock().record_failure(
                    RetryKind::Merge,
                    &merge.segments,
                    &error,
                    now,
                );
                self.count_merge(index, "failed");
                did.failed += 1;
                let bucket = merge.bucket.to_string();
                tracing::error!(product = %key, bucket, %error, "a merge failed; trying again later");
            }
        }
        did
    }

    fn count_merge(&self, index: usize, outcome: &str) {
        let product = self.products[index].key().as_str();
        self.parts
            .metrics
            .compactions
            .with_label_values(&[product, outcome])
            .inc();
    }
}
