//! An attacker who has the cells, and knows all records except those of one person, searches for
//! that person.

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch};

use super::world::{CellKey, PublishedRow, TestRecord, batches, made, plan, rows};

const K: u32 = 5;
const NUMBER: &str = "919876543210";

/// Returns records of three cells with nine people each, and of two cells with two people each.
fn crowd() -> Vec<TestRecord> {
    let record = |tenant: &str, person: u32| TestRecord {
        tenant: Some(tenant.to_owned()),
        status: Some(1),
        recipient: Some(format!("3161234{person:04}")),
        segments: Some(2),
        price: Some(75),
        ..TestRecord::default()
    };
    let large = (0..27).map(|at| record(["acme", "globex", "initech"][at as usize % 3], at));
    large
        .chain((0..4).map(|at| record(["hooli", "umbrella"][at as usize % 2], 100 + at)))
        .collect()
}

/// Returns a record of the person who is searched for.
fn planted(tenant: &str, segments: i32) -> TestRecord {
    let recipient = Some(NUMBER.to_owned());
    TestRecord {
        tenant: Some(tenant.to_owned()),
        status: Some(1),
        recipient,
        segments: Some(segments),
        price: Some(75),
        ..TestRecord::default()
    }
}

fn by_key(batch: &RecordBatch) -> BTreeMap<CellKey, PublishedRow> {
    rows(batch)
        .into_iter()
        .map(|row| (row.key.clone(), row))
        .collect()
}

