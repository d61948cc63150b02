//! Ingest: from Kafka to the commit, exactly once. `docs/architecture.md` describes the path of one
//! record.
//!
//! An instance runs the configured number of lanes. Each is a member of the consumer group and
//! works independently.

mod batch_coverage;
mod brokers;
pub mod dead_letters;
mod decode;
pub mod kafka;
mod lag;
mod lane;
mod lane_io;
mod lane_partition;
mod notices;
mod partition_buffer;
pub mod partitions;
mod pending_batch;
mod pending_commit;
pub mod position;
pub mod preflight;
pub mod producer_schemas;
mod product_ingest;
mod product_pause;
mod schema_search;
mod source;
mod tables;
mod topics;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use crate::dead_letters::{DeadLetters, LetterDeps, QuarantineTerms};
use crate::decode::{Decoders, ReaderSpec};
use crate::lane::Lane;
use crate::lane_io::{LaneDeps, LaneRestartKind, OwnershipCallback};
use crate::pending_batch::PendingBatch;
use crate::producer_schemas::ProducerSchemas;
use crate::product_ingest::{CommitTrigger, ProductIngest, ProductPipeline};
use crate::source::LaneContext;
use crate::tables::LaneTables;
use crate::topics::TopicWatch;
use crate::watch::LaneWatch;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::{IdError, Topic};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::Config;
use ebbtide_controls::{Screening, SharedControls};
use ebbtide_policy::Policy;
use ebbtide_policy::tag::Tagger;
use ebbtide_table::{OpenError, Quarantine, Root, StoreError, Table, TableSpec};

pub use kafka::{ClientRole, client_config};

/// The dependencies of ingest.
pub struct IngestDeps {
    /// The configuration.
    pub config: Arc<Config>,
    /// The policy by which records are tagged.
    pub policy: Arc<Policy>,
    /// The root of the tables.
    pub root: Root,
    /// The open tables of the policy's products. Each lane starts with these.
    pub tables: Vec<Table>,
    /// The controls of the root.
    pub controls: SharedControls,
    /// The source of time.
    pub clock: SharedClock,
    /// The metrics in which everything is counted.
    pub metrics: Metrics,
    /// The current problems, for `/readyz`.
    pub health: Arc<Health>,
    /// The source of the producers' schemas.
    pub schemas: Arc<ProducerSchemas>,
    /// Set when the instance is to stop.
    pub stop: Arc<AtomicBool>,
    /// Is called for each partition that this instance gains or loses.
    pub owning: OwnershipCallback,
}

/// The reason why ingest cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartIngestError {
    /// The client library refuses the configuration.
    #[error("librdkafka refuses the configuration: {0}")]
    Kafka(#[from] KafkaError),
    /// A topic's name is illegal.
    #[error(transparent)]
    Topic(#[from] IdError),
    /// A table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The controls cannot be read: it is not known which data may be stored.
    #[error("nothing is stored while the controls cannot be read: {0}")]
    Controls(#[from] StoreError),
    /// The operating system does not create a thread.
    #[error("no thread for a lane: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartIngestError {
    /// Returns true if no later attempt can succeed: the client library refuses the configuration,
    /// or a topic's name is illegal.
    fn is_final(&self) -> bool {
        match self {
            StartIngestError::Kafka(error) => is_final(error),
            StartIngestError::Topic(_) => true,
            StartIngestError::Open(_)
            | StartIngestError::Controls(_)
            | StartIngestError::Thread(_) => false,
        }
    }
}

/// Returns true if the client library refuses the configuration.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Subscription(_)
    )
}

