//! Compares what is shown of random rows with a direct calculation from the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int64Type;
use chrono::TimeDelta;
use proptest::prelude::*;

use crate::record_search::HELD_BY;
use crate::record_search::visibility::Visibility;
use ebbtide_table::testing::{MARKER, noon, rows, spec};
use ebbtide_table::{Predicate, TableSpec};

/// For each row: the hours until content and numbers are due, and whether each of two holds covers
/// it.
type Rows = Vec<Row>;

type Row = (Option<i8>, Option<i8>, bool, bool);

/// Returns rows with all of the table's columns and these deadlines.
fn batch(spec: &TableSpec, of: &Rows) -> RecordBatch {
    let count = i64::try_from(of.len()).unwrap();
    let made = rows(0, 0, count);
    let deadlines = |pick: &dyn Fn(&Row) -> Option<i8>| -> ArrayRef {
        let micros = |hours: i8| (noon() + TimeDelta::hours(i64::from(hours))).timestamp_micros();
        Arc::new(
            TimestampMicrosecondArray::from_iter(of.iter().map(|row| pick(row).map(micros)))
                .with_timezone("UTC"),
        )
    };
    let columns = spec
        .columns
        .iter()
        .map(|column| match column.name.as_str() {
            "expires_content" => deadlines(&|row| row.0),
            "expires_phone_number" => deadlines(&|row| row.1),
            name => match made.column_by_name(name) {
                Some(found) => found.clone(),
                None => arrow::array::new_null_array(&column.data_type, of.len()),
            },
        });
    RecordBatch::try_new(spec.arrow(), columns.collect()).unwrap()
}

proptest! {
    #[test]
    fn a_field_past_its_deadline_is_shown_only_where_a_hold_covers_the_row(
        of in prop::collection::vec(
            (prop::option::of(-2i8..3), prop::option::of(-2i8..3), prop::bool::weighted(0.2), prop::bool::weighted(0.2)), 1..60),
        open in any::<bool>(),
        person in prop::option::of(0u32..10),
    ) {
        let spec = spec();
        let all = batch(&spec, &of);
        let is = |person| Predicate::Is { column: "recipient".to_owned(), value: format!("{MARKER}-{person}") };
        let exact = person.map_or(Predicate::All(Vec::new()), is);
        let bits = |pick: &dyn Fn(&Row) -> bool| BooleanBuffer::from_iter(of.iter().map(pick));
        let holds = vec![("hold-a".to_owned(), bits(&|row| row.2)), ("hold-b".to_owned(), bits(&|row| row.3))];
        let judging = Visibility { spec: &spec, now: noon(), holds, open, exact: &exact };
        let shown = judging.shown(&all).unwrap();

        let mut expected = Vec::new();
        let mut withheld: BTreeMap<String, u64> = BTreeMap::new();
        for (offset, (content, number, a, b)) in of.iter().enumerate() {
            let due = |hours: &Option<i8>| hours.is_some_and(|hours| hours <= 0);
            let held = *a || *b;
            let ended = !open && (due(content) || due(number)) && [content, number].iter().all(|at| at.is_none() || due(at));
            let number_shown = held || !due(number);
            let is_the_person = person.is_none_or(|person| number_shown && offset % 100 == person as usize);
            if (ended && !held) || !is_the_person {
                continue;
            }
            for (category, at) in [("content", content), ("phone_number", number)] {
                if due(at) && !held {
                    *withheld.entry(category.to_owned()).or_default() += 1;
                }
            }
            let names: Vec<&str> = [(a, "hold-a"), (b, "hold-b")].iter().filter(|(held, _)| **held).map(|(_, name)| *name).collect();
            expected.push((offset as i64, held || !due(content), number_shown, names.join(", ")));
        }
        let columns = |name: &str| shown.rows.column_by_name(name).unwrap().clone();
        let (offsets, bodies, media) = (columns("source_offset"), columns("body"), columns("media"));
        let (recipients, times, names) = (columns("recipient"), columns("sent_at"), columns(HELD_BY));
        let got: Vec<_> = (0..shown.rows.num_rows())
            .map(|row| {
                let offset = offsets.as_primitive::<Int64Type>().value(row);
                assert_eq!(recipients.is_valid(row), times.is_valid(row), "one category, one fate");
                assert!(media.is_null(row) || bodies.is_valid(row), "lists are withheld too");
                let names = names.as_string::<i32>();
                let names = if names.is_valid(row) { names.value(row).to_owned() } else { String::new() };
                (offset, bodies.is_valid(row), recipients.is_valid(row), names)
            })
            .collect();
        prop_assert_eq!(got, expected);
        let counted: BTreeMap<String, u64> = shown.withheld.iter().map(|(category, count)| (category.to_string(), *count)).collect();
        prop_assert_eq!(counted, withheld);
        prop_assert!(columns("customer_id").null_count() == 0, "what is not personal is not withheld");
    }
}
