//! Writers' schemas that strict parsers refuse, and values that do not fit their logical type: they
//! are read if their bytes can be read.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use arrow::datatypes::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};

use super::super::{Decoder, Schema, SchemaError, SchemaReference, WriterSchema};
use super::{column, decoder, of, record};
use ebbtide_base::record::Fault;

const INT: &str = r#""name":"v","type":"int""#;

/// Reads bodies of a writer's schema as a record of one int `v`, and returns the value of `v` in
/// each.
fn ints(writer: &str, bodies: &[&[u8]]) -> Vec<Result<i32, Fault>> {
    let mut decoder =
        decoder(writer, &of(r#""int""#)).unwrap_or_else(|error| panic!("{writer}: {error}"));
    let read: Vec<Result<(), Fault>> = bodies.iter().map(|body| decoder.push(body)).collect();
    let batch = decoder.flush().batch;
    let mut values = batch
        .column(0)
        .as_primitive::<Int32Type>()
        .values()
        .to_vec()
        .into_iter();
    read.into_iter()
        .map(|read| read.map(|()| values.next().unwrap()))
        .collect()
}

/// Asserts that a writer's field of that text is skipped, and the field after it is read.
fn passed_over(field: &str, bytes: &[u8]) {
    let writer = record(&[field, INT]);
    assert_eq!(
        ints(&writer, &[&[bytes, &[6]].concat()]),
        [Ok(3)],
        "{field}"
    );
    // It is still checked.
    let short = &bytes[..bytes.len().saturating_sub(1)];
    assert!(
        bytes.is_empty() || ints(&writer, &[short])[0].is_err(),
        "{field}"
    );
}

#[test]
fn a_records_name_and_namespace_may_hold_any_characters() {
    for head in [
        r#""name":"R","namespace":"my-team.sms-gateway.v1""#,
        r#""name":"R","namespace":"com.example.Outer$Inner""#,
        r#""name":"R","namespace":"1st.2nd""#,
        r#""name":"R","namespace":"пример.例""#,
        r#""name":"R","namespace":"""#,
        r#""name":"R","namespace":null"#,
        r#""name":"R","namespace":17"#,
        r#""name":"R","namespace":"a..b.""#,
        r#""name":".R""#,
        r#""name":"a b.c d.R""#,
        r#""name":"a.R","namespace":"ignored where the name is full""#,
        r#""name":"R","doc":["a","list"],"aliases":"Q""#,
        r#""name":"R","aliases":[1,null,"9-9"],"order":{},"default":{"v":"x"}"#,
    ] {
        let writer = format!(r#"{{"type":"record",{head},"fields":[{{{INT}}}]}}"#);
        assert_eq!(ints(&writer, &[&[6]]), [Ok(3)], "{head}");
    }
    let error = format!(r#"{{"type":"error","name":"R","fields":[{{{INT}}}]}}"#);
    assert_eq!(ints(&error, &[&[6]]), [Ok(3)]);
}

#[test]
fn a_field_that_is_not_kept_may_be_named_and_annotated_in_any_way() {
    for field in [
        r#""name":"größe","type":"string""#,
        r#""name":"sent-at","type":"string""#,
        r#""name":"2fa.code","type":"string""#,
        r#""name":"","type":"string""#,
        r#""type":"string""#,
        r#""name":7,"type":"string""#,
        r#""name":"x","type":"string","doc":7,"order":"upwards","aliases":{"a":"b"}"#,
        r#""name":"x","type":"string","default":12"#,
        r#""name":"x","type":["null","string"],"default":"not null""#,
        r#""name":"x","type":{"type":{"type":"string"}}"#,
        r#""name":"x","type":{"type":"string","avro.java.string":"String"}"#,
    ] {
        let union = field.contains("null");
        passed_over(field, if union { &[2, 2, b'a'] } else { &[2, b'a'] });
    }
}

#[test]
fn enum_may_have_any_symbols_and_a_default_that_is_not_one_of_them() {
    for symbols in [
        r#"["2G","3G","LTE-A"]"#,
        r#"["not set","x y","ü"]"#,
        r#"["A","A","A"]"#,
        r#"[1,true,null]"#,
    ] {
        passed_over(
            &format!(r#""name":"e","type":{{"type":"enum","name":"E","symbols":{symbols}}}"#),
            &[4],
        );
        let other = format!(
            r#""name":"e","type":{{"type":"enum","name":"E","symbols":{symbols},"default":"none"}}"#
        );
        passed_over(&other, &[4]);
    }
    // A product may use these symbols too: they are only values.
    let radio = of(r#"{"type":"enum","name":"Radio","symbols":["2G","LTE-A"]}"#);
    assert_eq!(
        column(&radio, &radio, &[&[2], &[0]])
            .as_string::<i32>()
            .value(0),
        "LTE-A"
    );
}

#[test]
fn a_logical_type_that_does_not_fit_or_is_unknown_is_ignored() {
    let annotated =
        |base: &str, more: &str| format!(r#""name":"x","type":{{"type":{base},{more}}}"#);
    for (base, more, bytes) in [
        (
            r#""string""#,
            r#""logicalType":"timestamp-millis""#,
            &[2, b'a'][..],
        ),
        (r#""string""#, r#""logicalType":"iso-datetime""#, &[2, b'a']),
        (r#""int""#, r#""logicalType":"timestamp-millis""#, &[4]),
        (r#""long""#, r#""logicalType":"date""#, &[4]),
        (r#""long""#, r#""logicalType":17"#, &[4]),
        (r#""boolean""#, r#""logicalType":"uuid""#, &[1]),
        (r#""bytes""#, r#""logicalType":"decimal""#, &[2, 9]),
        (
            r#""bytes""#,
            r#""logicalType":"decimal","precision":0"#,
            &[2, 9],
        ),
        (
            r#""bytes""#,
            r#""logicalType":"decimal","precision":-3,"scale":2"#,
            &[2, 9],
        ),
        (
            r#""bytes""#,
            r#""logicalType":"decimal","precision":2,"scale":5"#,
            &[2, 9],
        ),
        (
            r#""bytes""#,
            r#""logicalType":"decimal","precision":"12","scale":"2""#,
            &[2, 9],
        ),
        (
            r#""bytes""#,
            r#""logicalType":"decimal","precision":120,"scale":2"#,
            &[2, 9],
        ),
        (
            r#""fixed","name":"F","size":2"#,
            r#""logicalType":"decimal","precision":30"#,
            &[1, 2],
        ),
        (
            r#""fixed","name":"F","size":2"#,
            r#""logicalType":"uuid""#,
            &[1, 2],
        ),
        (
            r#""fixed","name":"F","size":2"#,
            r#""logicalType":"duration""#,
            &[1, 2],
        ),
        (
            r#"["null","long"]"#,
            r#""logicalType":"timestamp-millis""#,
            &[2, 4],
        ),
    ] {
        passed_over(&annotated(base, more), bytes);
    }
    // A kept number has the product's meaning, and a kept decimal has the product's digits in the
    // writer's scale.
    let time = of(r#"{"type":"long","logicalType":"timestamp-millis"}"#);
    let found = column(
        &of(r#"{"type":"long","logicalType":"date"}"#),
        &time,
        &[&[4]],
    );
    assert_eq!(
        found.as_primitive::<TimestampMicrosecondType>().values(),
        &[2000]
    );
    let price = of(r#"{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}"#);
    let wide = of(r#"{"type":"bytes","logicalType":"decimal","precision":120,"scale":2}"#);
    assert_eq!(
        column(&wide, &price, &[&[2, 9]])
            .as_primitive::<Decimal128Type>()
            .values(),
        &[9]
    );
    let other = of(r#"{"type":"bytes","logicalType":"decimal","precision":0,"scale":4}"#);
    assert!(
        decoder(&other, &price).is_err(),
        "it would be read a hundred times too large"
    );
}

#[test]
fn a_text_that_is_no_uuid_costs_nothing_where_no_uuid_is_read() {
    let uuid = r#"{"type":"string","logicalType":"uuid"}"#;
    for text in [
        "",
        "n/a",
        "m-000123",
        "{0b3a6a4e-58c8-4e2f-9d3c-4f0a7b1c2d3e}",
        "0b3a6a4e58c84e2f",
    ] {
        let mut bytes = vec![(text.len() * 2) as u8];
        bytes.extend_from_slice(text.as_bytes());
        passed_over(&format!(r#""name":"session","type":{uuid}"#), &bytes);
        let found = column(&of(uuid), &of(r#""string""#), &[&bytes]);
        assert_eq!(found.as_string::<i32>().value(0), text);
        let found = column(&of(uuid), &of(r#""bytes""#), &[&bytes]);
        assert_eq!(found.as_binary::<i32>().value(0), text.as_bytes());
        let read = decoder(&of(uuid), &of(uuid)).unwrap().push(&bytes);
        assert_eq!(
            read.is_ok(),
            text.starts_with('{'),
            "{text:?} is kept as a uuid"
        );
    }
    let short = r#"{"type":"bytes","logicalType":"uuid"}"#;
    passed_over(&format!(r#""name":"session","type":{short}"#), &[4, 1, 2]);
    assert_eq!(
        column(&of(short), &of(r#""bytes""#), &[&[4, 1, 2]])
            .as_binary::<i32>()
            .value(0),
        [1, 2]
    );
    // Text must still be UTF-8.
    let writer = record(&[&format!(r#""name":"session","type":{uuid}"#), INT]);
    assert_eq!(ints(&writer, &[&[2, 0xFF, 6]]), [Err(Fault::BadUtf8)]);
}

#[test]
fn names_are_found_wherever_writers_put_them() {
    let fixed = r#"{"type":"fixed","name":"F","size":2}"#;
    let nested = |namespace: &str, inner: &str| {
        format!(
            r#"{{"type":"record","name":"R","namespace":"a.b","fields":[
                {{"name":"x","type":{{"type":"record","name":"P","namespace":"{namespace}","fields":[{{"name":"f","type":{fixed}}}]}}}},
                {{"name":"y","type":"{inner}"}},{{{INT}}}]}}"#
        )
    };
    for (namespace, inner) in [
        ("", "F"),
        ("c-d", "c-d.F"),
        ("a.b", "F"),
        ("a.b", "a.b.F"),
        ("", ".F"),
    ] {
        assert_eq!(
            ints(&nested(namespace, inner), &[&[1, 2, 3, 4, 6]]),
            [Ok(3)],
            "{namespace} {inner}"
        );
    }
    // The same type twice, once before its definition, once by an alias.
    let twice = record(&[
        &format!(r#""name":"x","type":{fixed}"#),
        &format!(r#""name":"y","type":{fixed}"#),
        INT,
    ]);
    assert_eq!(ints(&twice, &[&[1, 2, 3, 4, 6]]), [Ok(3)]);
    let later = record(&[
        r#""name":"x","type":"F""#,
        &format!(r#""name":"y","type":{fixed}"#),
        INT,
    ]);
    assert_eq!(ints(&later, &[&[1, 2, 3, 4, 6]]), [Ok(3)]);
    let alias = fixed.replace(r#""size""#, r#""aliases":["G"],"size""#);
    let alias = record(&[
        &format!(r#""name":"x","type":{alias}"#),
        r#""name":"y","type":"G""#,
        INT,
    ]);
    assert_eq!(ints(&alias, &[&[1, 2, 3, 4, 6]]), [Ok(3)]);
    // With two fields of one name, the first is used.
    let doubled = record(&[INT, INT, r#""name":"z","type":"string""#]);
    assert_eq!(ints(&doubled, &[&[6, 8, 0]]), [Ok(3)]);
}

#[test]
fn a_type_that_cannot_be_read_costs_only_the_records_that_reach_it() {
    for unreadable in [
        r#""nosuch""#,
        r#"{"type":"enum","name":"E"}"#,
        r#"{"type":"fixed","name":"F"}"#,
        "17",
        "{}",
    ] {
        let optional = record(&[&format!(r#""name":"x","type":["null",{unreadable}]"#), INT]);
        assert_eq!(
            ints(&optional, &[&[0, 6], &[2, 6], &[0, 8]]),
            [Ok(3), Err(Fault::IncompatibleSchema), Ok(4)]
        );
        let list = record(&[
            &format!(r#""name":"x","type":{{"type":"array","items":{unreadable}}}"#),
            INT,
        ]);
        assert_eq!(
            ints(&list, &[&[0, 6], &[2, 4, 0, 6]]),
            [Ok(3), Err(Fault::IncompatibleSchema)]
        );
        let always = record(&[&format!(r#""name":"x","type":{unreadable}"#), INT]);
        let error = decoder(&always, &of(r#""int""#)).unwrap_err();
        assert!(error.brief().contains("cannot be read: "), "{error}");
    }
    let mut decoder = decoder(
        &record(&[r#""name":"x","type":["null","nosuch"]"#, INT]),
        &of(r#""int""#),
    )
    .unwrap();
    assert_eq!(decoder.push(&[2]), Err(Fault::IncompatibleSchema));
    assert!(
        decoder
            .refused()
            .unwrap()
            .reason
            .contains("`nosuch` is not defined")
    );
    assert_eq!(decoder.push(&[2, 2, 2]), Err(Fault::IncompatibleSchema));
    assert_eq!(decoder.push(&[0]), Err(Fault::Truncated));
    assert_eq!(
        decoder.refused(),
        None,
        "its bytes are at fault, not its schema"
    );
}

#[test]
fn records_that_hold_themselves_are_passed_over_and_may_hold_the_product() {
    passed_over(r#""name":"parent","type":["null","R"]"#, &[2, 0, 8]);
    let writer = record(&[
        r#""name":"tree","type":{"type":"map","values":{"type":"record","name":"N","fields":[{"name":"n","type":{"type":"array","items":"N"}}]}}"#,
        INT,
    ]);
    assert_eq!(ints(&writer, &[&[2, 2, b'k', 4, 0, 0, 0, 0, 6]]), [Ok(3)]);
}

#[test]
fn schema_may_refer_to_others_each_after_those_it_refers_to() {
    let reference = |name: &str, text: &str| SchemaReference {
        name: name.to_owned(),
        text: text.to_owned(),
    };
    let fixed = reference(
        "a.F",
        r#"{"type":"fixed","name":"F","namespace":"a","size":2}"#,
    );
    let party = reference(
        "a.P",
        r#"{"type":"record","name":"P","namespace":"a","fields":[{"name":"f","type":"F"}]}"#,
    );
    let odd = reference(
        "by.another.name",
        r#"{"type":"enum","name":"E","symbols":["x"]}"#,
    );
    let writer = r#"{"type":"record","name":"R","namespace":"b","fields":[
        {"name":"p","type":"a.P"},{"name":"e","type":"by.another.name"},{"name":"v","type":"int"}]}"#;
    let read = |references: &[SchemaReference]| -> Result<i32, SchemaError> {
        let reader = Schema::parse(&of(r#""int""#))?;
        let written = WriterSchema::with_references(writer, references)?;
        let mut decoder = Decoder::new(&written, &reader, &BTreeSet::from(["v".to_owned()]))?;
        decoder.push(&[1, 2, 0, 6]).unwrap();
        Ok(decoder
            .flush()
            .batch
            .column(0)
            .as_primitive::<Int32Type>()
            .value(0))
    };
    assert_eq!(read(&[fixed.clone(), party.clone(), odd.clone()]), Ok(3));
    let error = read(&[fixed, odd]).unwrap_err();
    assert!(error.brief().contains("`a.P` is not defined"), "{error}");
    assert!(
        read(&[reference("x", "{")])
            .unwrap_err()
            .brief()
            .contains("not an Avro schema")
    );
}

#[test]
fn flaws_that_a_writers_schema_may_have_are_refused_in_a_products() {
    for (fields, part) in [
        (
            vec![r#""name":"sent-at","type":"int""#],
            "`sent-at` is not a name of a field",
        ),
        (
            vec![r#""name":"2g","type":"int""#],
            "`2g` is not a name of a field",
        ),
        (vec![INT, INT], "two fields are named `v`"),
        (
            vec![r#""name":"v","type":"int","default":"x""#],
            "v: the default is not of the field's type",
        ),
        (
            vec![
                r#""name":"v","type":{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}"#,
            ],
            "is impossible",
        ),
        (
            vec![r#""name":"v","type":{"type":"enum","name":"E","symbols":["a"],"default":"b"}"#],
            "not one of its symbols",
        ),
        (
            vec![r#""name":"v","type":{"type":"enum","name":"E","symbols":["a","a"]}"#],
            "one symbol twice",
        ),
        (
            vec![
                r#""name":"v","type":"F""#,
                r#""name":"w","type":{"type":"fixed","name":"F","size":1}"#,
            ],
            "before it is defined",
        ),
    ] {
        let error = Schema::parse(&record(&fields)).unwrap_err().to_string();
        assert!(error.contains(part), "{fields:?}: {error}");
    }
    // Names of types are not columns, so that a producer's own schema can be the product's.
    let hyphen = of(r#""long""#).replace(r#""name":"R""#, r#""name":"R","namespace":"my-team.v1""#);
    assert_eq!(Schema::parse(&hyphen).unwrap().name, "my-team.v1.R");
    assert_eq!(
        column(&hyphen, &hyphen, &[&[2]])
            .as_primitive::<Int64Type>()
            .values(),
        &[1]
    );
}