/// Starts the lanes and the reader of notices. Each runs until `stop` is set, and joins the group
/// again after a transient error. It ends with an error when it can never run.
///
/// Must be called within a tokio runtime. Errors with the reason why the first lane cannot begin.
pub fn start(
    mut parts: IngestDeps,
) -> Result<Vec<JoinHandle<Result<(), StartIngestError>>>, StartIngestError> {
    let dead_letters = Arc::new(dead_letters(&parts)?);
    let notices = notices(&parts, &dead_letters)?;
    let shared = Arc::new(LaneDeps {
        settings: parts.config.ingest.clone(),
        lane_memory: size(parts.config.ingest.memory) / parts.config.ingest.lanes.max(1),
        clock: Arc::clone(&parts.clock),
        metrics: parts.metrics.clone(),
        health: Arc::clone(&parts.health),
        topics: TopicWatch::new(Arc::clone(&parts.health), &parts.policy),
        dead_letters,
        pending_limit: parts.config.maintain.orphan_age / 2,
        runtime: Handle::current(),
        stop: Arc::clone(&parts.stop),
        instance: uuid::Uuid::new_v4(),
        owning: Arc::clone(&parts.owning),
    });
    let tables = std::mem::take(&mut parts.tables);
    let parts = Arc::new(parts);
    let mut lanes = Vec::new();
    for number in 0..parts.config.ingest.lanes {
        let (parts, shared, tables) = (Arc::clone(&parts), Arc::clone(&shared), tables.clone());
        let watch = Arc::new(watch(&parts, Component::Lane(number)));
        let lane = std::thread::Builder::new()
            .name(format!("lane-{number}"))
            .spawn(move || {
                // The lanes of an instance write to one log.
                let _lane = tracing::error_span!("lane", number).entered();
                supervise(&parts, &shared, &watch, number, tables)
            })?;
        lanes.push(lane);
    }
    if let Some(notices) = notices {
        lanes.push(
            std::thread::Builder::new()
                .name("notices".to_owned())
                .spawn(move || notices.run())?,
        );
    }
    Ok(lanes)
}

fn dead_letters(parts: &IngestDeps) -> Result<DeadLetters, StartIngestError> {
    let config = client_config(&parts.config.kafka, ClientRole::DeadLetters);
    let deps = LetterDeps {
        quarantine: Quarantine::new(parts.root.clone()),
        terms: QuarantineTerms::new(parts.config.maintain.quarantine_retention, &parts.policy),
        clock: Arc::clone(&parts.clock),
        metrics: parts.metrics.clone(),
    };
    Ok(DeadLetters::new(
        config,
        Topic::new(&parts.config.kafka.dead_letter_topic)?,
        deps,
    )?)
}

fn watch(parts: &IngestDeps, part: Component) -> LaneWatch {
    LaneWatch::new(
        part,
        Arc::clone(&parts.clock),
        Arc::clone(&parts.health),
        parts.metrics.clone(),
    )
}

/// Creates the reader of notices, if a notice topic is configured.
fn notices(
    parts: &IngestDeps,
    dead_letters: &Arc<DeadLetters>,
) -> Result<Option<notices::NoticeReader>, StartIngestError> {
    let topics = notices::topics(&parts.config.notices)?;
    if topics.is_empty() {
        return Ok(None);
    }
    Ok(Some(notices::NoticeReader {
        dead_letters: Arc::clone(dead_letters),
        watch: watch(parts, Component::Notices),
        client: client_config(&parts.config.kafka, ClientRole::Notices),
        topics,
        screening: Screening::parking(parts.config.notices.limits),
        policy: Arc::clone(&parts.policy),
        root: parts.root.clone(),
        clock: Arc::clone(&parts.clock),
        metrics: parts.metrics.clone(),
        runtime: Handle::current(),
        stop: Arc::clone(&parts.stop),
    }))
}

