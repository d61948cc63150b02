mod moving;
mod query;
mod visibility;

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;

use super::{
    FindError, HELD_BY, RecordSearch, SearchEvent, SearchProgress, SearchRequest,
    SearchRequestError, SearchSummary, SkipReason,
};
use ebbtide_controls::testing::{order, policy, signature};
use ebbtide_controls::{HoldOrder, Scope, TimeRange, place};
use ebbtide_query::products;
use ebbtide_table::Root;
use ebbtide_table::testing::{MARKER, filled, noon, root};

/// The complete answer of one product: the version, the records and the totals.
pub(super) struct CompleteAnswer {
    pub version: Option<u64>,
    pub rows: Vec<RecordBatch>,
    pub summary: SearchSummary,
}

impl CompleteAnswer {
    /// Returns the offsets of the records, sorted.
    pub fn offsets(&self) -> Vec<i64> {
        let of = |rows: &RecordBatch| -> Vec<i64> {
            rows.column_by_name("source_offset")
                .unwrap()
                .as_primitive::<Int64Type>()
                .values()
                .to_vec()
        };
        let mut offsets: Vec<i64> = self.rows.iter().flat_map(of).collect();
        offsets.sort_unstable();
        offsets
    }

    /// Returns the texts of a column with the offsets, sorted by offset.
    pub fn texts(&self, column: &str) -> Vec<(i64, Option<String>)> {
        let of = |rows: &RecordBatch| -> Vec<(i64, Option<String>)> {
            let offsets = rows
                .column_by_name("source_offset")
                .unwrap()
                .as_primitive::<Int64Type>()
                .clone();
            let texts = rows
                .column_by_name(column)
                .unwrap()
                .as_string::<i32>()
                .clone();
            let text = |row| texts.is_valid(row).then(|| texts.value(row).to_owned());
            (0..rows.num_rows())
                .map(|row| (offsets.value(row), text(row)))
                .collect()
        };
        let mut texts: Vec<_> = self.rows.iter().flat_map(of).collect();
        texts.sort();
        texts
    }
}

/// Asks for records of `sms`.
pub(super) async fn ask(
    search: &Arc<RecordSearch>,
    inquiry: &SearchRequest,
    now: DateTime<Utc>,
) -> Result<CompleteAnswer, FindError> {
    let mut answer = search.find(
        inquiry,
        &"sms".parse().unwrap(),
        now,
        Arc::new(SearchProgress::default()),
    );
    let mut whole = CompleteAnswer {
        version: None,
        rows: Vec::new(),
        summary: SearchSummary::default(),
    };
    let Some(SearchEvent::Of(version)) = answer.next().await.transpose()? else {
        panic!("the version comes first")
    };
    whole.version = version;
    loop {
        match answer.next().await.unwrap()? {
            SearchEvent::Rows(rows) => whole.rows.push(rows),
            SearchEvent::End(summary) => {
                whole.summary = summary;
                assert!(answer.next().await.is_none());
                assert_eq!(
                    whole.summary.records,
                    whole
                        .rows
                        .iter()
                        .map(|rows| rows.num_rows() as u64)
                        .sum::<u64>()
                );
                return Ok(whole);
            }
            SearchEvent::Of(_) => panic!("the version comes once"),
        }
    }
}

pub(super) fn record_search(root: &Root) -> RecordSearch {
    RecordSearch::new(root.clone(), Arc::new(policy()), 1 << 20)
}

/// Returns an inquiry about the subject of every hundredth record.
pub(super) fn person(number: u32) -> SearchRequest {
    let subject = format!("phone:{MARKER}-{number}").parse().unwrap();
    SearchRequest {
        subject: Some(subject),
        ..SearchRequest::default()
    }
}

fn nothing() -> SearchSummary {
    SearchSummary {
        unnamed: vec!["media".to_owned()],
        ..SearchSummary::default()
    }
}

fn days(days: i64) -> DateTime<Utc> {
    noon() + TimeDelta::days(days)
}

