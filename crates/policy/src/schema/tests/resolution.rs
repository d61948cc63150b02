//! Tests of reading a writer's schema as the product's, for each way in which they may differ.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, Int64Type};

use super::super::{Decoder, Schema, WriterSchema};
use super::{batch, column, decoder, of, record};
use ebbtide_base::record::Fault;

fn promoted(from: &str, into: &str, body: &[u8], expected: impl Array + 'static) {
    let found = column(&of(from), &of(into), &[body]);
    assert_eq!(
        &found,
        &(Arc::new(expected) as ArrayRef),
        "{from} to {into}"
    );
}

fn logical(base: &str, name: &str) -> String {
    format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#)
}

#[test]
fn every_promotion_of_avro_is_read() {
    promoted(r#""int""#, r#""long""#, &[3], Int64Array::from(vec![-2]));
    promoted(
        r#""int""#,
        r#""float""#,
        &[3],
        Float32Array::from(vec![-2.0]),
    );
    promoted(
        r#""int""#,
        r#""double""#,
        &[3],
        Float64Array::from(vec![-2.0]),
    );
    promoted(
        r#""long""#,
        r#""float""#,
        &[3],
        Float32Array::from(vec![-2.0]),
    );
    promoted(
        r#""long""#,
        r#""double""#,
        &[3],
        Float64Array::from(vec![-2.0]),
    );
    promoted(
        r#""float""#,
        r#""double""#,
        &1.5_f32.to_le_bytes(),
        Float64Array::from(vec![1.5]),
    );
    promoted(
        r#""string""#,
        r#""bytes""#,
        &[2, b'a'],
        BinaryArray::from(vec![&b"a"[..]]),
    );
    promoted(
        r#""bytes""#,
        r#""string""#,
        &[2, b'a'],
        StringArray::from(vec!["a"]),
    );
    promoted(
        r#""int""#,
        r#"["null","long"]"#,
        &[3],
        Int64Array::from(vec![-2]),
    );
    promoted(
        r#"["int","null"]"#,
        r#"["null","long"]"#,
        &[2],
        Int64Array::from(vec![None]),
    );
}

#[test]
fn a_time_keeps_its_instant_whatever_its_unit() {
    let times = |value: i64| TimestampMicrosecondArray::from(vec![value]).with_timezone("UTC");
    let [millis, micros, nanos] = ["timestamp-millis", "timestamp-micros", "timestamp-nanos"]
        .map(|name| logical("long", name));
    promoted(&millis, &micros, &[4], times(2000));
    promoted(&micros, &millis, &[4], times(2));
    promoted(&nanos, &millis, &[0xA0, 0x1F], times(2));
    let [wall_millis, wall_micros] =
        ["local-timestamp-millis", "local-timestamp-micros"].map(|name| logical("long", name));
    promoted(&wall_millis, &wall_micros, &[4], times(2000));
    promoted(r#""long""#, &wall_millis, &[4], times(2000));
    promoted(&wall_millis, r#""long""#, &[4], Int64Array::from(vec![2]));
    // Without a logical type in the writer's schema, a number has the meaning of the product's.
    promoted(r#""long""#, &millis, &[4], times(2000));
    promoted(r#""int""#, &millis, &[4], times(2000));
    promoted(r#""long""#, &nanos, &[0xA0, 0x1F], times(2));
    promoted(&millis, r#""long""#, &[4], Int64Array::from(vec![2]));
    promoted(
        &logical("int", "time-millis"),
        &logical("long", "time-micros"),
        &[4],
        Int64Array::from(vec![2000]),
    );
}

#[test]
fn a_wall_clock_is_never_read_as_an_instant_nor_the_other_way_round() {
    for unit in ["millis", "micros", "nanos"] {
        let [wall, instant] = [
            format!("local-timestamp-{unit}"),
            format!("timestamp-{unit}"),
        ]
        .map(|name| logical("long", &name));
        for (from, into) in [(&wall, &instant), (&instant, &wall)] {
            let refused = decoder(&of(from), &of(into))
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert!(
                refused.contains("timestamp cannot be read as the product's"),
                "{from} {into}: {refused}"
            );
        }
    }
}

#[test]
fn an_added_field_has_its_default_and_a_removed_one_is_passed_over() {
    let writer = record(&[
        r#""name":"old","type":{"type":"array","items":"string"}"#,
        r#""name":"a","type":"int""#,
    ]);
    let party = r#"{"type":"record","name":"P","fields":[{"name":"x","type":"int"},{"name":"y","type":"string","default":"w"}]}"#;
    let reader = record(&[
        r#""name":"n","type":["null","string"],"default":null"#,
        r#""name":"a","type":"int""#,
        r#""name":"s","type":["string","null"],"default":"d""#,
        r#""name":"b","type":"bytes","default":"\u00ff""#,
        r#""name":"l","type":{"type":"array","items":"long"},"default":[4,5]"#,
        r#""name":"m","type":{"type":"map","values":"long"},"default":{"k":6}"#,
        &format!(r#""name":"p","type":{party},"default":{{"x":9}}"#),
        r#""name":"e","type":{"type":"enum","name":"E","symbols":["u","v"]},"default":"v""#,
        r#""name":"t","type":{"type":"long","logicalType":"timestamp-millis"},"default":7"#,
    ]);
    let found = batch(&writer, &reader, &[&[2, 2, b'z', 0, 2], &[0, 4]]);
    let text = |name: &str| {
        found
            .column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .value(1)
            .to_owned()
    };
    assert_eq!(found.column_by_name("n").unwrap().null_count(), 2);
    assert_eq!(
        found
            .column_by_name("a")
            .unwrap()
            .as_primitive::<Int32Type>()
            .values(),
        &[1, 2]
    );
    assert_eq!([text("s"), text("p_y"), text("e")], ["d", "w", "v"]);
    assert_eq!(
        found
            .column_by_name("b")
            .unwrap()
            .as_binary::<i32>()
            .value(1),
        [0xFF]
    );
    let list = found.column_by_name("l").unwrap().as_list::<i32>().value(1);
    assert_eq!(list.as_primitive::<Int64Type>().values(), &[4, 5]);
    assert_eq!(
        found
            .column_by_name("m")
            .unwrap()
            .as_map()
            .value(1)
            .column(0)
            .as_string::<i32>()
            .value(0),
        "k"
    );
    assert_eq!(
        found
            .column_by_name("p_x")
            .unwrap()
            .as_primitive::<Int32Type>()
            .values(),
        &[9, 9]
    );
    let at = found
        .column_by_name("t")
        .unwrap()
        .as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    assert_eq!(at.values(), &[7000, 7000]);
}

#[test]
fn renamed_field_is_found_by_its_alias_after_its_own_name() {
    let reader =
        of(r#""int""#).replace(r#""name":"v""#, r#""name":"new","aliases":["old","older"]"#);
    let renamed = batch(
        &of(r#""int""#).replace(r#""v""#, r#""older""#),
        &reader,
        &[&[6]],
    );
    assert_eq!(renamed.column(0).as_primitive::<Int32Type>().values(), &[3]);
    let both = record(&[
        r#""name":"old","type":"string""#,
        r#""name":"new","type":"int""#,
    ]);
    assert_eq!(
        batch(&both, &reader, &[&[2, b'x', 6]])
            .column(0)
            .as_primitive::<Int32Type>()
            .values(),
        &[3]
    );
}

#[test]
fn symbols_match_by_name_and_unknown_ones_default_or_fail_the_record() {
    let writer = of(r#"{"type":"enum","name":"E","symbols":["a","b","c"]}"#);
    let reader = of(r#"{"type":"enum","name":"E","symbols":["c","a"]}"#);
    let mut strict = decoder(&writer, &reader).unwrap();
    assert_eq!(
        [0, 2, 4].map(|index| strict.push(&[index])),
        [Ok(()), Err(Fault::IncompatibleSchema), Ok(())]
    );
    assert_eq!(
        strict.flush().batch.column(0).as_string::<i32>(),
        &StringArray::from(vec!["a", "c"])
    );
    let lenient = of(r#"{"type":"enum","name":"E","symbols":["c","a"],"default":"c"}"#);
    let found = column(&writer, &lenient, &[&[0], &[2], &[4]]);
    assert_eq!(
        found.as_string::<i32>(),
        &StringArray::from(vec!["a", "c", "c"])
    );
}

#[test]
fn a_branch_that_the_product_has_no_place_for_is_that_records_fault() {
    let mut wide = decoder(&of(r#"["null","string","int"]"#), &of(r#"["null","long"]"#)).unwrap();
    assert_eq!(wide.push(&[0]), Ok(()));
    assert_eq!(wide.push(&[2, 2, b'a']), Err(Fault::IncompatibleSchema));
    assert_eq!(wide.push(&[4, 8]), Ok(()));
    assert_eq!(
        wide.flush().batch.column(0).as_primitive::<Int64Type>(),
        &Int64Array::from(vec![None, Some(4)])
    );
    let mut required = decoder(&of(r#"["null","int"]"#), &of(r#""int""#)).unwrap();
    assert_eq!(
        [required.push(&[0]), required.push(&[2, 2])],
        [Err(Fault::IncompatibleSchema), Ok(())]
    );
}

#[test]
fn schemas_that_do_not_resolve_are_refused_by_the_path() {
    for (from, into, part) in [
        (
            r#""string""#,
            r#""int""#,
            "v: the writer's string cannot be read as the product's int",
        ),
        (
            r#""long""#,
            r#""int""#,
            "long cannot be read as the product's int",
        ),
        (r#""double""#, r#""float""#, "double"),
        (
            r#"["null","string"]"#,
            r#"["null","long"]"#,
            "string cannot be read",
        ),
        (
            r#"{"type":"int","logicalType":"date"}"#,
            r#"{"type":"long","logicalType":"timestamp-millis"}"#,
            "date",
        ),
        (
            r#"{"type":"fixed","name":"F","size":3}"#,
            r#"{"type":"fixed","name":"F","size":4}"#,
            "fixed",
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":1}"#,
            r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#,
            "decimal",
        ),
        (
            r#"{"type":"array","items":"int"}"#,
            r#"{"type":"array","items":"string"}"#,
            "int cannot",
        ),
        (
            r#"{"type":"map","values":"int"}"#,
            r#"{"type":"array","items":"int"}"#,
            "map cannot",
        ),
    ] {
        let error = decoder(&of(from), &of(into)).unwrap_err().to_string();
        assert!(error.contains(part), "{from} to {into}: {error}");
    }
    let lacks = record(&[r#""name":"v","type":"int""#, r#""name":"w","type":"int""#]);
    assert!(
        decoder(&of(r#""int""#), &lacks)
            .unwrap_err()
            .to_string()
            .starts_with("w: the writer's schema lacks")
    );
    let wrong = record(&[
        r#""name":"v","type":"int""#,
        r#""name":"w","type":"string","default":"\u00ff""#,
    ]);
    assert!(decoder(&of(r#""int""#), &wrong).is_ok());
}

#[test]
fn columns_that_are_not_kept_are_named_and_never_built() {
    let party = r#"{"type":"record","name":"P","fields":[{"name":"id","type":"string"},{"name":"born","type":"int"}]}"#;
    let item = r#"{"type":"record","name":"I","fields":[{"name":"k","type":"string"},{"name":"owner","type":"string"}]}"#;
    let writer = record(&[
        &format!(r#""name":"who","type":["null",{party}]"#),
        r#""name":"extra","type":"P""#,
        r#""name":"note","type":"string""#,
        &format!(r#""name":"items","type":{{"type":"array","items":{item}}}"#),
    ]);
    let kept = r#"{"type":"record","name":"P","fields":[{"name":"id","type":"string"},{"name":"born","type":"int"}]}"#;
    let reader = record(&[
        &format!(r#""name":"sender","aliases":["who"],"type":["null",{kept}]"#),
        r#""name":"note","type":"string""#,
        r#""name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"k","type":"string"}]}}"#,
    ]);
    let keep = BTreeSet::from(["sender_id".to_owned(), "items".to_owned()]);
    let (written, schema) = (
        WriterSchema::parse(&writer).unwrap(),
        Schema::parse(&reader).unwrap(),
    );
    let mut decoder = Decoder::new(&written, &schema, &keep).unwrap();
    assert_eq!(
        decoder.unclassified(),
        [
            "sender_born",
            "extra_id",
            "extra_born",
            "note",
            "items_owner"
        ]
    );
    decoder
        .push(&[2, 2, b'a', 2, 2, b'b', 4, 2, b'n', 2, 2, b'k', 2, b'o', 0])
        .unwrap();
    let batch = decoder.flush().batch;
    assert_eq!(
        batch
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect::<Vec<_>>(),
        ["sender_id", "items"]
    );
    let unknown = BTreeSet::from(["nosuch".to_owned()]);
    assert!(
        Decoder::new(&written, &schema, &unknown)
            .unwrap_err()
            .to_string()
            .contains("no such column")
    );
}

#[test]
fn a_field_of_which_nothing_is_kept_may_be_of_any_type() {
    let party = r#"{"type":"record","name":"P","fields":[{"name":"id","type":"string"}]}"#;
    let writer = record(&[
        r#""name":"sender","type":["int","boolean"]"#,
        r#""name":"n","type":"int""#,
    ]);
    let reader = record(&[
        &format!(r#""name":"sender","type":{party}"#),
        r#""name":"n","type":"int""#,
    ]);
    let (written, schema) = (
        WriterSchema::parse(&writer).unwrap(),
        Schema::parse(&reader).unwrap(),
    );
    let mut decoder = Decoder::new(&written, &schema, &BTreeSet::from(["n".to_owned()])).unwrap();
    assert_eq!(decoder.push(&[2, 1, 6]), Ok(()));
    assert_eq!(
        decoder
            .flush()
            .batch
            .column(0)
            .as_primitive::<Int32Type>()
            .values(),
        &[3]
    );
    assert_eq!(decoder.unclassified(), ["sender"]);
    assert!(
        Decoder::new(
            &WriterSchema::parse(r#""int""#).unwrap(),
            &schema,
            &BTreeSet::new()
        )
        .is_err()
    );
}

/// Returns records that each contain the previous one `times` times.
fn chain(levels: usize, times: usize) -> String {
    let level = |level: usize| {
        let inner = |field: usize| format!(r#"{{"name":"a{field}","type":"N{}"}}"#, level - 1);
        let fields = if level == 0 {
            String::new()
        } else {
            (0..times).map(inner).collect::<Vec<_>>().join(",")
        };
        format!(
            r#""name":"f{level}","type":{{"type":"record","name":"N{level}","fields":[{fields}]}}"#
        )
    };
    let fields = (0..levels)
        .map(level)
        .chain([r#""name":"v","type":"int""#.to_owned()])
        .collect::<Vec<_>>();
    record(&fields.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_schema_that_unfolds_or_nests_without_end_is_refused() {
    let compile =
        |levels: usize, times: usize| decoder(&chain(levels, times), &of(r#""int""#)).map(drop);
    assert_eq!(compile(30, 1), Ok(()));
    assert!(
        compile(40, 1)
            .unwrap_err()
            .to_string()
            .contains("nest deeper than 32")
    );
    assert!(compile(30, 2).unwrap_err().to_string().contains("unfolds"));
}

#[test]
fn the_fingerprint_is_that_of_the_canonical_form() {
    // From the Avro project's list of schemas and fingerprints.
    let fingerprint = |json: &str| WriterSchema::parse(json).unwrap().fingerprint();
    assert_eq!(fingerprint(r#""null""#), 7_195_948_357_588_979_594);
    assert_eq!(
        fingerprint(r#"{"doc":"d","type":"fixed","size":15,"name":"foo"}"#),
        1_756_455_273_707_447_556
    );
}
