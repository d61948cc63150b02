//! The one place that builds a running instance from configuration, policy, clock and store.
//!
//! Imports every layer below `cli`, and none of them imports it. Must never decide anything about a
//! record.

mod deletions;
mod janitor;
mod settings;
mod tasks;
mod topic_monitor;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use ebbtide_base::backoff::Backoff;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::{Config, RetentionCheck};
use ebbtide_controls::{
    CommitIdentity, SharedControls, UsePolicyError, record_active, require_active,
};
use ebbtide_ingest::preflight::{PreflightError, TopicProblem};
use ebbtide_ingest::producer_schemas::{ProducerSchemas, ProducerSchemasDeps, SetUpSchemasError};
use ebbtide_ingest::{IngestDeps, StartIngestError};
use ebbtide_maintenance::{OpenProductError, OwnedPartitions, TrustedClock};
use ebbtide_policy::{LoadedPolicy, Policy, PolicyText};
use ebbtide_table::{OpenError, ProbeError, Root, RootError, Table, TableSpec};

use tasks::BackgroundTasks;
use topic_monitor::{RETENTION_EVERY, TopicMonitor, used_topics};

pub use settings::{PolicyInUse, check_config_text, check_grace, check_settings};
pub use tasks::upkeep;

/// An instance that is ready to run.
pub struct Instance {
    /// The configuration.
    pub config: Arc<Config>,
    /// The checked policy.
    pub policy: Arc<Policy>,
    /// The texts that the policy was read from.
    pub text: PolicyText,
    /// The source of time.
    pub clock: SharedClock,
    /// The metrics in which everything is counted.
    pub metrics: Metrics,
    /// The current problems, for `/readyz`.
    pub health: Arc<Health>,
}

/// The thread of a lane, or of the reader of notices.
type LaneHandle = JoinHandle<Result<(), StartIngestError>>;

/// The state that all parts of an instance start with. Opened once, because reading a log is
/// expensive.
struct OpenedStore {
    root: Root,
    /// The tables of the policy's products.
    tables: Vec<Table>,
    controls: SharedControls,
}

/// The dependencies of ingest, used at each of its starts.
struct IngestFactory {
    opened: OpenedStore,
    schemas: Arc<ProducerSchemas>,
    owned: OwnedPartitions,
    guard: TrustedClock,
}

