//! Avro's rule of names: a record, enum or fixed type is read as another with its unqualified name,
//! or with an alias for it.

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;

use super::super::{Decoder, Schema, SchemaError, WriterSchema};
use super::{decoder, of, record};
use ebbtide_base::record::Fault;

fn named(head: &str) -> String {
    format!(r#"{{"type":"record",{head},"fields":[{{"name":"v","type":"int"}}]}}"#)
}

/// Returns the outcome of one body of a writer's schema: read or refused, and in the second case
/// whether as a record of another name.
fn outcome(
    decoder: Result<Decoder, SchemaError>,
    body: &[u8],
) -> (Result<(), Fault>, Option<bool>) {
    let mut decoder = decoder.unwrap();
    let read = decoder.push(body);
    (
        read,
        decoder.refused().map(|refusal| refusal.is_other_record),
    )
}

const OTHER: (Result<(), Fault>, Option<bool>) = (Err(Fault::IncompatibleSchema), Some(true));
const READ: (Result<(), Fault>, Option<bool>) = (Ok(()), None);

#[test]
fn a_record_is_read_by_its_unqualified_name_or_by_an_alias_of_the_product() {
    let reader = named(r#""name":"Sms","namespace":"a","aliases":["Text","b.Message"]"#);
    for (writer, wanted) in [
        (r#""name":"Sms","namespace":"a""#, READ),
        (r#""name":"Sms","namespace":"x-y.z""#, READ),
        (r#""name":"Sms""#, READ),
        (r#""name":"c.Text""#, READ),
        (r#""name":"b.Message""#, READ),
        (r#""name":"c.Message""#, OTHER),
        (r#""name":"SmsReceipt","namespace":"a""#, OTHER),
        (r#""name":"sms","namespace":"a""#, OTHER),
        // A writer's aliases have no effect on the product.
        (r#""name":"SmsV2","namespace":"a","aliases":["Sms"]"#, OTHER),
    ] {
        assert_eq!(
            outcome(decoder(&named(writer), &reader), &[6]),
            wanted,
            "{writer}"
        );
    }
}

#[test]
fn a_union_at_the_top_is_read_branch_by_branch() {
    let union = |branches: &[&str]| format!("[{}]", branches.join(","));
    let (sms, receipt) = (named(r#""name":"x.Sms""#), named(r#""name":"x.Receipt""#));
    let reader = named(r#""name":"Sms""#);
    let both = union(&[&sms, &receipt, r#""null""#, r#""string""#]);
    for (body, wanted) in [
        (&[0, 6][..], READ),
        (&[2, 6], OTHER),
        // A body that is not a record is not a record of another name either.
        (&[4], (Err(Fault::IncompatibleSchema), Some(false))),
        (&[6, 2, b'a'], (Err(Fault::IncompatibleSchema), Some(false))),
        (&[8], (Err(Fault::BadBody), None)),
        (&[0], (Err(Fault::Truncated), None)),
        (&[], (Err(Fault::Truncated), None)),
    ] {
        assert_eq!(outcome(decoder(&both, &reader), body), wanted, "{body:?}");
    }
    // None of the branches is the product's; each is still recognised.
    let others = union(&[&receipt, &named(r#""name":"x.Bounce""#)]);
    assert_eq!(outcome(decoder(&others, &reader), &[2, 6]), OTHER);
    // The product's record by its name, but not by its fields.
    let unlike = union(&[&sms.replace(r#""int""#, r#""string""#), &receipt]);
    assert_eq!(
        outcome(decoder(&unlike, &reader), &[0, 0]),
        (Err(Fault::IncompatibleSchema), Some(false))
    );
    let reasons = decoder(&unlike, &reader)
        .unwrap()
        .refusals()
        .iter()
        .map(|r| r.reason.clone())
        .collect::<Vec<_>>();
    let wanted = [
        "v: the writer's string cannot be read as the product's int",
        "the writer's record `x.Receipt` is not the product's `Sms`",
    ];
    assert_eq!(reasons, wanted);
}

#[test]
fn nested_records_enums_and_fixed_types_have_names_too() {
    let party = |name: &str| {
        format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"id","type":"int"}}]}}"#)
    };
    let list = |name: &str| format!(r#"{{"type":"array","items":{}}}"#, party(name));
    let symbols = |name: &str| format!(r#"{{"type":"enum","name":"{name}","symbols":["a"]}}"#);
    let fixed = |name: &str| format!(r#"{{"type":"fixed","name":"{name}","size":2}}"#);
    let price = |name: &str| {
        fixed(name).replace(
            r#""size""#,
            r#""logicalType":"decimal","precision":4,"size""#,
        )
    };
    for of_name in [
        &party as &dyn Fn(&str) -> String,
        &list,
        &symbols,
        &fixed,
        &price,
    ] {
        let reader = of(&of_name("p.A"));
        assert!(decoder(&of(&of_name("q.A")), &reader).is_ok(), "{reader}");
        let error = decoder(&of(&of_name("q.B")), &reader)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("v: the writer's ")
                && error.contains("`q.B` is not the product's `p.A`"),
            "{error}"
        );
        let alias = reader.replacen(r#""name":"p.A""#, r#""name":"p.A","aliases":["q.B"]"#, 1);
        assert!(decoder(&of(&of_name("q.B")), &alias).is_ok(), "{alias}");
    }
    // Fields that are not kept may have any name.
    let (writer, reader) = ([party("B"), party("A")])
        .map(|of| {
            record(&[
                &format!(r#""name":"p","type":{of}"#),
                r#""name":"v","type":"int""#,
            ])
        })
        .into();
    let (written, schema) = (
        WriterSchema::parse(&writer).unwrap(),
        Schema::parse(&reader).unwrap(),
    );
    let mut decoder = Decoder::new(&written, &schema, &["v".to_owned()].into()).unwrap();
    assert_eq!(decoder.push(&[2, 6]), Ok(()));
    assert_eq!(
        decoder
            .flush()
            .batch
            .column(0)
            .as_primitive::<Int32Type>()
            .values(),
        &[3]
    );
}

#[test]
fn listed_names_are_the_products_and_no_others() {
    let listed = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Schema::parse(&named(r#""name":"a.Sms","aliases":["Old"]"#))
            .unwrap()
            .with_record_names(&names)
    };
    let reader = listed(&["b.Sms", "Mms"]);
    for (writer, wanted) in [
        (r#""name":"b.Sms""#, READ),
        (r#""name":"c.Mms""#, READ),
        (r#""name":"a.Sms""#, OTHER),
        (r#""name":"Old""#, OTHER),
    ] {
        let written = WriterSchema::parse(&named(writer)).unwrap();
        let decoder = Decoder::new(&written, &reader, &["v".to_owned()].into());
        assert_eq!(outcome(decoder, &[6]), wanted, "{writer}");
    }
    // The reason names the list, also if the writer's name is that of the product's schema.
    for (writer, reason) in [
        (
            r#""name":"a.Sms""#,
            "the writer's record `a.Sms` is not one of records.names",
        ),
        (
            r#""name":"Old""#,
            "the writer's record `Old` is not one of records.names",
        ),
        (
            r#""name":"x.Receipt""#,
            "the writer's record `x.Receipt` is not one of records.names",
        ),
    ] {
        let written = WriterSchema::parse(&named(writer)).unwrap();
        let decoder = Decoder::new(&written, &reader, &["v".to_owned()].into()).unwrap();
        assert_eq!(decoder.refusals()[0].reason, reason);
    }
}
