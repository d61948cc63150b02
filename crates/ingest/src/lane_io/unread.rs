//! Reports of partitions that are not read, because records would be skipped or because the brokers
//! do not report them.

use super::LaneIo;
use crate::position::PartitionRefusal;
use ebbtide_base::health::Component;
use ebbtide_base::ids::TopicPartition;

impl LaneIo {
    /// Reports a partition that is not read.
    pub fn refuse(&mut self, refusal: PartitionRefusal) {
        let partition = refusal.partition.clone();
        let number = partition.partition.to_string();
        self.deps
            .metrics
            .refused_partitions
            .with_label_values(&[partition.topic.as_str(), &number])
            .set(1);
        let why = refusal.to_string();
        // Records that arrive meanwhile move the end; that is not reported again.
        let reported = self.refused.get(&partition).is_some_and(|before| {
            (before.cause, before.table, before.kafka.first)
                == (refusal.cause, refusal.table, refusal.kafka.first)
        });
        if !reported {
            tracing::error!(
                source.topic = %partition.topic,
                source.partition = partition.partition.0,
                table.next = refusal.table.0,
                kafka.first = refusal.kafka.first.0,
                kafka.end = refusal.kafka.end.0,
                "{why}"
            );
        }
        self.deps
            .health
            .trouble(Component::Partition(partition.clone()), why);
        self.refused.insert(partition, refusal);
    }

    /// Reports a partition that is not read, because the brokers do not report its topic or its
    /// offsets. It is read once they do.
    pub fn set_aside(&mut self, partition: TopicPartition, why: &str) {
        if self.deps.health.trouble(
            Component::Partition(partition.clone()),
            format!("{partition} is not read: {why}"),
        ) {
            tracing::error!(source.partition = %partition, "a partition is not read: {why}");
        }
        self.unavailable.insert(partition);
    }

    /// Forgets that a partition is refused or set aside: it is no longer this lane's, or is read
    /// again.
    pub fn forget_refusal(&mut self, partition: &TopicPartition) {
        self.refused.remove(partition);
        self.unavailable.remove(partition);
        self.deps.metrics.forget_partition(partition);
        self.deps
            .health
            .over(&Component::Partition(partition.clone()));
    }

    /// Stops fetching a partition that is refused or set aside.
    pub fn stop_fetching(&self, partition: &TopicPartition) {
        // A partition that the client has already lost cannot be paused, and sends nothing.
        if let Err(failure) = self.pause([partition]) {
            tracing::debug!(error = failure.why, source.partition = %partition, "the partition could not be paused");
        }
    }
}

/// Logs a partition whose offsets the brokers do not report.
pub fn log_unanswered(partition: &TopicPartition, why: Option<&String>) {
    tracing::debug!(source.partition = %partition, why, "the brokers do not report a partition's offsets");
}