/// Returns every byte in the batch.
fn bytes(batch: &RecordBatch) -> Vec<u8> {
    let columns = batch.columns().iter().map(|column| column.to_data());
    columns
        .flat_map(|data| {
            data.buffers()
                .iter()
                .flat_map(|buffer| buffer.to_vec())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn holds(batch: &RecordBatch, text: &str) -> bool {
    bytes(batch)
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[test]
fn a_cell_that_is_there_for_one_person_only_is_not_there() {
    let mut records = crowd();
    records.extend([
        planted("vandelay", 31_337),
        planted("vandelay", 31_337),
        planted("hooli", 1),
    ]);
    let with = made(&plan(K), usize::MAX, &batches(&records, 7));
    let without = made(&plan(K), usize::MAX, &batches(&crowd(), 7));
    assert!(
        by_key(&with.rows)
            .keys()
            .all(|(tenant, ..)| !matches!(tenant.as_deref(), Some("vandelay" | "hooli")))
    );
    assert!(!holds(&with.rows, "vandelay") && holds(&with.rows, "globex"));
    for row in rows(&without.rows) {
        assert_eq!(
            by_key(&with.rows).get(&row.key),
            Some(&row),
            "a cell without them changed"
        );
    }
    // Four people under `k` were suppressed. Together with the planted person they are now `other`,
    // and the planted person has most of it.
    let other = &by_key(&with.rows)[&CellKey::default()];
    assert_eq!((without.counts.suppressed, with.counts.suppressed), (4, 0));
    assert_eq!(
        (other.records, other.segments, other.price),
        (7, None, Some(525))
    );
}

#[test]
fn one_person_in_a_crowd_changes_counts_and_sums_by_own_records_only() {
    let mut records = crowd();
    records.insert(13, planted("acme", 2));
    let with = made(&plan(K), usize::MAX, &batches(&records, 7));
    let without = made(&plan(K), usize::MAX, &batches(&crowd(), 7));
    let order = |batch: &RecordBatch| {
        rows(batch)
            .into_iter()
            .map(|row| row.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(order(&with.rows), order(&without.rows));
    let (mut with_rows, without_rows) = (by_key(&with.rows), by_key(&without.rows));
    let acme: CellKey = (Some("acme".to_owned()), Some(1), None);
    let row = with_rows.get_mut(&acme).unwrap();
    (row.records, row.segments, row.price) = (
        row.records - 1,
        row.segments.map(|n| n - 2),
        row.price.map(|n| n - 75),
    );
    assert_eq!(with_rows, without_rows);
    assert_eq!(with.counts.suppressed, without.counts.suppressed);
}

#[test]
fn position_of_the_person_among_the_records_cannot_be_inferred() {
    let at = |place: usize| {
        let mut records = crowd();
        records.splice(
            place..place,
            [
                planted("acme", 9),
                planted("globex", 2),
                planted("vandelay", 3),
            ],
        );
        made(&plan(K), usize::MAX, &batches(&records, 5))
    };
    let first = at(0);
    for place in 1..=crowd().len() {
        let found = at(place);
        assert_eq!((&found.rows, found.counts), (&first.rows, first.counts));
        assert_eq!(bytes(&found.rows), bytes(&first.rows));
    }
}

#[test]
fn neither_the_number_nor_a_value_of_theirs_alone_is_in_the_output() {
    for tenant in ["acme", "vandelay", "hooli"] {
        let mut records = crowd();
        records.push(planted(tenant, 31_337));
        let found = made(&plan(K), usize::MAX, &batches(&records, 7));
        assert!(!holds(&found.rows, NUMBER));
        let sums = rows(&found.rows).into_iter().filter_map(|row| row.segments);
        assert!(
            sums.clone().all(|sum| sum < 31_337),
            "{:?}",
            sums.collect::<Vec<_>>()
        );
        for number in [31_337_i32.to_le_bytes().as_slice(), NUMBER.as_bytes()] {
            assert!(
                !bytes(&found.rows)
                    .windows(number.len())
                    .any(|window| window == number)
            );
        }
    }
}

#[test]
fn lone_cell_under_k_is_suppressed_whole() {
    let mut records = crowd();
    records.retain(|record| !matches!(record.tenant.as_deref(), Some("hooli" | "umbrella")));
    records.extend((0..4).map(|at| planted("vandelay", at)));
    let found = made(&plan(K), usize::MAX, &batches(&records, 7));
    assert_eq!(
        (
            found.counts.cells,
            found.counts.suppressed,
            found.counts.other
        ),
        (3, 4, false)
    );
}

#[test]
fn records_without_subject_make_no_crowd_and_may_be_of_any_subject() {
    let without_subject = |at: i32| TestRecord {
        recipient: None,
        ..planted("acme", at)
    };
    let only_without_subject: Vec<TestRecord> = (0..50).map(without_subject).collect();
    assert_eq!(
        made(&plan(K), usize::MAX, &batches(&only_without_subject, 7))
            .counts
            .suppressed,
        50
    );
    // Nine people have two segments each. Six more segments have no subject and may all belong to
    // one of the nine; seven are too many.
    let acme: CellKey = (Some("acme".to_owned()), Some(1), None);
    for (segments, wanted) in [(0, Some(18)), (6, Some(24)), (7, None)] {
        let mut records = crowd();
        records.push(without_subject(segments));
        let found = made(&plan(K), usize::MAX, &batches(&records, 7));
        assert_eq!(by_key(&found.rows)[&acme].segments, wanted);
    }
}

#[test]
fn a_subject_near_half_of_a_sum_is_weighed_exactly_in_one_more_reading() {
    for (segments, wanted) in [(49, Some(100)), (51, Some(102)), (52, None)] {
        let person = |at: i32| TestRecord {
            recipient: Some(format!("3161234{at:04}")),
            ..planted("acme", 1)
        };
        let mut records: Vec<TestRecord> = (0..51).map(person).collect();
        records.push(planted("acme", segments));
        let batches = batches(&records, 7);
        // The random keys decide whether the summary is sufficient. What is published does not
        // depend on them.
        let found: Vec<_> = (0..100)
            .map(|_| made(&plan(K), usize::MAX, &batches))
            .collect();
        assert!(
            found
                .iter()
                .all(|found| rows(&found.rows)[0].segments == wanted),
            "{segments}"
        );
        assert!(
            found.iter().any(|found| found.work.passes == 2),
            "{segments}"
        );
    }
}

#[test]
fn weights_in_other_cells_do_not_count_in_the_merged_cell() {
    // The merged small cells have a hundred segments. The planted person has 49 of them, and more
    // in a published cell.
    let small = (0..51).map(|at| TestRecord {
        recipient: Some(format!("3161234{at:04}")),
        ..planted(["hooli", "umbrella", "stark", "wayne", "tyrell"][at % 5], 1)
    });
    let small = small.enumerate().map(|(at, record)| TestRecord {
        status: Some(at as i32 / 10),
        ..record
    });
    let mut records: Vec<TestRecord> = crowd().into_iter().take(27).chain(small).collect();
    records.extend((0..9).map(|_| planted("acme", 1)));
    records.push(planted("vandelay", 49));
    let batches = batches(&records, 7);
    let found: Vec<_> = (0..100)
        .map(|_| made(&plan(K), usize::MAX, &batches))
        .collect();
    for found in &found {
        assert_eq!(by_key(&found.rows)[&CellKey::default()].segments, Some(100));
    }
    assert!(found.iter().any(|found| found.work.passes == 2));
}
