//! The metrics of a lane: lag, buffers, counts. Only commits that succeeded are counted, so that
//! records that are read again count once.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::{Lane, LanePartition, PUBLISH};
use crate::lag::LanePosition;
use ebbtide_base::health::Component;
use ebbtide_base::ids::{Offset, ProductKey, TopicPartition};
use ebbtide_table::{Evidence, LossCause};

impl Lane {
    /// Reports brokers that cannot be reached.
    pub(super) fn sample(&mut self) {
        self.watch.run();
        if self.consumer.context().brokers_down() {
            self.brokers_fail("no broker can be reached");
        }
    }

    /// Reports that the brokers do not answer. Returns true if that was not reported before.
    ///
    /// The report stays until the brokers answer a request of this lane: a connection alone proves
    /// nothing.
    pub(super) fn brokers_fail(&mut self, why: impl Into<String>) -> bool {
        self.broker_trouble = true;
        self.shared.health.trouble(Component::Broker, why)
    }

    /// Records that the brokers answered a request. Clears the report of this lane, and no report
    /// of another lane.
    pub(super) fn brokers_answer(&mut self) {
        if std::mem::take(&mut self.broker_trouble) {
            self.shared.health.over(&Component::Broker);
        }
    }

    /// Publishes the lane's progress, unless it did so a moment ago.
    pub(super) fn publish_sometimes(&mut self) {
        let now = self.shared.clock.monotonic();
        if now.saturating_sub(self.published) >= PUBLISH {
            self.published = now;
            self.publish();
        }
    }

    /// Publishes the progress of the lane's partitions and the bytes that it buffers, for the
    /// gauges.
    pub(super) fn publish(&self) {
        let drained = self.consumer.context().drained();
        let live = self.owned.iter().filter(|owned| owned.live);
        let mut progress: Vec<(TopicPartition, LanePosition)> = live
            .map(|owned| {
                (
                    owned.partition.clone(),
                    self.progress(owned, drained.get(&owned.partition).copied()),
                )
            })
            .collect();
        for (partition, refusal) in &self.refused {
            if !self
                .slots
                .get(partition)
                .is_some_and(|slot| self.owned[*slot].live)
            {
                let done = if refusal.cause == LossCause::Deleted {
                    refusal.table
                } else {
                    refusal.resume()
                };
                progress.push((
                    partition.clone(),
                    LanePosition {
                        done,
                        read: done,
                        oldest: None,
                    },
                ));
            }
        }
        let gathered: usize = self.works.iter().map(|work| work.gathering.memory()).sum();
        let taken: usize = self.owned.iter().map(|owned| owned.intake.memory()).sum();
        self.gauges.publish(progress, gathered + taken);
    }

    /// Returns the committed progress of a partition. If no record of it waits, offsets without
    /// records count as committed.
    fn progress(&self, owned: &LanePartition, drained: Option<Offset>) -> LanePosition {
        let work = &self.works[owned.work];
        let gathered = work
            .gathering
            .reached
            .get(&owned.partition)
            .filter(|reached| reached.records > 0);
        let waiting = (!owned.intake.is_empty())
            .then(|| owned.intake.timestamp(0))
            .flatten();
        let idle = gathered.is_none()
            && owned.intake.is_empty()
            && !work.in_flight.contains(&owned.partition);
        let committed = owned.committed.unwrap_or(owned.first);
        let done = if idle {
            committed.max(owned.read_to.max(drained).unwrap_or(committed))
        } else {
            committed
        };
        let read = owned.wanted.unwrap_or(done).max(done);
        LanePosition {
            done,
            read,
            oldest: gathered.and_then(|reached| reached.oldest).or(waiting),
        }
    }

    /// Counts a commit that did not succeed.
    pub(super) fn count(&self, product: &ProductKey, outcome: &str) {
        self.shared
            .metrics
            .commits
            .with_label_values(&[product.as_str(), outcome])
            .inc();
    }

    /// Counts attempts of a commit that found their version taken.
    pub(super) fn count_raced(&self, product: &ProductKey, tries: u64) {
        self.shared
            .metrics
            .commits
            .with_label_values(&[product.as_str(), "raced"])
            .inc_by(tries);
    }

    /// Counts values of phone columns that a commit stored as text.
    pub(super) fn count_unparsed(&self, product: &ProductKey, values: u64) {
        self.shared
            .metrics
            .unparsed_subjects
            .with_label_values(&[product.as_str()])
            .inc_by(values);
    }

    /// Counts a commit that succeeded: the counts of `evidence`, the `bytes` of the values that
    /// were read, and the time that it took.
    pub(super) fn count_landed(
        &self,
        product: &ProductKey,
        evidence: &Evidence,
        bytes: u64,
        took: Duration,
    ) {
        let metrics = &self.shared.metrics;
        let name = product.as_str();
        self.count(product, "landed");
        metrics
            .commit_seconds
            .with_label_values(&[name])
            .observe(took.as_secs_f64());
        metrics
            .records
            .with_label_values(&[name, "stored"])
            .inc_by(evidence.stored);
        metrics
            .records
            .with_label_values(&[name, "expired"])
            .inc_by(evidence.expired);
        metrics
            .records
            .with_label_values(&[name, "skipped"])
            .inc_by(evidence.skipped);
        metrics
            .records
            .with_label_values(&[name, "dead_letter"])
            .inc_by(evidence.dead());
        metrics.bytes.with_label_values(&[name]).inc_by(bytes);
        metrics
            .unclassified
            .with_label_values(&[name])
            .inc_by(evidence.unclassified);
        for (code, letters) in &evidence.dead_letters {
            metrics
                .dead_letters
                .with_label_values(&[name, code.as_str()])
                .inc_by(*letters);
        }
        for (category, fields) in &evidence.late_fields {
            metrics
                .late_fields
                .with_label_values(&[name, category.as_str()])
                .inc_by(*fields);
        }
    }
}
