//! What a lane tells of itself: lag, buffers, counts. Counts are of commits that landed, so that reading again counts once.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::Lane;
use crate::health::Part;
use crate::ids::ProductKey;
use crate::ingest::lag::Standing;
use crate::store::Evidence;

impl Lane {
    /// Measures lag and buffers, and whether the brokers answer.
    pub(super) fn sample(&mut self) {
        self.watch.run();
        let context = self.consumer.context();
        if context.brokers_down() {
            self.shared.health.trouble(Part::Broker, "no broker can be reached");
        } else {
            self.shared.health.over(&Part::Broker);
        }
        let now = self.shared.clock.now();
        let ends = context.ends();
        let metrics = &self.shared.metrics;
        for owned in self.owned.iter_mut().filter(|owned| owned.live) {
            let gathered = self.works[owned.work].gathering.reached.get(&owned.partition);
            let waiting = (!owned.intake.is_empty()).then(|| owned.intake.timestamp(0)).flatten();
            let standing = Standing {
                committed: owned.committed,
                end: ends.get(&owned.partition).copied(),
                oldest: gathered.and_then(|reached| reached.oldest).or(waiting).or(owned.behind_since),
            };
            owned.behind_since = standing.is_behind().then(|| owned.behind_since.unwrap_or(now.timestamp_millis()));
            let number = owned.partition.partition.to_string();
            let labels = [owned.partition.topic.as_str(), number.as_str()];
            metrics.lag_seconds.with_label_values(&labels).set(standing.seconds(now));
            if let Some(records) = standing.records() {
                metrics.lag_records.with_label_values(&labels).set(records);
            }
        }
        let gathered: usize = self.works.iter().map(|work| work.gathering.memory()).sum();
        let taken: usize = self.owned.iter().map(|owned| owned.intake.memory()).sum();
        let held = i64::try_from(gathered + taken).unwrap_or(i64::MAX);
        self.shared.metrics.buffered_bytes.add(held - self.held);
        self.held = held;
    }

    /// Counts a commit that did not land.
    pub(super) fn count(&self, product: &ProductKey, outcome: &str) {
        self.shared.metrics.commits.with_label_values(&[product.as_str(), outcome]).inc();
    }

    /// Counts tries of a commit that found their version taken.
    pub(super) fn count_raced(&self, product: &ProductKey, tries: u64) {
        self.shared.metrics.commits.with_label_values(&[product.as_str(), "raced"]).inc_by(tries);
    }

    /// Counts values of phone columns that a commit stored as text.
    pub(super) fn count_unparsed(&self, product: &ProductKey, values: u64) {
        self.shared.metrics.unparsed_subjects.with_label_values(&[product.as_str()]).inc_by(values);
    }

    /// Counts a commit that landed: what `evidence` says, the `bytes` of the values that were read, the time it took.
    pub(super) fn count_landed(&self, product: &ProductKey, evidence: &Evidence, bytes: u64, took: Duration) {
        let metrics = &self.shared.metrics;
        let name = product.as_str();
        self.count(product, "landed");
        metrics.commit_seconds.with_label_values(&[name]).observe(took.as_secs_f64());
        metrics.records.with_label_values(&[name, "stored"]).inc_by(evidence.stored);
        metrics.records.with_label_values(&[name, "expired"]).inc_by(evidence.expired);
        metrics.records.with_label_values(&[name, "skipped"]).inc_by(evidence.skipped);
        metrics.records.with_label_values(&[name, "dead_letter"]).inc_by(evidence.dead());
        metrics.bytes.with_label_values(&[name]).inc_by(bytes);
        metrics.unclassified.with_label_values(&[name]).inc_by(evidence.unclassified);
        for (code, letters) in &evidence.dead_letters {
            metrics.dead_letters.with_label_values(&[name, code.as_str()]).inc_by(*letters);
        }
        for (category, fields) in &evidence.late_fields {
            metrics.late_fields.with_label_values(&[name, category.as_str()]).inc_by(*fields);
        }
    }
}