/// The interval at which ingest checks whether the clock is still good enough to tag records.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// The reason why an instance does not start, or does not stop as it should.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The root cannot be used.
    #[error("root: {0}")]
    Root(#[from] RootError),
    /// Another policy is active, or the active policy cannot be determined.
    #[error(transparent)]
    Policy(#[from] UsePolicyError),
    /// The bucket is not suitable for tables, or could not be tested.
    #[error(transparent)]
    Unfit(#[from] ProbeError),
    /// A table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The sources of writer schemas cannot be set up.
    #[error("schemas: {0}")]
    Writers(#[from] SetUpSchemasError),
    /// A lane ended without a request to stop: a bug. Nothing is lost: uncommitted records are read
    /// again.
    #[error("a lane ended by itself; what is uncommitted will be read again after a restart")]
    LaneEnded,
    /// A table cannot be swept.
    #[error(transparent)]
    Sweep(#[from] OpenProductError),
    /// The sweep, the watch or the janitor ended without a request to stop: a bug.
    #[error("the {0} ended by itself")]
    TaskEnded(&'static str),
    /// Topics are missing, hidden, or keep records longer than the policy allows.
    #[error("{}; or set kafka.retention_check: warn", in_words(.0))]
    Topics(Vec<TopicProblem>),
    /// The client library refuses the configuration.
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    /// Ingest cannot begin.
    #[error(transparent)]
    Start(#[from] StartIngestError),
    /// The lanes did not stop in time. Nothing is lost: uncommitted records are read again.
    #[error("the lanes did not stop within {0:?}; what is uncommitted will be read again")]
    Stuck(Duration),
}

fn in_words(problems: &[TopicProblem]) -> String {
    problems
        .iter()
        .map(|problem| problem.what.as_str())
        .collect::<Vec<_>>()
        .join("; ")
}

impl Instance {
    /// Runs until `stop` turns true. Then it flushes, commits, leaves the group and returns.
    ///
    /// Errors with the reason why it cannot start, or if it could not stop within the configured
    /// time.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), InstanceError> {
        let root = Root::open(&self.config.root, &self.config.store)?;
        let controls = SharedControls::new(root.clone());
        let loaded = LoadedPolicy {
            policy: Arc::clone(&self.policy),
            text: self.text.clone(),
        };
        require_active(&root, &controls, &loaded).await?;
        let around = ProducerSchemasDeps {
            metrics: self.metrics.clone(),
            health: Arc::clone(&self.health),
            clock: Arc::clone(&self.clock),
        };
        let schemas = Arc::new(ProducerSchemas::new(
            &self.config.schemas,
            &self.policy,
            around,
        )?);
        self.declare();
        root.check().await?;
        record_active(&root, &controls, &loaded, &self.signature()).await?;
        let tables = Table::open_all(&root, TableSpec::all(&self.policy).collect()).await?;
        // Expired data is deleted and overdue data is counted even if Kafka is not available.
        let owned = OwnedPartitions::default();
        let opened = OpenedStore {
            root,
            tables,
            controls,
        };
        let (mut tasks, guard) = self.start_tasks(&opened, &owned).await?;
        let deps = IngestFactory {
            opened,
            schemas,
            owned,
            guard,
        };
        let done = self.read(&deps, &mut tasks, &mut stop).await;
        // A task that still ran while the runtime ends would log its own cancellation as an error.
        tasks.shutdown().await;
        done
    }

    /// Checks the topics, then reads records until the instance is stopped, and waits while the
    /// clock is wrong.
    async fn read(
        &self,
        deps: &IngestFactory,
        tasks: &mut BackgroundTasks,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), InstanceError> {
        if self.preflight(tasks, stop).await? {
            while self.wait_for_clock(&deps.guard, stop).await {
                if self.ingest(deps, tasks, stop).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits until the clock is good enough to tag records: with a wrong clock, new records would
    /// seem expired, or in the future. Returns false if the instance was stopped meanwhile.
    async fn wait_for_clock(&self, guard: &TrustedClock, stop: &mut watch::Receiver<bool>) -> bool {
        let mut waited = false;
        while !guard.may_ingest() {
            if !std::mem::replace(&mut waited, true) {
                tracing::error!(
                    "no record is read while the clock is wrong: {}",
                    guard.reason()
                );
            }
            if tokio::time::timeout(CLOCK_EVERY, stop.wait_for(|stop| *stop))
                .await
                .is_ok()
            {
                return false;
            }
        }
        if waited {
            tracing::info!("the clock is right again: records are read");
        }
        true
    }

    /// Returns this process's signature for the evidence of commits that put a control in force.
    fn signature(&self) -> CommitIdentity {
        CommitIdentity {
            writer: uuid::Uuid::new_v4(),
            at: self.clock.now(),
            policy_version: self.policy.version.clone(),
        }
    }

    /// Creates the series of every product at zero, so that an alert on a rate works before the
    /// first event.
    fn declare(&self) {
        self.metrics
            .buffer_limit_bytes
            .set(i64::try_from(self.config.ingest.memory).unwrap_or(i64::MAX));
        for product in self
            .policy
            .products
            .values()
            .filter(|product| product.records.is_some())
        {
            self.metrics
                .add_product(&product.key, self.policy.categories.keys());
        }
    }

    /// Reads records until the instance is to stop (returns true) or the clock turns out to be
    /// wrong (returns false).
    async fn ingest(
        &self,
        deps: &IngestFactory,
        tasks: &mut BackgroundTasks,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<bool, InstanceError> {
        let flag = Arc::new(AtomicBool::new(false));
        let lanes = ebbtide_ingest::start(self.ingest_parts(deps, &flag))?;
        self.health.over(&Component::Process);
        let stopped = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => true,
            () = clock_lost(&deps.guard) => false,
            () = any_ended(&lanes) => {
                flag.store(true, Ordering::Relaxed);
                return Err(ended(lanes));
            }
            what = tasks.ended() => return Err(InstanceError::TaskEnded(what)),
        };
        if stopped {
            tracing::info!("stopping: committing what is held, leaving the group");
        } else {
            tracing::error!(
                "the lanes stop, since the clock is wrong: {}",
                deps.guard.reason()
            );
        }
        flag.store(true, Ordering::Relaxed);
        if stopped {
            // Work that a sweep or the janitor has not committed is left to the next start.
            tasks.stop();
        }
        let patience = self.config.ingest.shutdown_timeout;
        let joined = tokio::task::spawn_blocking(move || {
            lanes.into_iter().for_each(|lane| drop(lane.join()))
        });
        tokio::time::timeout(patience, joined)
            .await
            .map_err(|_| InstanceError::Stuck(patience))?
            .unwrap_or_default();
        Ok(stopped)
    }

    fn ingest_parts(&self, deps: &IngestFactory, flag: &Arc<AtomicBool>) -> IngestDeps {
        let owned = deps.owned.clone();
        IngestDeps {
            config: Arc::clone(&self.config),
            policy: Arc::clone(&self.policy),
            root: deps.opened.root.clone(),
            tables: deps.opened.tables.clone(),
            controls: deps.opened.controls.clone(),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            health: Arc::clone(&self.health),
            schemas: Arc::clone(&deps.schemas),
            stop: Arc::clone(flag),
            owning: Arc::new(move |partition, ours| {
                if ours {
                    owned.add(partition.clone())
                } else {
                    owned.remove(partition)
                }
            }),
        }
    }

    /// Waits for the brokers and checks the retention of their topics. Returns false if the
    /// instance was stopped meanwhile.
    async fn preflight(
        &self,
        tasks: &mut BackgroundTasks,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<bool, InstanceError> {
        if self.config.kafka.retention_check == RetentionCheck::Warn {
            // A check that only warns delays no record, and neither does a broker that cannot
            // report the retention of its topics.
            tasks.watch_topics(self.retention(), Duration::ZERO);
            return Ok(true);
        }
        let retention = self.retention();
        let mut backoff = Backoff::default();
        let judged = loop {
            match retention.check().await {
                Ok(judged) => break judged,
                Err(error @ PreflightError::Client(_)) => return Err(error.into()),
                Err(error) => {
                    self.health.trouble(Component::Broker, error.to_string());
                    tracing::warn!(%error, "waiting for the brokers");
                }
            }
            if tokio::time::timeout(backoff.next_delay(), stop.wait_for(|stop| *stop))
                .await
                .is_ok()
            {
                return Ok(false);
            }
        };
        self.health.over(&Component::Broker);
        if !judged.is_empty() {
            return Err(InstanceError::Topics(judged));
        }
        tasks.watch_topics(retention, RETENTION_EVERY);
        Ok(true)
    }

    fn retention(&self) -> TopicMonitor {
        TopicMonitor {
            config: Arc::clone(&self.config),
            topics: used_topics(&self.config, &self.policy),
            policy: Arc::clone(&self.policy),
            metrics: self.metrics.clone(),
        }
    }
}

/// Returns when the clock is no longer good enough to tag records.
async fn clock_lost(guard: &TrustedClock) {
    while guard.may_ingest() {
        tokio::time::sleep(CLOCK_EVERY).await;
    }
}

/// Returns once a lane has ended. No lane ends before it is asked to stop.
async fn any_ended(lanes: &[LaneHandle]) {
    while !lanes.iter().any(JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Returns the reason why a lane ended.
fn ended(lanes: Vec<LaneHandle>) -> InstanceError {
    let mut ended = lanes
        .into_iter()
        .filter(JoinHandle::is_finished)
        .filter_map(|lane| lane.join().ok());
    ended
        .find_map(Result::err)
        .map_or(InstanceError::LaneEnded, InstanceError::Start)
}

#[cfg(test)]
mod tests;
