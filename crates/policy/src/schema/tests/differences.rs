//! The known differences from apache-avro that the module's head comment lists.

use apache_avro::Schema as Avro;
use apache_avro::reader::datum::GenericDatumReader;

use super::super::cursor::MOST_EMPTY_ITEMS;
use super::{column, decoder, of, record};
use ebbtide_base::record::Fault;

/// Returns true if apache-avro accepts a body, read from plain bytes.
fn apache(writer: &str, reader: &str, mut body: &[u8]) -> bool {
    let (writer, reader) = (
        Avro::parse_str(writer).unwrap(),
        Avro::parse_str(reader).unwrap(),
    );
    let read = GenericDatumReader::builder(&writer)
        .reader_schema(&reader)
        .build()
        .unwrap()
        .read_value(&mut body);
    read.is_ok() && body.is_empty()
}

fn ours(writer: &str, reader: &str, body: &[u8]) -> Result<(), Fault> {
    decoder(writer, reader).unwrap().push(body)
}

#[test]
fn an_end_in_front_of_a_union_is_no_null() {
    let schema = of(r#"["null","int"]"#);
    assert!(apache(&schema, &schema, &[]));
    assert_eq!(ours(&schema, &schema, &[]), Err(Fault::Truncated));
}

#[test]
fn items_without_bytes_are_few() {
    let writer = record(&[
        r#""name":"e","type":{"type":"array","items":"null"}"#,
        r#""name":"v","type":"int""#,
    ]);
    let reader = of(r#""int""#);
    let body = |count: i64| {
        let mut body = Vec::new();
        let mut rest = count << 1;
        while rest >= 0x80 {
            body.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        body.extend_from_slice(&[rest as u8, 0, 2]);
        body
    };
    let most = i64::try_from(MOST_EMPTY_ITEMS).unwrap();
    assert_eq!(ours(&writer, &reader, &body(most)), Ok(()));
    assert_eq!(ours(&writer, &reader, &body(most + 1)), Err(Fault::BadBody));
    assert!(apache(&writer, &reader, &body(most + 1)));
    assert_eq!(
        ours(&writer, &reader, &body(1_000_000_000)),
        Err(Fault::BadBody)
    );
}

#[test]
fn a_recursive_record_nests_no_deeper_than_64() {
    let node = r#"{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}"#;
    let writer = record(&[
        &format!(r#""name":"tree","type":{node}"#),
        r#""name":"v","type":"int""#,
    ]);
    let reader = of(r#""int""#);
    let body = |depth: usize| [vec![2; depth], vec![0, 2]].concat();
    assert_eq!(ours(&writer, &reader, &body(64)), Ok(()));
    assert_eq!(ours(&writer, &reader, &body(65)), Err(Fault::BadBody));
    assert!(apache(&writer, &reader, &body(65)));
    assert_eq!(
        ours(&writer, &reader, &body(1_000_000)),
        Err(Fault::BadBody)
    );
}

#[test]
fn a_decimal_has_the_digits_of_its_precision_in_any_number_of_bytes() {
    let schema = of(r#"{"type":"bytes","logicalType":"decimal","precision":3}"#);
    assert!(apache(&schema, &schema, &[4, 0x7F, 0xFF]));
    assert_eq!(
        ours(&schema, &schema, &[4, 0x7F, 0xFF]),
        Err(Fault::BadBody)
    );
    assert!(!apache(&schema, &schema, &[2, 7]));
    assert_eq!(ours(&schema, &schema, &[2, 7]), Ok(()));
}

#[test]
fn a_time_must_fit_microseconds() {
    let schema = of(r#"{"type":"long","logicalType":"timestamp-millis"}"#);
    let body = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
    assert!(apache(&schema, &schema, &body));
    assert_eq!(ours(&schema, &schema, &body), Err(Fault::BadBody));
}

#[test]
fn each_value_of_a_doubled_key_must_be_readable() {
    let (writer, reader) = (
        of(r#"{"type":"map","values":["null","int"]}"#),
        of(r#"{"type":"map","values":"int"}"#),
    );
    let body = [4, 2, b'k', 0, 2, b'k', 2, 2, 0];
    assert!(apache(&writer, &reader, &body));
    assert_eq!(
        ours(&writer, &reader, &body),
        Err(Fault::IncompatibleSchema)
    );
}

#[test]
fn numbers_are_never_narrowed() {
    let (writer, reader) = (of(r#""long""#), of(r#""int""#));
    assert!(apache(&writer, &reader, &[2]));
    assert!(decoder(&writer, &reader).is_err());
}

#[test]
fn aliases_and_units_of_time_are_resolved() {
    let (old, new) = (
        of(r#""int""#),
        of(r#""int""#).replace(r#""v""#, r#""w","aliases":["v"]"#),
    );
    assert!(!apache(&old, &new, &[2]));
    assert_eq!(column(&old, &new, &[&[2]]).len(), 1);
    let [millis, micros] = ["millis", "micros"].map(|unit| {
        of(&format!(
            r#"{{"type":"long","logicalType":"timestamp-{unit}"}}"#
        ))
    });
    assert!(!apache(&millis, &micros, &[2]));
    assert_eq!(ours(&millis, &micros, &[2]), Ok(()));
}

#[test]
fn a_big_decimal_that_is_dropped_is_bytes() {
    let writer = record(&[
        r#""name":"b","type":{"type":"bytes","logicalType":"big-decimal"}"#,
        r#""name":"v","type":"int""#,
    ]);
    let reader = of(r#""int""#);
    assert!(!apache(&writer, &reader, &[2, 0xFF, 2]));
    assert_eq!(ours(&writer, &reader, &[2, 0xFF, 2]), Ok(()));
}
