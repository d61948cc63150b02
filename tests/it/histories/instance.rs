//! One instance: its own clock, the policy that it was started with, and a sweeper and a writer
//! that live until dropped.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::clock::{Clock, ManualClock, SharedClock};
use ebbtide_base::ids::{Partition, TopicPartition};
use ebbtide_base::metrics::Metrics;
use ebbtide_maintenance::{
    Compaction, CompactionReport, CompactionRule, CompactionSettings, OwnedPartitions, PlanBounds,
    ReviewCache, SweepReport, SweepSettings, Sweeper, SweeperDeps, WorkShare,
};
use ebbtide_policy::Policy;
use ebbtide_table::Root;

use super::records::Record;
use super::writer::{Stored, Writer};

/// A clock that is always ahead of another by a fixed difference, which may be negative.
struct Apart {
    of: Arc<ManualClock>,
    by: TimeDelta,
}

impl Clock for Apart {
    fn now(&self) -> DateTime<Utc> {
        self.of.now() + self.by
    }

    fn monotonic(&self) -> Duration {
        self.of.monotonic()
    }
}

/// One instance.
pub struct Instance {
    root: Root,
    policy: Arc<Policy>,
    clock: Arc<Apart>,
    /// The number of its partition.
    number: i32,
    /// True if it is the only instance.
    alone: bool,
    sweeper: Option<Sweeper>,
    writer: Option<Writer>,
}

impl Instance {
    /// Creates an instance that has done nothing yet, whose clock is `by` ahead.
    pub fn new(
        (root, policy): (&Root, &Arc<Policy>),
        clock: &Arc<ManualClock>,
        (number, by): (usize, TimeDelta),
    ) -> Instance {
        let clock = Arc::new(Apart {
            of: Arc::clone(clock),
            by,
        });
        let (root, policy, number) = (
            root.clone(),
            Arc::clone(policy),
            i32::try_from(number).unwrap(),
        );
        Instance {
            root,
            policy,
            clock,
            number,
            alone: false,
            sweeper: None,
            writer: None,
        }
    }

    /// Makes it the only instance, which sweeps everything.
    pub fn alone(self) -> Instance {
        Instance {
            alone: true,
            ..self
        }
    }

    /// Ends it and starts it with that policy.
    pub fn restart(&mut self, policy: &Arc<Policy>) {
        self.policy = Arc::clone(policy);
        (self.sweeper, self.writer) = (None, None);
    }

    /// Drops its sweeper: the next one starts without state.
    pub fn forget(&mut self) {
        self.sweeper = None;
    }

    /// Returns true if it runs under that policy.
    pub fn is_of(&self, policy: &Policy) -> bool {
        self.policy.version == policy.version
    }

    async fn sweeper(&mut self) -> &mut Sweeper {
        if self.sweeper.is_none() {
            let owned = OwnedPartitions::default();
            owned.add(TopicPartition {
                topic: "sms".parse().unwrap(),
                partition: Partition(self.number),
            });
            let parts = SweeperDeps {
                root: self.root.clone(),
                policy: Arc::clone(&self.policy),
                clock: Arc::clone(&self.clock) as SharedClock,
                metrics: Metrics::new().unwrap(),
                settings: SweepSettings {
                    bounds: PlanBounds {
                        works: if self.number == 0 { 16 } else { 2 },
                        ..PlanBounds::default()
                    },
                    memory: 1 << 20,
                    clock_tolerance: Duration::from_secs(300),
                    clock_settle: Duration::from_secs(600),
                },
                share: if self.alone {
                    WorkShare::All
                } else {
                    WorkShare::Of(owned, TimeDelta::minutes(10))
                },
                reviews: ReviewCache::default(),
            };
            self.sweeper = Some(Sweeper::open(parts, None).await.unwrap());
        }
        self.sweeper.as_mut().unwrap()
    }

    /// Runs one round of its sweep, of at most `steps` steps.
    pub async fn round(&mut self, steps: usize) -> SweepReport {
        self.sweeper().await.round(None, steps).await
    }

    /// Sweeps once by a clock that becomes wrong by `off` after a new sweeper has looked at it.
    pub async fn round_by_wrong_clock(&mut self, off: TimeDelta) -> SweepReport {
        let clock = Arc::clone(&self.clock.of);
        let right = clock.now();
        // A new sweeper: the longer one has watched, the larger the step that it accepts as a
        // correction of the clock.
        self.forget();
        let sweeper = self.sweeper().await;
        sweeper.look_at_clock();
        clock.set_wall(right + off);
        let round = sweeper.round(None, usize::MAX).await;
        clock.set_wall(right);
        sweeper.look_at_clock();
        round
    }

    /// Merges all segments of closed buckets that may be merged, with spills of one batch each.
    pub async fn compact(&mut self) -> CompactionReport {
        let compacting = CompactionSettings {
            rule: CompactionRule {
                target: 1 << 30,
                segments: 100,
                works: 100,
            },
            memory: 1,
            late: TimeDelta::zero(),
            every: Duration::ZERO,
        };
        let mut compaction = Compaction::new(compacting, Duration::ZERO);
        self.sweeper()
            .await
            .compact(&mut compaction, usize::MAX)
            .await
    }

    /// Stores records that arrive now by its clock.
    pub async fn ingest(&mut self, records: &[Record], offset: i64) -> Stored {
        let now = self.clock.now();
        if self.writer.is_none() {
            self.writer = Some(Writer::open(&self.root, &self.policy, self.number).await);
        }
        self.writer
            .as_mut()
            .unwrap()
            .ingest(records, offset, now)
            .await
    }
}
