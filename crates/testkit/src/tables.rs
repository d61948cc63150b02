//! Tables full of synthetic records, and the shipped policy that they follow.

pub mod categories;
pub mod people;
pub mod sms;

use arrow::datatypes::{DataType, TimeUnit};
use ebbtide_base::ids::{Offset, TopicPartition};
use ebbtide_policy::Policy;
use ebbtide_services::policy_file::read_policy;
use ebbtide_table::{
    ColumnRole, Evidence, IngestCommit, OffsetAdvance, PartitionEvidence, Segment, Table,
    TableColumn,
};

use super::repo;

/// Returns the shipped policy.
pub fn shipped_policy() -> Policy {
    read_policy(&repo().join("config/policy.yaml"))
        .expect("the shipped policy")
        .policy
        .expect("a clean policy")
}

/// The records of one partition that a commit stores.
pub struct StoredOffsets {
    pub partition: TopicPartition,
    /// The first offset; `None` for the first commit of the partition.
    pub from: Option<Offset>,
    pub next: Offset,
}

impl StoredOffsets {
    /// Returns the number of records.
    pub fn records(&self) -> u64 {
        let from = self.from.map_or(0, |from| from.0);
        u64::try_from(self.next.0 - from).expect("offsets in order")
    }
}

/// Commits written segments with the records of one partition. `evidence` has the counts of the
/// records that are stored; this adds the number that was read.
pub async fn commit(
    table: &mut Table,
    segments: Vec<Segment>,
    offsets: StoredOffsets,
    mut evidence: Evidence,
) {
    let records = offsets.records();
    let StoredOffsets {
        partition,
        from,
        next,
    } = offsets;
    evidence.read = records;
    evidence.partitions = vec![PartitionEvidence {
        partition: partition.clone(),
        from,
        next,
        records,
    }];
    let advances = vec![OffsetAdvance {
        partition,
        from,
        next,
        topic: None,
    }];
    let batch = IngestCommit {
        segments,
        advances,
        controls: table.controls(),
        evidence,
    };
    table.commit(batch).await.expect("a commit");
}

/// Returns the type of columns with instants.
fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn column(name: &str, data_type: DataType, role: ColumnRole, bloom: bool) -> TableColumn {
    TableColumn {
        name: name.to_owned(),
        data_type,
        role,
        doc: None,
        bloom,
    }
}

/// Returns the role of a column of a category.
fn personal(category: &str) -> ColumnRole {
    ColumnRole::Personal(category.parse().expect("a category"))
}
