//! The commit that records an operator's decision to continue after offsets that can never be read.
//!
//! It moves one partition's offset, with evidence of what is lost, and changes no row. It succeeds
//! only if the table's position is the one that the decision was made for.

use deltalake_core::kernel::{Action, Transaction};

use super::Table;
use super::actions::topic_action;
use super::requirement::Requirement;
use super::transaction::{LogHead, TableTransaction};
use crate::error::{CommitError, StoreError};
use crate::evidence::Evidence;
use crate::log::app_id;
use ebbtide_base::ids::{Offset, TopicId, TopicMark, TopicPartition};

/// A decision about one partition whose records were lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LossDecision {
    /// The partition.
    pub partition: TopicPartition,
    /// The table's next offset that the decision was made for.
    pub from: Offset,
    /// The mark of the topic that the table had recorded then.
    pub mark: Option<TopicMark>,
    /// The table's next offset from now on.
    pub next: Offset,
    /// The id of the topic that `next` belongs to.
    pub topic: Option<TopicId>,
}

/// The reason why a decision was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum AcceptLossError {
    /// The table's position is not the one that the decision was made for.
    #[error(
        "the table moved meanwhile: {partition} is at another offset now; look again with --dry-run"
    )]
    Moved {
        /// The partition.
        partition: TopicPartition,
    },
    /// The decision contradicts its evidence, or the store failed.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Table {
    /// Moves the partition as decided and returns the version of the commit. May be called again
    /// after any error.
    pub async fn accept_loss(
        &mut self,
        decision: &LossDecision,
        evidence: Evidence,
    ) -> Result<u64, AcceptLossError> {
        check(decision, &evidence).map_err(CommitError::Store)?;
        let transaction = TableTransaction {
            requirements: vec![
                Requirement::PositionIs {
                    partition: &decision.partition,
                    next: decision.from,
                    mark: decision.mark,
                },
                Requirement::PolicyIs(&evidence.policy_version),
            ],
            rows: None,
            actions: actions(decision, &evidence),
            evidence: &evidence,
        };
        let made = transaction.commit(LogHead {
            log: &self.log,
            state: &mut self.state,
            segments: None,
            lost_races: &mut self.lost_races,
        });
        made.await.map_err(|error| match error {
            CommitError::OffsetsMoved(partition) => AcceptLossError::Moved { partition },
            error => error.into(),
        })
    }
}

fn actions(decision: &LossDecision, evidence: &Evidence) -> Vec<Action> {
    let (partition, at) = (&decision.partition, evidence.at);
    let time = Some(at.timestamp_millis());
    let next = Transaction::new_with_last_update(app_id(partition), decision.next.0, time);
    let topic = decision
        .topic
        .map(|topic| topic_action(partition, topic.mark(), at));
    [Action::Txn(next)].into_iter().chain(topic).collect()
}

