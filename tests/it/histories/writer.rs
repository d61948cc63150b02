//! A writer that ingests as a lane does: it keeps its table and its triggers until a commit is
//! refused.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::ids::{Offset, Partition, TopicPartition};
use ebbtide_controls::{ControlsEffect, ProductNotices, SharedControls, changes_ingest};
use ebbtide_policy::Policy;
use ebbtide_policy::tag::{Arrivals, Tagger};
use ebbtide_table::{
    CommitError, Evidence, IngestCommit, OffsetAdvance, PartitionEvidence, Root, SegmentWriter,
    Table, TableSpec,
};
use uuid::Uuid;

use super::records::{Record, batch, sms};

/// The result of storing records.
pub enum Stored {
    /// The records are in the table, except this number of records that were past all their
    /// deadlines.
    Yes(u64),
    /// Nothing was stored: another policy is active.
    PolicyMoved,
}

/// A writer that stores the records of one partition.
pub struct Writer {
    controls: SharedControls,
    policy: Arc<Policy>,
    table: Table,
    tagger: Tagger,
    source: TopicPartition,
}

impl Writer {
    /// Opens the table, at the partition's next offset in it.
    pub async fn open(root: &Root, policy: &Arc<Policy>, partition: i32) -> Writer {
        let spec = Arc::new(TableSpec::of(policy, &sms()).unwrap());
        let table = Table::open(root, spec).await.unwrap();
        let source = TopicPartition {
            topic: "sms".parse().unwrap(),
            partition: Partition(partition),
        };
        let tagger = Tagger::new(policy, &sms()).unwrap();
        let mut writer = Writer {
            controls: SharedControls::new(root.clone()),
            policy: Arc::clone(policy),
            table,
            tagger,
            source,
        };
        writer.know().await;
        writer
    }

    /// Loads the controls that its table is under.
    async fn know(&mut self) {
        let controls = self.controls.newest(self.table.controls()).await.unwrap();
        let notices = ProductNotices::of(&controls, &sms(), self.tagger.calendar());
        self.tagger.know(notices.triggers(self.tagger.records()));
    }

    /// Stores records that arrive now, and writes them again if a control changes them.
    pub async fn ingest(&mut self, records: &[Record], offset: i64, now: DateTime<Utc>) -> Stored {
        loop {
            let mut batch = self.write(records, offset, now).await;
            loop {
                match self.table.commit(batch.clone()).await {
                    Ok(_) => return Stored::Yes(batch.evidence.expired),
                    Err(CommitError::PolicyMoved { .. }) => return self.give_up(batch).await,
                    Err(CommitError::ControlsMoved) => {}
                    Err(error) => panic!("{error}"),
                }
                let newest = self.table.controls();
                match changes_ingest(&self.controls, batch.controls, newest, &self.policy.version)
                    .await
                    .unwrap()
                {
                    ControlsEffect::Unchanged => batch.controls = newest,
                    ControlsEffect::Policy(_) => return self.give_up(batch).await,
                    ControlsEffect::Remake => break,
                }
            }
            self.table.discard(batch.segments).await;
            self.know().await;
        }
    }

    async fn give_up(&self, batch: IngestCommit) -> Stored {
        self.table.discard(batch.segments).await;
        Stored::PolicyMoved
    }

    async fn write(&self, records: &[Record], offset: i64, now: DateTime<Utc>) -> IngestCommit {
        let table = &self.table;
        let next = offset + i64::try_from(records.len()).unwrap();
        let offsets: Vec<i64> = (offset..next).collect();
        let arrivals = Arrivals {
            source: &self.source,
            offsets: &offsets,
            at: now,
        };
        let tagged = self
            .tagger
            .tag(
                &batch(&self.policy, records),
                &arrivals,
                TimeDelta::hours(1),
            )
            .unwrap();
        assert!(tagged.faults.is_empty(), "{:?}", tagged.faults);
        let (mut segments, mut stored) = (Vec::new(), 0);
        for group in tagged.groups {
            let mut writer =
                SegmentWriter::of_group(table.spec(), &group, &self.policy.version).unwrap();
            writer.write(&group.rows).unwrap();
            stored += group.rows.num_rows() as u64;
            segments.push(table.put(writer.finish().unwrap()).await.unwrap());
        }
        let mut evidence = Evidence::ingest(Uuid::nil(), now, self.policy.version.clone());
        (evidence.read, evidence.stored) = (records.len() as u64, stored);
        evidence.expired = evidence.read - stored;
        assert_eq!(evidence.expired, tagged.expired);
        let (from, next, records) = (table.next_offset(&self.source), Offset(next), evidence.read);
        assert_eq!(
            from.unwrap_or(Offset(0)),
            Offset(offset),
            "the position in {}",
            self.source.partition.0
        );
        evidence.partitions = vec![PartitionEvidence {
            partition: self.source.clone(),
            from,
            next,
            records,
        }];
        let advances = vec![OffsetAdvance {
            partition: self.source.clone(),
            from,
            next,
            topic: None,
        }];
        IngestCommit {
            segments,
            advances,
            controls: table.controls(),
            evidence,
        }
    }
}
