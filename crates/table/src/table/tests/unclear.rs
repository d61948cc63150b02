//! The answer of each kind of commit after the store lost an answer: it landed, nothing landed, or
//! the outcome is unknown.

use std::time::Duration;

use uuid::Uuid;

use crate::evidence::{LossCause, OffsetLoss, PartitionEvidence};
use crate::testing::flaky::{FlakyStore, LogPut};
use crate::testing::{batch, filled, noon, partition, rewrite, spec};
use crate::{
    AcceptLossError, CommitError, ControlsVersion, Evidence, IngestCommit, LossDecision,
    PolicyCommit, RewriteCommit, Root, SegmentIndex, StoreError, Table, take_force,
};
use ebbtide_base::ids::{Offset, PolicyVersion};

/// A commit of each kind, prepared so that it may be repeated.
#[derive(Debug, Clone)]
enum Prepared {
    Ingest(IngestCommit),
    Rewrite(RewriteCommit),
    Controls(Evidence),
    Policy(Evidence),
    Loss(LossDecision, Evidence),
    Notices(u64, Evidence),
}

fn policy() -> PolicyVersion {
    "2026-09-01".parse().unwrap()
}

fn control(operation: &str) -> Evidence {
    Evidence::control(operation, Uuid::nil(), noon(), policy())
}

/// Returns a table with one segment, and one commit of each kind to it.
async fn prepared(root: &Root) -> (Table, Vec<Prepared>) {
    let table = filled(root, 1).await;
    let ingest = batch(&table, 0, Some(100), 200).await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let old = index.iter().cloned().collect();
    let decision = LossDecision {
        partition: partition(0),
        from: Offset(100),
        mark: None,
        next: Offset(140),
        topic: None,
    };
    let moved = PartitionEvidence {
        partition: partition(0),
        from: Some(Offset(100)),
        next: Offset(140),
        records: 0,
    };
    let loss = OffsetLoss {
        partition: partition(0),
        cause: LossCause::Deleted,
        offsets: 40,
    };
    let accepted = Evidence::accept_loss(Uuid::new_v4(), noon(), policy(), moved, loss);
    let commits = vec![
        Prepared::Ingest(ingest),
        Prepared::Rewrite(rewrite(&index, old, Vec::new())),
        Prepared::Controls(control("hold")),
        Prepared::Policy(control("activate")),
        Prepared::Loss(decision, accepted),
        Prepared::Notices(table.version(), control("notices")),
    ];
    (table, commits)
}

/// Makes the commit. Returns false if the table shows that nothing is left to do.
async fn make(table: &mut Table, root: &Root, commit: &Prepared) -> Result<bool, CommitError> {
    match commit.clone() {
        Prepared::Ingest(batch) => table.commit(batch).await.map(|_| true),
        Prepared::Rewrite(rewrite) => table.commit_rewrite(rewrite).await.map(|_| true),
        Prepared::Controls(evidence) => {
            let raised = table.commit_controls(ControlsVersion(1), evidence);
            raised.await.map(|_| true)
        }
        Prepared::Policy(evidence) => {
            let taking = PolicyCommit {
                control: ControlsVersion(1),
                policy: "2027-01-01".parse().unwrap(),
            };
            let product = "sms".parse().unwrap();
            take_force(root, &product, Some(spec()), taking, evidence).await
        }
        Prepared::Loss(decision, evidence) => match table.accept_loss(&decision, evidence).await {
            Ok(_) => Ok(true),
            Err(AcceptLossError::Moved { .. }) => Ok(false),
            Err(AcceptLossError::Commit(error)) => Err(error),
        },
        Prepared::Notices(seen_at, evidence) => {
            table
                .record_notices(ControlsVersion(1), seen_at, evidence)
                .await
        }
    }
}

async fn version(root: &Root) -> u64 {
    let table = Table::existing(root, spec()).await.unwrap();
    table.unwrap().version()
}

