//! Tests of each Avro type and logical type: its column, and the values in it.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    Float32Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type};

use super::super::Schema;
use super::{batch, column, of, record};

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";
const UUID_BYTES: [u8; 16] = [
    0x67, 0xE5, 0x50, 0x44, 0x10, 0xB1, 0x42, 0x6F, 0x92, 0x47, 0xBB, 0x68, 0x0E, 0x5F, 0xE0, 0xC8,
];

fn check(avro: &str, bodies: &[&[u8]], expected: impl Array + 'static) {
    let schema = of(avro);
    let found = column(&schema, &schema, bodies);
    assert_eq!(&found, &(Arc::new(expected) as ArrayRef), "{avro}");
    assert_eq!(
        Some(found.data_type()),
        Schema::parse(&schema)
            .unwrap()
            .column("v")
            .map(|c| &c.data_type),
        "{avro}"
    );
}

fn times(values: Vec<i64>) -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from(values).with_timezone("UTC")
}

#[test]
fn every_plain_type_gives_its_column() {
    check(
        r#""boolean""#,
        &[&[0], &[1]],
        BooleanArray::from(vec![false, true]),
    );
    check(
        r#""int""#,
        &[&[1], &[0xFE, 0xFF, 0xFF, 0xFF, 0x0F]],
        Int32Array::from(vec![-1, i32::MAX]),
    );
    check(
        r#""long""#,
        &[
            &[2],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        ],
        Int64Array::from(vec![1, i64::MIN]),
    );
    check(
        r#""float""#,
        &[&1.5_f32.to_le_bytes()],
        Float32Array::from(vec![1.5]),
    );
    check(
        r#""double""#,
        &[&(-2.5_f64).to_le_bytes()],
        Float64Array::from(vec![-2.5]),
    );
    check(
        r#""bytes""#,
        &[&[4, 0xFF, 0], &[0]],
        BinaryArray::from(vec![&[0xFF, 0][..], &[]]),
    );
    check(
        r#""string""#,
        &[&[4, b'h', b'i'], &[0], &[4, 0xC3, 0xA9]],
        StringArray::from(vec!["hi", "", "é"]),
    );
    check(
        r#"{"type":"fixed","name":"F","size":2}"#,
        &[&[7, 8]],
        BinaryArray::from(vec![&[7, 8][..]]),
    );
    check(
        r#"{"type":"enum","name":"E","symbols":["a","b"]}"#,
        &[&[2], &[0]],
        StringArray::from(vec!["b", "a"]),
    );
}