/// Runs one lane after another until the instance is to stop. The first uses the given open tables.
///
/// Errors if no lane can ever run.
fn supervise(
    parts: &IngestDeps,
    shared: &Arc<LaneDeps>,
    watch: &Arc<LaneWatch>,
    number: usize,
    tables: Vec<Table>,
) -> Result<(), StartIngestError> {
    let mut opened = Some(tables);
    while !shared.stop.load(Ordering::Relaxed) {
        watch.begin();
        let why = match lane(parts, shared, watch, number, opened.take()) {
            Ok(mut lane) => {
                let ran = lane.run();
                lane.own_nothing();
                match ran {
                    Ok(()) => return Ok(()),
                    Err(rejoin) if rejoin.kind == LaneRestartKind::ForGood => {
                        // Uncommitted records are dropped and the lane leaves the group: its
                        // partitions move to a member that may store them.
                        drop(lane);
                        rest(parts, &rejoin.why);
                        return Ok(());
                    }
                    Err(rejoin) if rejoin.kind == LaneRestartKind::Wanted => {
                        parts
                            .metrics
                            .rebalances
                            .with_label_values(&["rejoined"])
                            .inc();
                        tracing::info!("a lane joins the group again: {}", rejoin.why);
                        continue;
                    }
                    Err(rejoin) => rejoin.why,
                }
            }
            Err(error) if error.is_final() => return Err(error),
            Err(error) => error.to_string(),
        };
        parts
            .metrics
            .rebalances
            .with_label_values(&["rejoined"])
            .inc();
        tracing::error!("a lane drops what is uncommitted and joins the group again: {why}");
        let until = shared.clock.monotonic() + watch.fail(&why);
        while shared.clock.monotonic() < until && !shared.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

/// Stores nothing any more, and reports the reason, until the instance is to stop.
fn rest(parts: &IngestDeps, why: &str) {
    if parts.health.trouble(Component::Process, why) {
        tracing::error!("nothing is stored any more: {why}");
    }
    while !parts.stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Creates the lane of that number with open tables, or opens them again.
fn lane(
    parts: &IngestDeps,
    shared: &Arc<LaneDeps>,
    watch: &Arc<LaneWatch>,
    number: usize,
    opened: Option<Vec<Table>>,
) -> Result<Lane, StartIngestError> {
    let opened = match opened {
        Some(opened) => opened,
        None => shared.runtime.block_on(Table::open_all(
            &parts.root,
            TableSpec::all(&parts.policy).collect(),
        ))?,
    };
    let (mut products, mut fed) = (
        Vec::with_capacity(opened.len()),
        Vec::with_capacity(opened.len()),
    );
    for table in opened {
        let Some(product) = product(parts, table.spec()) else {
            continue;
        };
        fed.push((table, product.topics.clone()));
        products.push(product);
    }
    let tables = Arc::new(LaneTables::new(
        &shared.runtime,
        parts.controls.clone(),
        fed,
    ));
    // Read once for all products, because each read lists the log of controls.
    let controls = tables.newest_controls()?;
    for product in &mut products {
        product.act_on(tables.controls(&product.product), &controls);
    }
    let role = ClientRole::Lane {
        number,
        queue_bytes: kafka::queue_bytes(&parts.config.ingest),
    };
    let context = LaneContext::new(Arc::clone(&tables) as Arc<dyn source::PositionSource>);
    let consumer = source::consumer(&client_config(&parts.config.kafka, role), context)?;
    Ok(Lane::join(
        Arc::clone(shared),
        Arc::clone(watch),
        tables,
        Arc::new(consumer),
        products,
    )?)
}

/// Creates the work on a product's table, which acts on no controls yet. Returns `None` for a
/// product without records.
fn product(parts: &IngestDeps, spec: &Arc<TableSpec>) -> Option<ProductIngest> {
    let settings = &parts.config.ingest;
    let records = parts.policy.products.get(&spec.product)?.records.as_ref()?;
    let tagger = Tagger::new(&parts.policy, &spec.product)?;
    let read_as = ReaderSpec {
        schema: Arc::clone(&records.schema),
        keep: tagger.columns().clone(),
        others: records.others,
    };
    let most = size(settings.max_message_bytes);
    let decoders = Decoders::new(
        spec.product.clone(),
        read_as,
        Arc::clone(&parts.schemas),
        most,
    );
    let mut trigger = CommitTrigger::new(size(settings.commit_bytes), settings.commit_age);
    trigger.jitter();
    let pipeline = ProductPipeline {
        spec: Arc::clone(spec),
        version: parts.policy.version.clone(),
        decoders,
        tagger,
        batch: PendingBatch::default(),
    };
    Some(ProductIngest::new(
        spec.product.clone(),
        records.topics.clone(),
        pipeline,
        trigger,
    ))
}

/// Converts a configured number of bytes to a size in memory.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
