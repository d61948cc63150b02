//! Lag and buffers of one lane. They are updated outside the lane's thread, so that they stay
//! current while that thread waits.
//!
//! The lane publishes its progress; tasks of the runtime request the ends from the brokers and set
//! the gauges every second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::consumer::BaseConsumer;
use tokio::runtime::Handle;

use crate::brokers;
use crate::lag::{LanePosition, PartitionLag};
use crate::source::LaneContext;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{Offset, TopicPartition};
use ebbtide_base::metrics::Metrics;

/// The interval at which the gauges are set.
const REFRESH: Duration = Duration::from_secs(1);
/// The interval at which the ends are requested from the brokers.
const ASK: Duration = Duration::from_secs(2);
/// The time that the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The gauges of one lane.
pub struct LaneGauges {
    metrics: Metrics,
    state: Mutex<GaugeState>,
}

#[derive(Default)]
struct GaugeState {
    partitions: BTreeMap<TopicPartition, PartitionLag>,
    /// The bytes that the lane buffers, as of its last publication.
    buffered: i64,
    /// The part of them that is counted in the gauge that all lanes share.
    added: i64,
}

impl LaneGauges {
    /// Creates the gauges of a lane that owns no partition yet.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, GaugeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the lane's progress in each of its partitions, and the bytes that it buffers.
    /// Partitions that are not among them are forgotten.
    pub fn publish(&self, progress: Vec<(TopicPartition, LanePosition)>, buffered: usize) {
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.partitions);
        for (partition, now) in progress {
            let mut lag = before.remove(&partition).unwrap_or_default();
            lag.advance(now);
            state.partitions.insert(partition, lag);
        }
        before
            .keys()
            .for_each(|partition| self.metrics.forget_lag(partition));
        state.buffered = i64::try_from(buffered).unwrap_or(i64::MAX);
    }

    /// Takes over the ends that the brokers reported at `at`, on the monotonic clock.
    fn know_ends(&self, ends: &BTreeMap<TopicPartition, Offset>, at: Duration) {
        for (partition, lag) in &mut self.state().partitions {
            if let Some(end) = ends.get(partition) {
                lag.know_end(*end, at);
            }
        }
    }

    /// Sets all gauges to their values at `now`, and removes those whose value is unknown.
    fn refresh(&self, now: DateTime<Utc>, monotonic: Duration) {
        let mut state = self.state();
        for (partition, lag) in &mut state.partitions {
            let number = partition.partition.to_string();
            let labels = [partition.topic.as_str(), number.as_str()];
            lag.look(now);
            let lost = lag.has_lost_its_end(monotonic);
            // The end is unknown, but the age of the records that wait for a commit is known.
            let seconds = (!lost || lag.is_lagging()).then(|| lag.seconds(now));
            let records = lag.records().filter(|_| !lost);
            let values = [
                (&self.metrics.lag_seconds, seconds),
                (&self.metrics.lag_records, records),
            ];
            for (gauges, value) in values {
                match value {
                    Some(value) => gauges.with_label_values(&labels).set(value),
                    // An error means that the series did not exist.
                    None => drop(gauges.remove_label_values(&labels)),
                }
            }
        }
        self.metrics
            .buffered_bytes
            .add(state.buffered - state.added);
        state.added = state.buffered;
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        self.state().partitions.keys().cloned().collect()
    }
}

impl Drop for LaneGauges {
    fn drop(&mut self) {
        let added = self.state().added;
        self.metrics.buffered_bytes.sub(added);
    }
}

/// Keeps `gauges` up to date until its lane is dropped.
pub fn keep(
    runtime: &Handle,
    gauges: &Arc<LaneGauges>,
    consumer: &Arc<BaseConsumer<LaneContext>>,
    clock: SharedClock,
) {
    let (of_lane, consumer) = (Arc::downgrade(gauges), Arc::downgrade(consumer));
    runtime.spawn(ask(of_lane.clone(), consumer, Arc::clone(&clock)));
    runtime.spawn(async move {
        let mut every = tokio::time::interval(REFRESH);
        while let Some(gauges) = of_lane.upgrade() {
            gauges.refresh(clock.now(), clock.monotonic());
            drop(gauges);
            every.tick().await;
        }
    });
}

