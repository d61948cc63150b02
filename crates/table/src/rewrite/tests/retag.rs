//! Retag on real tables, and compared with new tags assigned row by row.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::FieldRef;
use chrono::TimeDelta;
use proptest::prelude::*;

use super::{
    ByCustomer, all, as_indexed, bytes, categories, column, filled, read, stored, tags, texts,
    varied,
};
use crate::reports::audit;
use crate::testing::{noon, rewrite, root, segment_tags, spec};
use crate::{
    Predicate, Retagging, RewriteError, Root, SegmentIndex, SegmentWriter, SplitResult,
    StoredSegment, Table,
};
use ebbtide_base::ids::{Deadline, ProfileId};

#[tokio::test(flavor = "multi_thread")]
async fn retag_of_one_customer_is_one_commit_and_keeps_the_audit_balanced() {
    let (_folder, root) = root();
    let (mut table, mut index) = filled(&root, 2).await;
    let old = all(&index);
    let new = tags(7, &[("content", Some(3))], None);
    let by = Arc::new(ByCustomer {
        of: vec![0, 0, 0, 1, 0, 0, 0],
        targets: vec![new.clone()],
    });
    let counted = table.retag_count(&old[0], by.clone()).await.unwrap();
    assert!(counted.len() == 1 && counted[0].0 == new && (14..=15).contains(&counted[0].1));
    let done = table.retag(&old, by.clone()).await.unwrap().unwrap();
    assert_eq!(
        (done.retagged, done.segments.len(), done.replaced.len()),
        (29, 4, 2)
    );
    assert_eq!(done.moved, [("content".parse().unwrap(), 29)].into());
    let mut work = rewrite(&index, done.replaced, done.segments);
    work.evidence.operation = "retag".to_owned();
    work.evidence.rewrite.as_mut().unwrap().retagged = done.retagged;
    table.commit_rewrite(work).await.unwrap();
    index = SegmentIndex::load(&table).await.unwrap();
    assert_eq!(table.profile_text(&new.profile), Some("the profile 7"));
    let content = "content".parse().unwrap();
    for segment in index.iter() {
        let moved = segment.profile == new.profile;
        let days = if moved { 3 } else { 90 };
        assert_eq!(
            segment.deadlines[&content],
            Deadline(noon() + TimeDelta::days(days))
        );
        assert_eq!(segment.deadlines.len(), 2);
    }
    assert!(audit(&root, &"sms".parse().unwrap()).await.unwrap().holds());
    // A second retag changes nothing.
    let rest: Vec<_> = index
        .iter()
        .filter(|segment| segment.profile != new.profile)
        .cloned()
        .collect();
    assert!(table.retag(&rest, by).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn segment_of_one_target_is_copied_without_deadlines_of_dropped_data() {
    let (_folder, root) = root();
    let (mut table, mut index) = filled(&root, 2).await;
    let dropped = table
        .splice(&all(&index), &categories(&["content"]))
        .await
        .unwrap();
    table
        .commit_rewrite(rewrite(&index, all(&index), dropped.segments))
        .await
        .unwrap();
    index = SegmentIndex::load(&table).await.unwrap();
    let old = all(&index);
    let new = tags(
        7,
        &[("content", Some(3)), ("phone_number", Some(4))],
        Some("2027"),
    );
    let by = Arc::new(ByCustomer {
        of: vec![1; 7],
        targets: vec![new],
    });
    let done = table.retag(&old, by).await.unwrap().unwrap();
    assert_eq!((done.retagged, done.segments.len()), (200, 1));
    assert_eq!(done.moved, [("phone_number".parse().unwrap(), 200)].into());
    let found = read(bytes(&root, done.segments[0].path()));
    assert_eq!(
        found
            .column_by_name("expires_content")
            .map_or(200, |column| column.null_count()),
        200
    );
    assert_eq!(
        found
            .column_by_name("expires_phone_number")
            .unwrap()
            .null_count(),
        0
    );
    assert!(
        column(&found, "policy_version")
            .iter()
            .all(|version| version == "2027")
    );
    // The look-up by bloom filters still works on the copied chunks.
    let mut copied = as_indexed(&done.segments[0]);
    copied.deadlines = Arc::default();
    let is = |value: &str| Predicate::Is {
        column: "customer_id".to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(table.matches(&copied, &is("absent")).await.unwrap(), 0);
    assert!(matches!(
        table.split(&copied, &is("customer-1")).await.unwrap(),
        SplitResult::Both { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_and_segments_of_two_kinds_are_refused() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 2).await;
    let by: Arc<dyn Retagging> = Arc::new(ByCustomer {
        of: vec![0; 7],
        targets: Vec::new(),
    });
    let mut old = all(&index);
    old[0].profile = ProfileId::of_hash([1; 6]);
    assert!(matches!(
        table.retag(&old, by.clone()).await,
        Err(RewriteError::Store(_))
    ));
    old[1].cells = true;
    assert!(matches!(
        table.retag(&old[1..], by).await,
        Err(RewriteError::Store(_))
    ));
}

/// Writes two segments whose phone numbers have an open deadline: one with values, one with nulls
/// only.
async fn open_and_null(table: &Table) -> [StoredSegment; 2] {
    let mut tags = segment_tags();
    tags.deadlines[1].1 = None;
    let without = |rows: &RecordBatch| {
        let of = |(field, column): (&FieldRef, &ArrayRef)| match field.name().as_str() {
            "recipient" | "sent_at" => new_null_array(field.data_type(), column.len()),
            _ => Arc::clone(column),
        };
        RecordBatch::try_new(
            rows.schema(),
            rows.schema()
                .fields()
                .iter()
                .zip(rows.columns())
                .map(of)
                .collect(),
        )
        .unwrap()
    };
    let mut segments = Vec::new();
    for rows in [varied(0, 20), without(&varied(20, 40))] {
        let mut writer = SegmentWriter::new(table.spec().clone(), tags.clone(), &[]).unwrap();
        writer.write(&rows).unwrap();
        let mut open = as_indexed(&table.put(writer.finish().unwrap()).await.unwrap());
        Arc::make_mut(&mut open.deadlines).remove(&"phone_number".parse().unwrap());
        segments.push(open);
    }
    segments.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_deadline_is_set_also_on_rows_without_the_data_as_on_arrival() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let [some, none] = open_and_null(&table).await;
    let new = tags(7, &[("phone_number", Some(3))], None);
    for (of, sources, segments) in [
        (vec![1; 7], vec![none.clone()], 1),
        (vec![1; 7], vec![some, none.clone()], 1),
        (vec![1, 0, 1, 0, 1, 0, 1], vec![none], 2),
    ] {
        let by = Arc::new(ByCustomer {
            of,
            targets: vec![new.clone()],
        });
        let done = table.retag(&sources, by).await.unwrap().unwrap();
        assert_eq!(done.segments.len(), segments);
        let moved = done
            .segments
            .iter()
            .find(|segment| *segment.profile() == new.profile)
            .unwrap();
        let found = read(bytes(&root, moved.path()));
        assert_eq!(
            found
                .column_by_name("expires_phone_number")
                .map(|column| column.null_count()),
            Some(0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_category_share_no_file_with_rows_where_it_is_open() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let [_, open] = open_and_null(&table).await;
    let spliced = table
        .splice(
            &[stored(&table, &varied(40, 60)).await],
            &categories(&["phone_number"]),
        )
        .await
        .unwrap();
    let mut lost = as_indexed(&spliced.segments[0]);
    Arc::make_mut(&mut lost.deadlines).remove(&"phone_number".parse().unwrap());
    let by = Arc::new(ByCustomer {
        of: vec![1; 7],
        targets: vec![tags(7, &[("phone_number", Some(3))], None)],
    });
    let done = table.retag(&[open, lost], by).await.unwrap().unwrap();
    let deadlines = done.segments.iter().map(|segment| {
        let found = read(bytes(&root, segment.path()));
        found
            .column_by_name("expires_phone_number")
            .map_or(found.num_rows(), |column| column.null_count())
    });
    assert_eq!(deadlines.collect::<Vec<_>>(), [0, 20]);
}

/// A segment with its original rows; `mixed` is true if only some of its rows lost their content.
struct OriginalSegment {
    segment: StoredSegment,
    rows: RecordBatch,
    mixed: bool,
}

/// Writes one segment as ingest does, one without content, and one in which some rows lost theirs.
async fn segments(root: &Root, table: &Table) -> Vec<OriginalSegment> {
    let plain = stored(table, &varied(0, 150)).await;
    let lost = |from, next| async move {
        let whole = stored(table, &varied(from, next)).await;
        let spliced = table
            .splice(&[whole], &categories(&["content"]))
            .await
            .unwrap();
        let mut lost = as_indexed(&spliced.segments[0]);
        Arc::make_mut(&mut lost.deadlines).remove(&"content".parse().unwrap());
        lost
    };
    let first = lost(150, 270).await;
    let parts = [lost(270, 330).await, stored(table, &varied(330, 400)).await];
    let merged = table.splice(&parts, &categories(&[])).await.unwrap();
    let known = |segment: StoredSegment, mixed| {
        let rows = read(bytes(root, &segment.path));
        OriginalSegment {
            segment,
            rows,
            mixed,
        }
    };
    vec![
        known(plain, false),
        known(first, false),
        known(as_indexed(&merged.segments[0]), true),
    ]
}

fn instant(at: Deadline) -> String {
    let column: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![at.micros()]).with_timezone("UTC"));
    texts(&column).remove(0)
}

/// Returns every row as texts, with the columns of the table in order.
fn rows_of(names: &[String], rows: &RecordBatch) -> Vec<Vec<String>> {
    let columns: Vec<Vec<String>> = names
        .iter()
        .map(|name| {
            rows.column_by_name(name)
                .map_or_else(|| vec!["-".to_owned(); rows.num_rows()], texts)
        })
        .collect();
    (0..rows.num_rows())
        .map(|row| columns.iter().map(|column| column[row].clone()).collect())
        .collect()
}

/// Computes the expected rows of each profile one by one; `None` stands for unchanged rows.
fn expected(
    names: &[String],
    known: &[OriginalSegment],
    by: &ByCustomer,
) -> BTreeMap<Option<ProfileId>, Vec<Vec<String>>> {
    let mut rows: BTreeMap<Option<ProfileId>, Vec<Vec<String>>> = BTreeMap::new();
    for of in known {
        let customers = column(&of.rows, "customer_id");
        let number = |customer: &str| {
            customer
                .strip_prefix("customer-")
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        if customers
            .iter()
            .all(|customer| by.of[number(customer)] == 0)
        {
            continue;
        }
        for (customer, mut row) in customers.iter().zip(rows_of(names, &of.rows)) {
            let tags = by.target(by.of[number(customer)]);
            for (category, at) in tags.iter().flat_map(|tags| &tags.deadlines) {
                let place = names
                    .iter()
                    .position(|name| *name == format!("expires_{category}"))
                    .unwrap();
                let is_dropped = category.as_str() == "content"
                    && (of.rows.column_by_name("body").is_none()
                        || (of.mixed && row[place] == "-"));
                row[place] = at
                    .filter(|_| !is_dropped)
                    .map_or_else(|| "-".to_owned(), instant);
            }
            if let Some(version) = tags.as_ref().and_then(|tags| tags.policy_version.as_ref()) {
                let place = names
                    .iter()
                    .position(|name| name == "policy_version")
                    .unwrap();
                row[place] = version.to_string();
            }
            rows.entry(tags.map(|tags| tags.profile))
                .or_default()
                .push(row);
        }
    }
    rows.values_mut().for_each(|rows| rows.sort());
    rows
}

fn cases() -> impl Strategy<Value = ByCustomer> {
    let due = prop::option::of(1i64..400);
    let one = (
        prop::option::of(due.clone()),
        prop::option::of(due),
        any::<bool>(),
    );
    let many = prop::collection::vec(one, 1..7);
    let numbers = prop_oneof![
        prop::collection::vec(0u64..7, 7),
        prop::collection::vec(0u64..2, 7),
        (0u64..7).prop_map(|one| vec![one; 7])
    ];
    (many, numbers).prop_map(|(drawn, numbers)| {
        let of = numbers
            .into_iter()
            .map(|number| number.min(drawn.len() as u64))
            .collect();
        let targets = drawn
            .into_iter()
            .enumerate()
            .map(|(number, (content, phone, version))| {
                let named = [("content", content), ("phone_number", phone)];
                let named: Vec<_> = named
                    .into_iter()
                    .filter_map(|(name, days)| Some((name, days?)))
                    .collect();
                tags(
                    u8::try_from(number).unwrap() + 1,
                    &named,
                    version.then_some("2027-01-01"),
                )
            });
        ByCustomer {
            of,
            targets: targets.collect(),
        }
    })
}

async fn check(
    root: &Root,
    table: &Table,
    known: &[OriginalSegment],
    by: ByCustomer,
) -> Result<(), TestCaseError> {
    let names: Vec<String> = table
        .spec()
        .stored()
        .map(|column| column.name.clone())
        .collect();
    let wanted = expected(&names, known, &by);
    let changing = wanted.iter().filter(|(profile, _)| profile.is_some());
    let changing: usize = changing.map(|(_, rows)| rows.len()).sum();
    let sources: Vec<StoredSegment> = known.iter().map(|known| known.segment.clone()).collect();
    let Some(done) = table.retag(&sources, Arc::new(by)).await.unwrap() else {
        prop_assert!(wanted.is_empty());
        return Ok(());
    };
    prop_assert_eq!(done.retagged, changing as u64);
    let mut found: BTreeMap<Option<ProfileId>, Vec<Vec<String>>> = BTreeMap::new();
    for segment in &done.segments {
        let rows = read(bytes(root, segment.path()));
        let profile =
            Some(segment.profile().clone()).filter(|profile| *profile != sources[0].profile);
        found
            .entry(profile)
            .or_default()
            .extend(rows_of(&names, &rows));
    }
    found.values_mut().for_each(|rows| rows.sort());
    prop_assert_eq!(found, wanted);
    table.discard(done.segments).await;
    Ok(())
}

#[test]
fn retag_gives_each_row_its_own_tags_and_changes_nothing_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root) = root();
    let (table, known) = runtime.block_on(async {
        let table = Table::open(&root, spec()).await.unwrap();
        let known = segments(&root, &table).await;
        (table, known)
    });
    proptest!(ProptestConfig::with_cases(96), |(by in cases())| {
        runtime.block_on(check(&root, &table, &known, by))?;
    });
}
