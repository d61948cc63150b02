//! A hold on a real table: exactly the rows that it covers are split off, as whole rows.

use std::collections::BTreeSet;

use crate::testing::{order, policy, signature};
use crate::{Controls, Scope, SegmentView, TimeRange, place};
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_policy::Calendar;
use ebbtide_table::testing::{MARKER, batch, noon, root, spec};
use ebbtide_table::{SegmentIndex, SplitResult, Table};

/// Places a hold and splits the only segment, of 700 rows, by it. Returns the number of held rows;
/// errors if none or all of them are held.
async fn held(scope: Scope) -> Result<u64, &'static str> {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 700).await;
    table.commit(work).await.unwrap();
    place(&root, order(scope), &signature()).await.unwrap();
    table.refresh().await.unwrap();
    let controls = Controls::load(&root, table.controls()).await.unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    let source = index.iter().next().unwrap().clone();
    let (policy, product) = (policy(), "sms".parse::<ProductKey>().unwrap());
    let records = policy.products[&product].records.as_ref().unwrap();
    let calendar = Calendar::new(policy.zone, policy.bucket);
    let deleted: BTreeSet<Category> = BTreeSet::new();
    let segment = SegmentView::new(&calendar, source.bucket, deleted);
    let holds = controls.in_force(noon());
    // The table's log contains less about the segment, so its view must not exclude more rows.
    let listed = SegmentView::of(&calendar, &source, records);
    assert!(
        holds.may_cover(&product, records, &listed) >= holds.may_cover(&product, records, &segment)
    );
    let Some(predicate) = holds.predicate(&product, records, &segment) else {
        return Err("none");
    };
    match table.split(&source, &predicate).await.unwrap() {
        SplitResult::None => Err("none"),
        SplitResult::All => Err("all"),
        SplitResult::Both { matching, rest } => {
            assert_eq!(matching.rows() + rest.rows(), 700);
            Ok(matching.rows())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_hold_are_distinguished_from_their_neighbours() {
    let subject = || Some(format!("phone:{MARKER}-7").parse().unwrap());
    let tenant = || Some("customer-0".to_owned());
    assert_eq!(
        held(Scope {
            subject: subject(),
            ..Scope::default()
        })
        .await,
        Ok(7)
    );
    assert_eq!(
        held(Scope {
            tenant: tenant(),
            ..Scope::default()
        })
        .await,
        Ok(100)
    );
    assert_eq!(
        held(Scope {
            subject: subject(),
            tenant: tenant(),
            ..Scope::default()
        })
        .await,
        Ok(1)
    );
    let events = |from, to| {
        Some(TimeRange {
            from: Some(noon() + from),
            to: Some(noon() + to),
        })
    };
    let second = chrono::TimeDelta::seconds(1);
    assert_eq!(
        held(Scope {
            events: events(-second, second),
            ..Scope::default()
        })
        .await,
        Err("all")
    );
    assert_eq!(
        held(Scope {
            events: events(second, second * 2),
            ..Scope::default()
        })
        .await,
        Err("none")
    );
    assert_eq!(
        held(Scope {
            products: vec!["sms".parse().unwrap()],
            ..Scope::default()
        })
        .await,
        Err("all")
    );
}
