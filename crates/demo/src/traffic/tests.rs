use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use chrono::{DateTime, TimeDelta, Utc};

use super::*;

const PRODUCTS: [&str; 13] = [
    "sms",
    "voice",
    "email",
    "inbox",
    "flow",
    "video",
    "widget",
    "conversations",
    "push",
    "cdp",
    "account",
    "marketing",
    "consent",
];

fn schema_of(product: &str) -> String {
    std::fs::read_to_string(format!(
        "{}/../../schemas/{product}.avsc",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

fn sources(framing: impl Fn(u32) -> Framing) -> Vec<TrafficSource> {
    let source = |(id, product): (usize, &&str)| TrafficSource {
        product: ProductKey::new(product).unwrap(),
        topic: Topic::new(&format!("traffic.{product}")).unwrap(),
        schema: schema_of(product),
        framing: framing(id as u32 + 1),
    };
    PRODUCTS.iter().enumerate().map(source).collect()
}

fn noon() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn decode(schemas: &BTreeMap<String, Schema>, message: &TrafficMessage, header: usize) -> Value {
    let mut body = &message.payload.as_deref().unwrap()[header..];
    let value = read_value(&schemas[message.product.as_str()], &mut body).unwrap();
    assert!(
        body.is_empty(),
        "bytes are left over after a record of {}",
        message.product
    );
    value
}

fn read_value(schema: &Schema, body: &mut &[u8]) -> Result<Value, apache_avro::Error> {
    GenericDatumReader::builder(schema)
        .build()?
        .read_value(body)
}

/// Returns the number of bytes that a reader consumes if zeros follow a body, so that every field
/// can be read.
fn whole(schema: &Schema, body: &[u8]) -> usize {
    let longer = [body, &[0; 4096]].concat();
    let mut rest = &longer[..];
    read_value(schema, &mut rest).unwrap();
    longer.len() - rest.len()
}

fn schemas() -> BTreeMap<String, Schema> {
    PRODUCTS
        .iter()
        .map(|product| {
            (
                (*product).to_owned(),
                Schema::parse_str(&schema_of(product)).unwrap(),
            )
        })
        .collect()
}

fn text(value: &Value, name: &str) -> String {
    let Value::Record(fields) = value else {
        panic!("no record")
    };
    match &fields.iter().find(|(field, _)| field == name).unwrap().1 {
        Value::String(text) => text.clone(),
        Value::Uuid(uuid) => uuid.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_good_message_of_every_product_decodes_with_its_schema() {
    let schemas = schemas();
    let mut traffic = Traffic::new(
        1,
        TrafficSettings {
            flaws_per_million: 0,
            ..TrafficSettings::default()
        },
        &sources(Framing::Confluent),
    )
    .unwrap();
    let mut seen = BTreeMap::<String, u32>::new();
    for _ in 0..20_000 {
        let message = traffic.next(noon());
        let payload = message.payload.as_deref().unwrap();
        assert_eq!(payload[0], 0);
        let id = u32::from_be_bytes(payload[1..5].try_into().unwrap());
        assert_eq!(PRODUCTS[id as usize - 1], message.product.as_str());
        decode(&schemas, &message, 5);
        *seen.entry(message.product.to_string()).or_default() += 1;
    }
    assert_eq!(seen.len(), PRODUCTS.len());
    assert!(seen["sms"] > seen["voice"] && seen["voice"] > seen["account"]);
}

#[test]
fn single_object_messages_carry_the_fingerprint_of_their_schema() {
    let schemas = schemas();
    let mut traffic = Traffic::new(
        2,
        TrafficSettings::STEADY,
        &sources(|_| Framing::SingleObject),
    )
    .unwrap();
    for _ in 0..500 {
        let message = traffic.next(noon());
        let payload = message.payload.as_deref().unwrap();
        assert_eq!(payload[..2], [0xc3, 0x01]);
        let schema = WriterSchema::parse(&schema_of(message.product.as_str())).unwrap();
        assert_eq!(payload[2..10], schema.fingerprint().to_le_bytes());
        decode(&schemas, &message, 10);
    }
}

#[test]
fn the_same_seed_gives_the_same_messages_and_another_seed_others() {
    let take = |seed| {
        let mut traffic = Traffic::new(
            seed,
            TrafficSettings::default(),
            &sources(Framing::Confluent),
        )
        .unwrap();
        (0..500).map(|_| traffic.next(noon())).collect::<Vec<_>>()
    };
    assert_eq!(take(5), take(5));
    assert_ne!(take(5), take(6));
}

#[test]
fn ids_are_unique_and_people_and_tenants_come_again() {
    let schemas = schemas();
    let sms = &sources(Framing::Confluent)[..1];
    let mut traffic = Traffic::new(3, TrafficSettings::STEADY, sms).unwrap();
    let (mut ids, mut people, mut tenants) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for _ in 0..20_000 {
        let value = decode(&schemas, &traffic.next(noon()), 5);
        *ids.entry(text(&value, "message_id")).or_insert(0) += 1;
        *people.entry(text(&value, "recipient")).or_insert(0) += 1;
        *tenants.entry(text(&value, "customer_id")).or_insert(0) += 1;
    }
    assert!(ids.values().all(|&times| times == 1));
    assert!(
        people.len() < 18_000 && people.len() > 5_000,
        "{}",
        people.len()
    );
    assert!(tenants.len() > 200 && tenants["tenant-0001"] > 20 * tenants["tenant-0100"]);
}

#[test]
fn a_message_of_an_sms_takes_about_170_bytes() {
    let mut traffic = Traffic::new(
        4,
        TrafficSettings::STEADY,
        &sources(Framing::Confluent)[..1],
    )
    .unwrap();
    let mut all = Vec::new();
    for _ in 0..5_000 {
        traffic.append(noon(), &mut all);
    }
    let mean = all.len() / 5_000;
    assert!((160..=185).contains(&mean), "{mean}");
}

#[test]
fn a_corrupt_message_has_the_fault_that_it_says() {
    let schemas = schemas();
    let habits = TrafficSettings {
        flaws_per_million: 500_000,
        ..TrafficSettings::default()
    };
    let mut traffic = Traffic::new(6, habits, &sources(Framing::Confluent)).unwrap();
    let mut seen = BTreeMap::<Fault, u32>::new();
    for _ in 0..4_000 {
        let message = traffic.next(noon());
        let Some(flaw) = message.flaw else {
            decode(&schemas, &message, 5);
            continue;
        };
        *seen.entry(flaw).or_default() += 1;
        let payload = message.payload.as_deref();
        let schema = &schemas[message.product.as_str()];
        let read = |mut body: &[u8]| (read_value(schema, &mut body).is_ok(), body.len());
        match flaw {
            Fault::Tombstone => assert_eq!(payload, None),
            Fault::Empty => assert_eq!(payload, Some(&[][..])),
            Fault::BadMagic => assert_eq!(payload.unwrap()[0], b'{'),
            Fault::UnknownSchema => assert_eq!(payload.unwrap()[..5], [0, 0x7f, 0x7f, 0x7f, 0x7f]),
            // The reference reader reads the end of a body as null, so it does not report this
            // fault.
            Fault::Truncated => {
                assert!(payload.unwrap().len() < 5 + whole(schema, &payload.unwrap()[5..]))
            }
            Fault::BadUtf8 => assert!(!read(&payload.unwrap()[5..]).0),
            Fault::TrailingBytes => assert_eq!(read(&payload.unwrap()[5..]), (true, 3)),
            _ => assert_eq!(read(&payload.unwrap()[5..]), (true, 0)),
        }
    }
    assert_eq!(seen.len(), FLAWS.len());
}

#[test]
fn spread_events_are_within_the_spread_and_follow_the_day() {
    let schemas = schemas();
    let habits = TrafficSettings {
        flaws_per_million: 0,
        late: false,
        spread: TimeDelta::days(3),
    };
    let mut traffic = Traffic::new(7, habits, &sources(Framing::Confluent)[..1]).unwrap();
    let (mut night, mut day) = (0, 0);
    for _ in 0..10_000 {
        let Value::Record(fields) = decode(&schemas, &traffic.next(noon()), 5) else {
            panic!("no record")
        };
        let Value::TimestampMillis(at) =
            fields.iter().find(|(name, _)| name == "sent_at").unwrap().1
        else {
            panic!("no time")
        };
        let at = DateTime::from_timestamp_millis(at).unwrap();
        assert!(at <= noon() && at >= noon() - TimeDelta::days(3));
        match at.format("%H").to_string().parse().unwrap() {
            2..5 => night += 1,
            14..17 => day += 1,
            _ => {}
        }
    }
    assert!(day > 3 * night, "{day} by day, {night} by night");
}

#[test]
fn any_schema_has_traffic_even_one_that_is_not_shipped() {
    let schema = r#"{"type": "record", "name": "Odd", "fields": [
        {"name": "a", "type": {"type": "fixed", "name": "F", "size": 5}},
        {"name": "b", "type": {"type": "fixed", "name": "D", "size": 9, "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "c", "type": ["string", "null"]},
        {"name": "d", "type": {"type": "map", "values": {"type": "array", "items": "double"}}},
        {"name": "e", "type": "boolean"}, {"name": "f", "type": "float"}, {"name": "g", "type": "bytes"},
        {"name": "h", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "i", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "j", "type": {"type": "record", "name": "In", "fields": [{"name": "k", "type": ["null", "int"]}]}}]}"#;
    let source = TrafficSource {
        product: ProductKey::new("odd").unwrap(),
        topic: Topic::new("odd").unwrap(),
        schema: schema.to_owned(),
        framing: Framing::Confluent(9),
    };
    let schemas = BTreeMap::from([("odd".to_owned(), Schema::parse_str(schema).unwrap())]);
    let mut traffic = Traffic::new(
        8,
        TrafficSettings {
            flaws_per_million: 0,
            ..TrafficSettings::default()
        },
        &[source],
    )
    .unwrap();
    for _ in 0..2_000 {
        decode(&schemas, &traffic.next(noon()), 5);
    }
}

#[test]
fn a_schema_that_is_no_record_is_refused_with_its_product() {
    let source = |schema: &str| TrafficSource {
        product: ProductKey::new("odd").unwrap(),
        topic: Topic::new("odd").unwrap(),
        schema: schema.to_owned(),
        framing: Framing::SingleObject,
    };
    for schema in [r#""string""#, "{", ""] {
        let error = Traffic::new(1, TrafficSettings::STEADY, &[source(schema)]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the producer's schema of odd is not an Avro record"),
            "{error}"
        );
    }
    assert!(matches!(
        Traffic::new(1, TrafficSettings::STEADY, &[]),
        Err(TrafficError::Producers)
    ));
}
