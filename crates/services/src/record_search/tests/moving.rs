//! Tests of answers while the table is rewritten and the replaced files are unlinked immediately.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{ask, person, record_search};
use crate::record_search::{FindError, RecordSearch};
use ebbtide_table::testing::{filled, noon, rewrite, root};
use ebbtide_table::{Predicate, Root, SegmentedTable, SplitResult, StoredSegment};

/// Merges all segments or splits one, and unlinks the replaced files: readers have no grace period.
async fn turn(root: &Root, table: &mut SegmentedTable, number: usize) {
    let all: Vec<StoredSegment> = table.segments().iter().cloned().collect();
    let customer = format!("customer-{}", number % 7);
    let (old, new) = if all.len() > 5 {
        (
            all.clone(),
            table.splice(&all, &BTreeSet::new()).await.unwrap().segments,
        )
    } else {
        let one = all[number % all.len()].clone();
        let predicate = Predicate::Is {
            column: "customer_id".to_owned(),
            value: customer,
        };
        match table.split(&one, &predicate).await.unwrap() {
            SplitResult::Both { matching, rest } => (vec![one], vec![matching, rest]),
            SplitResult::None | SplitResult::All => (
                all.clone(),
                table.splice(&all, &BTreeSet::new()).await.unwrap().segments,
            ),
        }
    };
    let done = rewrite(table.segments(), old.clone(), new);
    table.commit_rewrite(done).await.unwrap();
    for segment in old {
        std::fs::remove_file(
            root.table_folder(&"sms".parse().unwrap())
                .join(&*segment.path),
        )
        .unwrap();
    }
}

async fn while_the_table_turns(search: RecordSearch, turns: usize) -> (usize, usize) {
    let root = search.root().clone();
    let search = Arc::new(search);
    let mut table = SegmentedTable::load(filled(&root, 6).await).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..3_u32)
        .map(|number| {
            let (search, over) = (Arc::clone(&search), Arc::clone(&over));
            tokio::spawn(async move {
                let (mut whole, mut not) = (0, 0);
                let expected: Vec<i64> = (0..6)
                    .map(|hundred| hundred * 100 + i64::from(number))
                    .collect();
                while !over.load(Ordering::SeqCst) {
                    match ask(&search, &person(number), noon()).await {
                        Ok(answer) => {
                            assert_eq!(
                                answer.offsets(),
                                expected,
                                "of version {:?}",
                                answer.version
                            );
                            whole += 1;
                        }
                        Err(FindError::Moved { .. } | FindError::Segment { .. }) => not += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                (whole, not)
            })
        })
        .collect();
    for number in 0..turns {
        turn(&root, &mut table, number).await;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    over.store(true, Ordering::SeqCst);
    let (mut whole, mut not) = (0, 0);
    for asker in askers {
        let (more_whole, more_not) = asker.await.unwrap();
        (whole, not) = (whole + more_whole, not + more_not);
    }
    (whole, not)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_gathered_begins_again_and_is_never_wrong_nor_doubled() {
    let (_folder, root) = root();
    let (whole, not) = while_the_table_turns(record_search(&root), 40).await;
    assert!(
        whole > 30 && not * 5 < whole,
        "{whole} whole answers, {not} that were not"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_gathered_is_right_or_says_that_it_is_not_whole() {
    let (_folder, root) = root();
    let (whole, not) = while_the_table_turns(record_search(&root).gathering(0), 40).await;
    assert!(whole > 5, "{whole} whole answers, {not} that were not");
}