async fn hold(root: &Root, scope: Scope) -> String {
    let order = HoldOrder {
        until: days(400),
        ..order(scope)
    };
    place(root, order, &signature())
        .await
        .unwrap()
        .id
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_records_are_found_in_every_segment_of_one_version() {
    let (_folder, root) = root();
    let table = filled(&root, 3).await;
    let search = Arc::new(record_search(&root));
    let whole = ask(&search, &person(7), noon()).await.unwrap();
    assert_eq!(
        (whole.version, whole.offsets()),
        (Some(table.version()), vec![7, 107, 207])
    );
    // The tests' table has a column that the shipped policy does not name.
    assert_eq!(
        whole.summary,
        SearchSummary {
            records: 3,
            ..nothing()
        }
    );
    assert_eq!(
        whole.texts("body")[1],
        (107, Some(format!("{MARKER} hello 107")))
    );
    assert_eq!(whole.texts(HELD_BY)[1], (107, None));
    let unknown = ask(&search, &person(100), noon()).await.unwrap();
    assert_eq!(
        (unknown.version, unknown.offsets()),
        (Some(table.version()), vec![])
    );

    // Records that were committed since then are found immediately.
    let mut table = table;
    table
        .commit(ebbtide_table::testing::batch(&table, 0, Some(300), 400).await)
        .await
        .unwrap();
    let whole = ask(&search, &person(7), noon()).await.unwrap();
    assert_eq!(
        (whole.version, whole.offsets()),
        (Some(table.version()), vec![7, 107, 207, 307])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_country_and_time_are_conditions_too() {
    let (_folder, root) = root();
    filled(&root, 2).await;
    let search = Arc::new(record_search(&root));
    let tenant = SearchRequest {
        tenant: Some("customer-3".to_owned()),
        ..SearchRequest::default()
    };
    let expected: Vec<i64> = (0..200).filter(|offset| offset % 7 == 3).collect();
    assert_eq!(
        ask(&search, &tenant, noon()).await.unwrap().offsets(),
        expected
    );
    let country = SearchRequest {
        jurisdiction: Some("IN".parse().unwrap()),
        ..tenant.clone()
    };
    let expected: Vec<i64> = expected
        .into_iter()
        .filter(|offset| offset % 2 == 1)
        .collect();
    assert_eq!(
        ask(&search, &country, noon()).await.unwrap().offsets(),
        expected
    );
    let range = |from, to| SearchRequest {
        events: Some(TimeRange { from, to }),
        ..person(7)
    };
    let second = TimeDelta::seconds(1);
    for (from, to, some) in [
        (Some(noon()), None, true),
        (Some(noon() + second), None, false),
        (None, Some(noon() + second), true),
        (None, Some(noon()), false),
        (Some(noon() - second), Some(noon() + second), true),
        (Some(days(30)), None, false),
        (None, Some(days(-30)), false),
    ] {
        let found = ask(&search, &range(from, to), noon())
            .await
            .unwrap()
            .offsets();
        assert_eq!(!found.is_empty(), some, "{from:?} to {to:?}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_past_its_deadline_is_withheld_while_it_is_still_stored() {
    let (_folder, root) = root();
    filled(&root, 2).await;
    let search = Arc::new(record_search(&root));
    let before = ask(&search, &person(7), days(90) - TimeDelta::seconds(1))
        .await
        .unwrap();
    assert!(
        before.texts("body").iter().all(|(_, body)| body.is_some())
            && before.summary.withheld.is_empty()
    );
    let whole = ask(&search, &person(7), days(90)).await.unwrap();
    assert_eq!(whole.texts("body"), [(7, None), (107, None)]);
    assert_eq!(
        whole.summary.withheld,
        [("content".parse().unwrap(), 2)].into()
    );
    assert!(
        whole
            .texts("recipient")
            .iter()
            .all(|(_, recipient)| recipient.is_some())
    );
    // The number is deleted last. After that no search finds the records, because they have ended.
    assert_eq!(
        ask(&search, &person(7), days(180)).await.unwrap().summary,
        nothing()
    );
    let tenant = SearchRequest {
        tenant: Some("customer-3".to_owned()),
        ..SearchRequest::default()
    };
    assert_eq!(
        ask(&search, &tenant, days(180)).await.unwrap().summary,
        nothing()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn held_record_is_shown_whole_with_its_hold_and_its_neighbours_are_not() {
    let (_folder, root) = root();
    filled(&root, 2).await;
    let search = Arc::new(record_search(&root));
    let id = hold(
        &root,
        Scope {
            tenant: Some("customer-2".to_owned()),
            ..Scope::default()
        },
    )
    .await;
    // Record 107 belongs to customer-2, record 7 to customer-0.
    let whole = ask(&search, &person(7), days(100)).await.unwrap();
    assert_eq!(
        whole.texts("body"),
        [(7, None), (107, Some(format!("{MARKER} hello 107")))]
    );
    assert_eq!(whole.texts(HELD_BY), [(7, None), (107, Some(id.clone()))]);
    let expected = SearchSummary {
        records: 2,
        held: 1,
        withheld: [("content".parse().unwrap(), 1)].into(),
        ..nothing()
    };
    assert_eq!(whole.summary, expected);
    let whole = ask(&search, &person(7), days(200)).await.unwrap();
    assert_eq!(
        whole.texts("body"),
        [(107, Some(format!("{MARKER} hello 107")))]
    );
    // When the hold ends, the record ends too.
    assert_eq!(
        ask(&search, &person(7), days(400)).await.unwrap().offsets(),
        [0; 0]
    );
    let second = hold(
        &root,
        Scope {
            subject: person(7).subject,
            ..Scope::default()
        },
    )
    .await;
    let whole = ask(&search, &person(7), days(200)).await.unwrap();
    assert_eq!(
        whole.texts(HELD_BY),
        [
            (7, Some(second.clone())),
            (107, Some(format!("{id}, {second}")))
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn skipped_tables_are_reported_and_impossible_requests_are_refused() {
    let (_folder, root) = root();
    filled(&root, 1).await;
    let search = record_search(&root);
    let tables = search.tables(&person(7)).await.unwrap();
    assert_eq!(
        (tables.looked_into, tables.passed),
        (products(&root).await.unwrap(), vec![])
    );
    let mail = SearchRequest {
        subject: Some("email:a@b.example".parse().unwrap()),
        ..SearchRequest::default()
    };
    let sms: ebbtide_base::ids::ProductKey = "sms".parse().unwrap();
    assert_eq!(
        search.tables(&mail).await.unwrap().passed,
        [(sms.clone(), SkipReason::NoSubject)]
    );
    let named = SearchRequest {
        products: vec![sms],
        ..mail
    };
    let refused = search.tables(&named).await.unwrap_err();
    assert!(matches!(
        refused,
        FindError::Inquiry(SearchRequestError::Product {
            why: SkipReason::NoSubject,
            ..
        })
    ));
    assert!(!format!("{refused}{refused:?}{named:?}").contains("a@b"));
    let unknown = SearchRequest {
        products: vec!["fax".parse().unwrap()],
        ..person(7)
    };
    assert!(search.tables(&unknown).await.is_err());
    assert!(matches!(
        search.tables(&SearchRequest::default()).await,
        Err(FindError::Inquiry(SearchRequestError::Everything))
    ));
    let range = TimeRange {
        from: Some(noon()),
        to: Some(noon()),
    };
    let never = SearchRequest {
        events: Some(range),
        ..SearchRequest::default()
    };
    assert!(matches!(
        search.tables(&never).await,
        Err(FindError::Inquiry(SearchRequestError::NoTime))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_without_a_table_has_no_records_a_missing_file_is_an_error() {
    let (_folder, root) = root();
    let search = Arc::new(record_search(&root));
    let none = ask(&search, &person(7), noon()).await.unwrap();
    assert_eq!(
        (none.version, none.summary),
        (None, SearchSummary::default())
    );
    let table = filled(&root, 2).await;
    assert_eq!(
        ask(&search, &person(7), noon()).await.unwrap().version,
        Some(table.version())
    );
    let index = ebbtide_table::SegmentIndex::load(&table).await.unwrap();
    let path = index.iter().next().unwrap().path.to_string();
    std::fs::remove_file(root.table_folder(&"sms".parse().unwrap()).join(&path)).unwrap();
    let refused = ask(&search, &person(7), noon()).await.err().unwrap();
    assert!(refused.to_string().contains(&path), "{refused}");
}