#[test]
fn every_logical_type_gives_its_column() {
    let logical = |base: &str, name: &str| format!(r#"{{"type":"{base}","logicalType":"{name}"}}"#);
    check(&logical("int", "date"), &[&[2]], Date32Array::from(vec![1]));
    check(
        &logical("int", "time-millis"),
        &[&[4]],
        Int64Array::from(vec![2000]),
    );
    check(
        &logical("long", "time-micros"),
        &[&[4]],
        Int64Array::from(vec![2]),
    );
    for kind in ["timestamp", "local-timestamp"] {
        check(
            &logical("long", &format!("{kind}-millis")),
            &[&[4], &[3]],
            times(vec![2000, -2000]),
        );
        check(
            &logical("long", &format!("{kind}-micros")),
            &[&[4]],
            times(vec![2]),
        );
        // 1500 ns and -1 ns: a fraction of a microsecond is rounded towards the past.
        check(
            &logical("long", &format!("{kind}-nanos")),
            &[&[0xB8, 0x17], &[1]],
            times(vec![1, -1]),
        );
    }
    let mut text = vec![72];
    text.extend_from_slice(UUID.as_bytes());
    let mut upper = vec![72];
    upper.extend_from_slice(UUID.to_uppercase().as_bytes());
    check(
        &logical("string", "uuid"),
        &[&text, &upper],
        StringArray::from(vec![UUID, UUID]),
    );
    let fixed = r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#;
    check(fixed, &[&UUID_BYTES], StringArray::from(vec![UUID]));
}

#[test]
fn a_decimal_of_bytes_or_fixed_keeps_its_digits_and_scale() {
    let expected = || {
        Decimal128Array::from(vec![-1, 0, 12_345])
            .with_precision_and_scale(5, 2)
            .unwrap()
    };
    let bytes = r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#;
    check(bytes, &[&[2, 0xFF], &[0], &[4, 0x30, 0x39]], expected());
    let fixed =
        r#"{"type":"fixed","name":"D","size":3,"logicalType":"decimal","precision":5,"scale":2}"#;
    check(
        fixed,
        &[&[0xFF, 0xFF, 0xFF], &[0, 0, 0], &[0, 0x30, 0x39]],
        expected(),
    );
    let wide = r#"{"type":"bytes","logicalType":"decimal","precision":38}"#;
    let mut most = vec![36, 0, 0];
    most.extend_from_slice(&(10_i128.pow(38) - 1).to_be_bytes());
    let most_value = Decimal128Array::from(vec![10_i128.pow(38) - 1])
        .with_precision_and_scale(38, 0)
        .unwrap();
    check(wide, &[&most], most_value);
}

#[test]
fn null_is_null_whichever_branch_it_is() {
    let expected = || Int32Array::from(vec![None, Some(3)]);
    check(r#"["null","int"]"#, &[&[0], &[2, 6]], expected());
    check(r#"["int","null"]"#, &[&[2], &[0, 6]], expected());
    check(r#"["int"]"#, &[&[0, 6]], Int32Array::from(vec![3]));
}

#[test]
fn an_array_is_one_column_of_any_number_of_blocks() {
    let schema = of(r#"{"type":"array","items":["null","string"]}"#);
    // Two blocks, the second with a negative count and a byte size; then an empty array.
    let lists = column(
        &schema,
        &schema,
        &[&[2, 2, 2, b'a', 1, 6, 2, 2, b'b', 0], &[0], &[2, 0, 0]],
    );
    let lists = lists.as_list::<i32>();
    assert_eq!(
        lists.value(0).as_string::<i32>(),
        &StringArray::from(vec!["a", "b"])
    );
    assert_eq!(lists.value(1).len(), 0);
    assert!(lists.value(2).is_null(0));
}

#[test]
fn a_map_is_one_column_and_a_doubled_key_keeps_the_last() {
    let schema = of(r#"{"type":"map","values":"int"}"#);
    let bodies: [&[u8]; 4] = [
        &[2, 2, b'k', 2, 0],
        &[6, 2, b'a', 2, 2, b'b', 4, 2, b'a', 6, 0],
        &[0],
        &[4, 2, b'x', 2, 2, b'y', 4, 0],
    ];
    let maps = column(&schema, &schema, &bodies);
    let maps = maps.as_map();
    let entries = |row: usize| {
        let entries = maps.value(row);
        let keys = entries
            .column(0)
            .as_string::<i32>()
            .iter()
            .flatten()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        keys.into_iter()
            .zip(
                entries
                    .column(1)
                    .as_primitive::<Int32Type>()
                    .values()
                    .to_vec(),
            )
            .collect::<Vec<_>>()
    };
    let expect = |pairs: &[(&str, i32)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), *v))
            .collect::<Vec<_>>()
    };
    assert_eq!(entries(0), expect(&[("k", 1)]));
    assert_eq!(entries(1), expect(&[("b", 2), ("a", 3)]));
    assert_eq!(entries(2), expect(&[]));
    assert_eq!(entries(3), expect(&[("x", 1), ("y", 2)]));
}

#[test]
fn a_nested_record_flattens_and_its_null_is_the_null_of_its_leaves() {
    let party = r#"{"type":"record","name":"P","fields":[{"name":"id","type":"string"},{"name":"age","type":"int"}]}"#;
    let schema = record(&[
        &format!(r#""name":"sender","type":["null",{party}]"#),
        r#""name":"to","type":"P""#,
        r#""name":"n","type":"long""#,
    ]);
    let found = batch(
        &schema,
        &schema,
        &[&[2, 2, b'a', 8, 2, b'b', 10, 2], &[0, 2, b'c', 12, 4]],
    );
    let names = found
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect::<Vec<_>>();
    assert_eq!(names, ["sender_id", "sender_age", "to_id", "to_age", "n"]);
    assert_eq!(
        found.column(0).as_string::<i32>(),
        &StringArray::from(vec![Some("a"), None])
    );
    assert_eq!(
        found.column(1).as_primitive::<Int32Type>(),
        &Int32Array::from(vec![Some(4), None])
    );
    assert_eq!(
        found.column(2).as_string::<i32>(),
        &StringArray::from(vec!["b", "c"])
    );
    assert_eq!(
        found.column(4).as_primitive::<Int64Type>(),
        &Int64Array::from(vec![1, 2])
    );
}

#[test]
fn a_record_within_an_array_stays_a_structure() {
    let item = r#"{"type":"record","name":"I","fields":[{"name":"k","type":"string"},{"name":"n","type":["null","int"]}]}"#;
    let schema = of(&format!(r#"{{"type":"array","items":{item}}}"#));
    let lists = column(&schema, &schema, &[&[4, 2, b'a', 0, 2, b'b', 2, 14, 0]]);
    let items = lists.as_list::<i32>().value(0);
    let items = items.as_struct();
    assert!(matches!(items.data_type(), DataType::Struct(fields) if fields.len() == 2));
    assert_eq!(
        items.column(0).as_string::<i32>(),
        &StringArray::from(vec!["a", "b"])
    );
    assert_eq!(
        items.column(1).as_primitive::<Int32Type>(),
        &Int32Array::from(vec![None, Some(7)])
    );
}
