//! Controls whose append the store does not answer: appended, not appended, or unknown.

use crate::testing::{of_subject, order, signature};
use crate::{Controls, HoldOrder, PlaceHoldError, place, release};
use ebbtide_table::testing::flaky::{FlakyStore, LogPut};
use ebbtide_table::testing::{noon, spec};
use ebbtide_table::{ControlsVersion, Root, StoreError, Table};

fn hold() -> HoldOrder {
    order(of_subject())
}

async fn holds(root: &Root) -> usize {
    let controls = Controls::load(root, ControlsVersion(0)).await.unwrap();
    controls.in_force(noon()).iter().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_whose_answer_is_lost_is_placed_once_and_in_force() {
    let (store, root) = FlakyStore::plain_root();
    Table::open(&root, spec()).await.unwrap();
    store.fate(LogPut::AnswerLost);
    let placed = place(&root, hold(), &signature()).await.unwrap();
    assert_eq!(
        (placed.version, placed.tables.len()),
        (ControlsVersion(1), 1)
    );
    store.fate(LogPut::Answered);
    let released = release(&root, &placed.id, &signature()).await.unwrap();
    assert_eq!(released.version, ControlsVersion(2));
    assert_eq!(holds(&root).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_that_the_store_refuses_is_not_in_the_log() {
    let (store, root) = FlakyStore::root();
    store.fate(LogPut::Refused);
    let error = place(&root, hold(), &signature()).await.unwrap_err();
    assert!(
        matches!(error, PlaceHoldError::Log(StoreError::Object(_))),
        "{error:?}"
    );
    store.fate(LogPut::Answered);
    assert_eq!(holds(&root).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_that_may_be_in_the_log_is_said_to() {
    for (fate, (store, root)) in [
        (LogPut::Silent, FlakyStore::plain_root()),
        (LogPut::Late, FlakyStore::root()),
    ] {
        store.fate(fate);
        let error = place(&root, hold(), &signature()).await.unwrap_err();
        assert!(
            matches!(error, PlaceHoldError::Log(StoreError::OutcomeUnknown(_))),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .starts_with("it is unknown whether the entry landed, so check"),
            "{error}"
        );
        store.fate(LogPut::Answered);
        store.deliver().await;
        assert_eq!(holds(&root).await, 1);
    }
}
