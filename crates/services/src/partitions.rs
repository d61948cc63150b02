//! Partitions that are not read because records would be skipped, and the decision to continue
//! after a loss.

use std::collections::BTreeMap;

use serde::Serialize;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::{Offset, ProductKey, Topic, TopicPartition};
use ebbtide_ingest::kafka::{RefusedProperty, refused_properties};
use ebbtide_ingest::partitions::{
    InspectPartitionsError, LossCase, PartitionClient, PartitionReport, accept_loss,
};
use ebbtide_policy::Policy;
use ebbtide_table::{LossCause, OpenError, Root, Table, TableSpec};

use crate::commit_clock::{CommitClockError, commit_time};
use crate::maintenance_setup::{MaintenanceSetup, MaintenanceSetupError};

/// The reason why partitions could not be listed, or no loss accepted.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    /// The configuration, the policy or the root cannot be used.
    #[error(transparent)]
    Setup(#[from] MaintenanceSetupError),
    /// No product reads the topic.
    #[error("no product of the policy reads topic {0}")]
    Topic(Topic),
    /// The product has no table.
    #[error("product {0} has no table yet; `ebbtide run` creates it")]
    NoTable(ProductKey),
    /// The client library refuses properties of the configuration.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Properties(Vec<RefusedProperty>),
    /// The clock is not trusted, or cannot be checked.
    #[error(transparent)]
    Clock(#[from] CommitClockError),
    /// A table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The brokers did not answer, or the decision was not recorded.
    #[error(transparent)]
    Partitions(#[from] InspectPartitionsError),
}

/// The partitions of all topics.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct AllPartitions {
    /// The partitions, product by product.
    pub reports: Vec<PartitionReport>,
    /// The topics that could not be read, each with the reason.
    #[serde(skip)]
    pub faults: BTreeMap<Topic, String>,
}

/// A decision that was made, or would be made.
#[derive(Debug, Serialize)]
pub struct AcceptLossReport {
    /// The product whose table reads the partition.
    pub product: ProductKey,
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The table's next offset before the decision.
    pub table: Option<Offset>,
    /// The first offset that Kafka has.
    pub first: Offset,
    /// The offset after the last record that may be read.
    pub end: Offset,
    /// The reason of the refusal; absent if the partition is not refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<LossCause>,
    /// The lost records in words; absent if the partition is not refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
    /// The number of lost offsets.
    pub lost_offsets: u64,
    /// The offset at which reading continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<Offset>,
    /// The table's version that records the decision; absent if nothing was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The offsets that Kafka has, in words.
    #[serde(skip)]
    pub range: String,
}

/// Returns the partitions of all topics of the policy.
pub async fn list(setup: &MaintenanceSetup) -> Result<AllPartitions, PartitionError> {
    check_properties(setup)?;
    let root = setup.root(None).await?;
    let policy = &setup.loaded.policy;
    let client = PartitionClient::new(&setup.config.kafka)?;
    let (mut reports, mut faults) = (Vec::new(), BTreeMap::new());
    for product in policy.products.values() {
        let Some(records) = &product.records else {
            continue;
        };
        let Some(table) = table(&root, policy, &product.key).await? else {
            continue;
        };
        let list = client.list(&table, &records.topics)?;
        reports.extend(list.reports);
        faults.extend(list.faults);
    }
    Ok(AllPartitions { reports, faults })
}

/// Records in the table that the lost records of a partition are accepted as lost. Without a clock,
/// only returns what would be recorded.
pub async fn accept(
    setup: &MaintenanceSetup,
    partition: &TopicPartition,
    clock: Option<&SharedClock>,
) -> Result<AcceptLossReport, PartitionError> {
    check_properties(setup)?;
    let policy = &setup.loaded.policy;
    let product = reader(policy, &partition.topic)?;
    let root = setup.root(None).await?;
    let at = match clock {
        Some(clock) => Some(commit_time(&root, clock, &setup.config.sweep).await?),
        None => None,
    };
    if let Some(at) = at {
        setup.prepare_commit(&root, at).await?;
    }
    let found = table(&root, policy, product).await?;
    let mut table = found.ok_or_else(|| PartitionError::NoTable(product.clone()))?;
    let case = PartitionClient::new(&setup.config.kafka)?.look(&table, partition)?;
    let version = match (&case.refusal, at) {
        (Some(refusal), Some(at)) => {
            Some(accept_loss(&mut table, refusal, &policy.version, at).await?)
        }
        _ => None,
    };
    Ok(AcceptLossReport::new(product, partition, &case, version))
}

fn check_properties(setup: &MaintenanceSetup) -> Result<(), PartitionError> {
    let refused = refused_properties(&setup.config);
    match refused.is_empty() {
        true => Ok(()),
        false => Err(PartitionError::Properties(refused)),
    }
}

/// Returns the product that reads a topic.
fn reader<'p>(policy: &'p Policy, topic: &Topic) -> Result<&'p ProductKey, PartitionError> {
    let reads = |product: &&ebbtide_policy::Product| {
        product
            .records
            .as_ref()
            .is_some_and(|records| records.topics.contains(topic))
    };
    match policy.products.values().find(reads) {
        Some(product) => Ok(&product.key),
        None => Err(PartitionError::Topic(topic.clone())),
    }
}

/// Returns the existing table of a product; `None` if the table does not exist.
async fn table(
    root: &Root,
    policy: &Policy,
    product: &ProductKey,
) -> Result<Option<Table>, PartitionError> {
    let spec = TableSpec::all(policy).find(|spec| spec.product == *product);
    match spec {
        Some(spec) => Ok(Table::existing(root, spec).await?),
        None => Ok(None),
    }
}

impl AcceptLossReport {
    fn new(
        product: &ProductKey,
        partition: &TopicPartition,
        case: &LossCase,
        version: Option<u64>,
    ) -> Self {
        let refusal = case.refusal.as_ref();
        Self {
            product: product.clone(),
            partition: partition.clone(),
            table: case.table.map(|table| table.next),
            first: case.kafka.first,
            end: case.kafka.end,
            cause: refusal.map(|refusal| refusal.cause),
            loss: refusal.map(|refusal| refusal.loss()),
            lost_offsets: refusal.map_or(0, |refusal| refusal.lost_offsets()),
            resume: refusal.map(|refusal| refusal.resume()),
            version,
            range: case.kafka.range().to_string(),
        }
    }
}