/// Refuses a decision that would change nothing, or that its evidence contradicts.
fn check(decision: &LossDecision, evidence: &Evidence) -> Result<(), StoreError> {
    let [moved] = evidence.partitions.as_slice() else {
        return Err(StoreError::Refused(
            "a decision moves exactly one partition".to_owned(),
        ));
    };
    let agrees = moved.partition == decision.partition
        && (moved.from, moved.next, moved.records) == (Some(decision.from), decision.next, 0)
        && evidence
            .losses
            .iter()
            .all(|loss| loss.partition == decision.partition)
        && evidence.losses.len() == 1
        && evidence.conserves();
    if !agrees {
        return Err(StoreError::Refused(format!(
            "the evidence moves {} otherwise than the decision",
            moved.partition
        )));
    }
    let same_topic = decision
        .topic
        .is_none_or(|topic| decision.mark == Some(topic.mark()));
    if (decision.next == decision.from && same_topic) || decision.next < Offset::ZERO {
        return Err(StoreError::Refused(format!(
            "{} would stay where it is",
            moved.partition
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::evidence::{LossCause, OffsetLoss, PartitionEvidence};
    use crate::reports::audit;
    use crate::testing::{batch, noon, partition, root, spec};

    const OLD: TopicId = TopicId(7);
    const NEW: TopicId = TopicId(8);

    fn decision(from: i64, next: i64, was: TopicId, topic: TopicId) -> LossDecision {
        let (from, next) = (Offset(from), Offset(next));
        LossDecision {
            partition: partition(0),
            from,
            mark: Some(was.mark()),
            next,
            topic: Some(topic),
        }
    }

    fn evidence(decision: &LossDecision, cause: LossCause, offsets: u64) -> Evidence {
        let LossDecision {
            partition,
            from,
            next,
            ..
        } = decision.clone();
        let moved = PartitionEvidence {
            partition: partition.clone(),
            from: Some(from),
            next,
            records: 0,
        };
        let loss = OffsetLoss {
            partition,
            cause,
            offsets,
        };
        let version = "2026-09-01".parse().unwrap();
        Evidence::accept_loss(
            Uuid::new_v4(),
            noon() + TimeDelta::hours(1),
            version,
            moved,
            loss,
        )
    }

    async fn commit(
        table: &mut Table,
        from: Option<i64>,
        next: i64,
        topic: TopicId,
    ) -> Result<u64, CommitError> {
        let mut batch = batch(table, 0, from, next).await;
        batch.advances[0].topic = Some(topic);
        table.commit(batch).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn accepted_losses_move_the_offset_and_the_audit_counts_them() {
        let (_folder, root) = root();
        let mut table = Table::open(&root, spec()).await.unwrap();
        commit(&mut table, None, 100, OLD).await.unwrap();
        let skip = decision(100, 140, OLD, OLD);
        table
            .accept_loss(&skip, evidence(&skip, LossCause::Deleted, 40))
            .await
            .unwrap();
        commit(&mut table, Some(140), 150, OLD).await.unwrap();
        // Recreated, with a beginning that is deleted already.
        let again = decision(150, 5, OLD, NEW);
        table
            .accept_loss(&again, evidence(&again, LossCause::Recreated, 5))
            .await
            .unwrap();
        assert_eq!(table.topic_mark(&partition(0)), Some(NEW.mark()));
        commit(&mut table, Some(5), 20, NEW).await.unwrap();

        let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
        assert_eq!(found.broken, []);
        let totals = found.totals.unwrap();
        assert_eq!(
            (totals.lost_offsets, totals.read, totals.commits),
            (45, 125, 5)
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_decision_for_another_offset_or_topic_is_refused() {
        let (_folder, root) = root();
        let mut table = Table::open(&root, spec()).await.unwrap();
        commit(&mut table, None, 100, OLD).await.unwrap();
        for wrong in [
            decision(99, 140, OLD, OLD),
            decision(100, 140, NEW, NEW),
            decision(0, 140, OLD, OLD),
        ] {
            let lost = u64::try_from(wrong.next.0 - wrong.from.0).unwrap();
            let refused = table
                .accept_loss(&wrong, evidence(&wrong, LossCause::Deleted, lost))
                .await;
            assert!(
                matches!(refused, Err(AcceptLossError::Moved { .. })),
                "{refused:?}"
            );
        }
        let nothing = decision(100, 100, OLD, OLD);
        table
            .accept_loss(&nothing, evidence(&nothing, LossCause::Deleted, 0))
            .await
            .unwrap_err();
        let decided = decision(100, 140, OLD, OLD);
        let other = decision(100, 150, OLD, OLD);
        table
            .accept_loss(&decided, evidence(&other, LossCause::Deleted, 50))
            .await
            .unwrap_err();
        assert_eq!(
            (table.version(), table.next_offset(&partition(0))),
            (1, Some(Offset(100)))
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_batch_of_the_old_topic_never_commits_at_an_offset_of_the_new_one() {
        let (_folder, root) = root();
        let mut table = Table::open(&root, spec()).await.unwrap();
        commit(&mut table, None, 100, OLD).await.unwrap();
        let mut late = batch(&table, 0, Some(100), 130).await;
        late.advances[0].topic = Some(OLD);
        let again = decision(100, 0, OLD, NEW);
        table
            .accept_loss(&again, evidence(&again, LossCause::Recreated, 0))
            .await
            .unwrap();
        commit(&mut table, Some(0), 100, NEW).await.unwrap();
        let refused = table.commit(late.clone()).await.unwrap_err();
        assert!(matches!(refused, CommitError::OffsetsMoved(_)), "{refused}");
        // A batch of the new topic does not commit either while the table's offset belongs to the
        // old one.
        let refused = commit(&mut table, Some(100), 130, OLD).await.unwrap_err();
        assert!(matches!(refused, CommitError::OffsetsMoved(_)), "{refused}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn landed_batch_is_found_after_a_decision_and_a_repeated_offset() {
        let (_folder, root) = root();
        let mut table = Table::open(&root, spec()).await.unwrap();
        commit(&mut table, None, 100, OLD).await.unwrap();
        let mut landed = batch(&table, 0, Some(100), 130).await;
        landed.advances[0].topic = Some(OLD);
        let version = table.commit(landed.clone()).await.unwrap();
        let again = decision(130, 0, OLD, NEW);
        table
            .accept_loss(&again, evidence(&again, LossCause::Recreated, 0))
            .await
            .unwrap();
        commit(&mut table, Some(0), 100, NEW).await.unwrap();
        commit(&mut table, Some(100), 110, NEW).await.unwrap();
        // Its writer asks again after an error: its files must not be treated as uncommitted.
        assert_eq!(table.commit(landed).await.unwrap(), version);
    }
}
