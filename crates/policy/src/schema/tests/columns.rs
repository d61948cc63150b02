//! Tests of the columns of a product's schema, and of types that a table cannot contain.

use super::super::Schema;
use super::{of, record};

fn refused(json: &str) -> String {
    Schema::parse(json).unwrap_err().to_string()
}

#[test]
fn columns_have_the_order_the_paths_and_the_docs_of_the_schema() {
    let sender =
        r#"{"type":"record","name":"P","fields":[{"name":"id","type":"string","doc":"who"}]}"#;
    let json = record(&[
        r#""name":"at","type":{"type":"long","logicalType":"timestamp-millis"}"#,
        &format!(r#""name":"sender","type":["null",{sender}]"#),
        r#""name":"tags","type":{"type":"array","items":"string"}"#,
    ]);
    let schema = Schema::parse(&json).unwrap();
    assert_eq!(schema.name, "R");
    let columns = schema.columns.iter().map(|c| {
        (
            c.name.as_str(),
            c.path.join("."),
            c.nullable,
            c.doc.as_deref(),
        )
    });
    assert_eq!(
        columns.collect::<Vec<_>>(),
        [
            ("at", "at".to_owned(), false, None),
            ("sender_id", "sender.id".to_owned(), true, Some("who")),
            ("tags", "tags".to_owned(), false, None),
        ]
    );
    assert_eq!(
        Schema::parse(schema.text()).unwrap().columns,
        schema.columns
    );
}

#[test]
fn type_that_no_table_holds_is_refused_by_its_path_with_the_fix() {
    let inner = |avro: &str| {
        let inner =
            format!(r#"{{"type":"record","name":"I","fields":[{{"name":"x","type":{avro}}}]}}"#);
        refused(&of(&inner))
    };
    for (avro, part) in [
        (
            r#"["null","int","string"]"#,
            "a union of anything but null and one other type",
        ),
        (r#"["null","I"]"#, "the record holds itself"),
        (r#"{"type":"array","items":"I"}"#, "the record holds itself"),
        (
            r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#,
            "a duration",
        ),
        (r#""null""#, "always null"),
        (r#"["null"]"#, "always null"),
        (r#"{"type":"array","items":"null"}"#, "always null"),
        (
            r#"{"type":"bytes","logicalType":"big-decimal"}"#,
            "big-decimal",
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":39}"#,
            "39 digits",
        ),
        (
            r#"{"type":"map","values":{"type":"record","name":"E","fields":[]}}"#,
            "a record without fields",
        ),
    ] {
        let error = inner(avro);
        assert!(
            error.starts_with("v.x: ") && error.contains(part) && error.contains("; "),
            "{avro}: {error}"
        );
    }
}

#[test]
fn names_that_flatten_to_one_column_are_refused_in_any_case_of_letters() {
    let party = r#"{"type":"record","name":"P","fields":[{"name":"Id","type":"string"}]}"#;
    let json = record(&[
        r#""name":"sender_id","type":"string""#,
        &format!(r#""name":"sender","type":{party}"#),
    ]);
    let error = refused(&json);
    assert!(
        error.contains("`sender.Id` and `sender_id` both flatten to the column `sender_Id`"),
        "{error}"
    );
}

#[test]
fn all_unfit_fields_are_reported_together() {
    let json = record(&[
        r#""name":"a","type":"null""#,
        r#""name":"b","type":["int","string"]"#,
    ]);
    assert_eq!(Schema::parse(&json).unwrap_err().found.len(), 2);
}

#[test]
fn schema_that_is_no_record_or_no_avro_is_refused() {
    assert!(refused(r#""string""#).contains("not a record"));
    assert!(refused(&record(&[])).contains("no fields"));
    assert!(refused("{").contains("not an Avro schema"));
    assert!(refused(&of(r#""nosuch""#)).contains("not an Avro schema"));
}

#[test]
fn records_may_not_nest_without_end() {
    let nest = |depth: usize| {
        let inner = |of: String, level: usize| {
            format!(
                r#"{{"type":"record","name":"L{level}","fields":[{{"name":"v","type":{of}}}]}}"#
            )
        };
        (0..depth).fold(r#""int""#.to_owned(), inner)
    };
    assert_eq!(Schema::parse(&nest(16)).unwrap().columns.len(), 1);
    assert!(refused(&nest(17)).contains("nest deeper"));
}