/// Requests the ends from the brokers periodically. An answer may take long, so the gauges are set
/// by another task.
async fn ask(
    gauges: Weak<LaneGauges>,
    consumer: Weak<BaseConsumer<LaneContext>>,
    clock: SharedClock,
) {
    let mut every = tokio::time::interval(ASK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (gauges, consumer, clock) = (gauges.clone(), consumer.clone(), Arc::clone(&clock));
        let asked = tokio::task::spawn_blocking(move || {
            let (gauges, consumer) = (gauges.upgrade()?, consumer.upgrade()?);
            let ends = brokers::ends(&consumer, &gauges.partitions(), PATIENCE);
            gauges.know_ends(&ends.found, clock.monotonic());
            // Without an answer the last one is kept for a while; the lane reports topics and
            // brokers that fail.
            if let Some((partition, why)) = ends.failed.first_key_value() {
                tracing::debug!(source.partition = %partition, partitions = ends.failed.len(), "no end offset: {why}");
            }
            Some(())
        });
        if !matches!(asked.await, Ok(Some(()))) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMS: &str = "{partition=\"0\",topic=\"sms\"}";
    const VOICE: &str = "{partition=\"0\",topic=\"voice\"}";

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition {
            topic: topic.parse().unwrap(),
            partition: ebbtide_base::ids::Partition(0),
        }
    }

    fn gauges(done: i64, oldest: Option<i64>) -> LaneGauges {
        let gauges = LaneGauges::new(Metrics::new().unwrap());
        let progress = LanePosition {
            done: Offset(done),
            read: Offset(done),
            oldest,
        };
        gauges.publish(
            vec![(partition("sms"), progress), (partition("voice"), progress)],
            0,
        );
        gauges
    }

    /// Reports the ends of `topics` every two seconds up to `second`, and sets the gauges.
    fn until(gauges: &LaneGauges, second: u64, topics: &[&str], end: i64) -> String {
        let ends = topics
            .iter()
            .map(|topic| (partition(topic), Offset(end)))
            .collect();
        gauges.know_ends(&ends, Duration::from_secs(second));
        let now = DateTime::from_timestamp(i64::try_from(second).unwrap(), 0).unwrap();
        gauges.refresh(now, Duration::from_secs(second));
        gauges.metrics.exposition().unwrap()
    }

    #[test]
    fn lag_of_a_topic_without_ends_is_removed_and_that_of_others_is_kept() {
        let gauges = gauges(10, None);
        let text = until(&gauges, 100, &["sms", "voice"], 10);
        assert!(
            text.contains(&format!("ebbtide_ingest_lag_records{SMS} 0")),
            "{text}"
        );
        let text = until(&gauges, 130, &["voice"], 14);
        assert!(
            text.contains(&format!("ebbtide_ingest_lag_records{SMS} 0")),
            "{text}"
        );
        assert!(
            text.contains(&format!("ebbtide_ingest_lag_records{VOICE} 4")),
            "{text}"
        );
        let text = until(&gauges, 131, &["voice"], 15);
        assert!(!text.contains(SMS), "{text}");
        assert!(
            text.contains(&format!("ebbtide_ingest_lag_records{VOICE} 5")),
            "{text}"
        );
        assert!(
            text.contains(&format!("ebbtide_ingest_lag_seconds{VOICE} 1")),
            "{text}"
        );
        let text = until(&gauges, 140, &["sms", "voice"], 15);
        assert!(
            text.contains(&format!("ebbtide_ingest_lag_records{SMS} 5")),
            "{text}"
        );
    }

    #[test]
    fn age_of_a_record_that_waits_stays_while_its_topic_has_no_end() {
        let gauges = gauges(10, Some(50_000));
        until(&gauges, 100, &["sms", "voice"], 11);
        let text = until(&gauges, 160, &["voice"], 11);
        assert!(
            text.contains(&format!("ebbtide_ingest_lag_seconds{SMS} 110")),
            "{text}"
        );
        assert!(
            !text.contains(&format!("ebbtide_ingest_lag_records{SMS}")),
            "{text}"
        );
    }
}