const KINDS: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn commit_whose_answer_is_lost_is_found_at_its_version() {
    for kind in 0..KINDS {
        let (store, root) = FlakyStore::plain_root();
        let (mut table, commits) = prepared(&root).await;
        store.fate(LogPut::AnswerLost);
        let made = make(&mut table, &root, &commits[kind]).await;
        assert!(matches!(made, Ok(true)), "{:?}: {made:?}", commits[kind]);
        assert_eq!(version(&root).await, 2, "{:?}", commits[kind]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_that_the_store_refuses_is_reported_as_not_landed() {
    for kind in 0..KINDS {
        let (store, root) = FlakyStore::root();
        let (mut table, commits) = prepared(&root).await;
        store.fate(LogPut::Refused);
        let made = make(&mut table, &root, &commits[kind]).await;
        assert!(
            matches!(made, Err(CommitError::Store(_))),
            "{:?}: {made:?}",
            commits[kind]
        );
        store.fate(LogPut::Answered);
        let made = make(&mut table, &root, &commits[kind]).await;
        assert!(matches!(made, Ok(true)), "{:?}: {made:?}", commits[kind]);
        assert_eq!(version(&root).await, 2, "{:?}", commits[kind]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_is_unknown_if_neither_its_answer_nor_the_log_can_be_read() {
    for kind in 0..KINDS {
        let (store, root) = FlakyStore::plain_root();
        let (mut table, commits) = prepared(&root).await;
        store.fate(LogPut::Silent);
        let made = make(&mut table, &root, &commits[kind]).await;
        assert!(
            matches!(made, Err(CommitError::Unknown(_))),
            "{:?}: {made:?}",
            commits[kind]
        );
        // It had landed, and is not made twice.
        store.fate(LogPut::Answered);
        make(&mut table, &root, &commits[kind]).await.unwrap();
        assert_eq!(version(&root).await, 2, "{:?}", commits[kind]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_that_may_still_land_is_unknown_and_lands_once() {
    let kinds = (0..KINDS).map(|kind| async move {
        let (store, root) = FlakyStore::root();
        let (mut table, commits) = prepared(&root).await;
        store.fate(LogPut::Late);
        let made = make(&mut table, &root, &commits[kind]).await;
        assert!(
            matches!(made, Err(CommitError::Unknown(_))),
            "{:?}: {made:?}",
            commits[kind]
        );
        store.fate(LogPut::Answered);
        assert_eq!(store.deliver().await, 1);
        make(&mut table, &root, &commits[kind]).await.unwrap();
        assert_eq!(version(&root).await, 2, "{:?}", commits[kind]);
    });
    futures::future::join_all(kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_whose_version_another_took_lands_at_the_next_one() {
    for kind in 0..KINDS {
        let (store, root) = FlakyStore::plain_root();
        let (mut table, commits) = prepared(&root).await;
        store.fate(LogPut::Overtaken);
        let made = make(&mut table, &root, &commits[kind]).await;
        assert!(matches!(made, Ok(true)), "{:?}: {made:?}", commits[kind]);
        assert_eq!(version(&root).await, 3, "{:?}", commits[kind]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_stops_if_the_store_never_shows_the_entry_that_exists() {
    let kinds = (0..KINDS).map(|kind| async move {
        let (store, root) = FlakyStore::plain_root();
        let (mut table, commits) = prepared(&root).await;
        store.fate(LogPut::Hidden);
        let made = make(&mut table, &root, &commits[kind]).await;
        assert!(
            matches!(
                made,
                Err(CommitError::Unknown(StoreError::EntryHidden { version: 2 }))
            ),
            "{:?}: {made:?}",
            commits[kind]
        );
        assert_eq!(store.undelivered(), 1, "a put is not repeated meanwhile");
        store.fate(LogPut::Answered);
        make(&mut table, &root, &commits[kind]).await.unwrap();
        assert_eq!(version(&root).await, 2, "{:?}", commits[kind]);
    });
    futures::future::join_all(kinds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_lands_after_an_entry_that_the_store_shows_late() {
    let (store, root) = FlakyStore::plain_root();
    let (mut table, commits) = prepared(&root).await;
    store.fate(LogPut::Hidden);
    let shown = async {
        while store.undelivered() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        store.fate(LogPut::Answered);
        assert_eq!(store.deliver().await, 1);
    };
    let (made, ()) = futures::join!(make(&mut table, &root, &commits[0]), shown);
    assert!(matches!(made, Ok(true)), "{made:?}");
    assert_eq!(version(&root).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn table_is_created_once_whatever_became_of_the_answer() {
    let (store, root) = FlakyStore::plain_root();
    store.fate(LogPut::AnswerLost);
    assert_eq!(Table::open(&root, spec()).await.unwrap().version(), 0);
    let (store, root) = FlakyStore::root();
    store.fate(LogPut::Late);
    assert!(Table::open(&root, spec()).await.is_err());
    store.fate(LogPut::Answered);
    assert_eq!(store.deliver().await, 1);
    assert_eq!(Table::open(&root, spec()).await.unwrap().version(), 0);
}
