//! Lag and buffers of one lane, kept up to date outside the lane's thread, whatever that thread waits for.
//!
//! The lane publishes its progress; tasks of the runtime request the ends from the brokers and set the gauges every
//! second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::consumer::BaseConsumer;
use tokio::runtime::Handle;

use crate::clock::SharedClock;
use crate::ids::{Offset, TopicPartition};
use crate::ingest::brokers;
use crate::ingest::lag::{PartitionLag, Progress};
use crate::ingest::source::Context;
use crate::metrics::Metrics;

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
        Self { metrics, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, GaugeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the lane's progress in each of its partitions, and the bytes that it buffers. Partitions that are not
    /// among them are forgotten.
    pub fn publish(&self, progress: Vec<(TopicPartition, Progress)>, buffered: usize) {
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.partitions);
        for (partition, now) in progress {
            let mut lag = before.remove(&partition).unwrap_or_default();
            lag.advance(now);
            state.partitions.insert(partition, lag);
        }
        before.keys().for_each(|partition| self.metrics.forget_lag(partition));
        state.buffered = i64::try_from(buffered).unwrap_or(i64::MAX);
    }

    /// Takes over the newest ends.
    fn know_ends(&self, ends: &BTreeMap<TopicPartition, Offset>) {
        for (partition, lag) in &mut self.state().partitions {
            lag.end = ends.get(partition).copied().or(lag.end);
        }
    }

    /// Sets all gauges to their values at `now`.
    fn refresh(&self, now: DateTime<Utc>) {
        let mut state = self.state();
        for (partition, lag) in &mut state.partitions {
            let number = partition.partition.to_string();
            let labels = [partition.topic.as_str(), number.as_str()];
            lag.look(now);
            self.metrics.lag_seconds.with_label_values(&labels).set(lag.seconds(now));
            if let Some(records) = lag.records() {
                self.metrics.lag_records.with_label_values(&labels).set(records);
            }
        }
        self.metrics.buffered_bytes.add(state.buffered - state.added);
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
pub fn keep(runtime: &Handle, gauges: &Arc<LaneGauges>, consumer: &Arc<BaseConsumer<Context>>, clock: SharedClock) {
    let (of_lane, consumer) = (Arc::downgrade(gauges), Arc::downgrade(consumer));
    runtime.spawn(ask(of_lane.clone(), consumer));
    runtime.spawn(async move {
        let mut every = tokio::time::interval(REFRESH);
        while let Some(gauges) = of_lane.upgrade() {
            gauges.refresh(clock.now());
            drop(gauges);
            every.tick().await;
        }
    });
}

/// Requests the ends from the brokers periodically. An answer may take long, so the gauges are set by another task.
async fn ask(gauges: Weak<LaneGauges>, consumer: Weak<BaseConsumer<Context>>) {
    let mut every = tokio::time::interval(ASK);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let (gauges, consumer) = (gauges.clone(), consumer.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let (gauges, consumer) = (gauges.upgrade()?, consumer.upgrade()?);
            // Without an answer the last one is kept; the lane reports brokers that cannot be reached.
            if let Ok(ends) = brokers::ends(&consumer, &gauges.partitions(), PATIENCE) {
                gauges.know_ends(&ends);
            }
            Some(())
        });
        if !matches!(asked.await, Ok(Some(()))) {
            return;
        }
    }
}
