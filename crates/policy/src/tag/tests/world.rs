//! A policy and batches for the tests of tagging.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::schema::Schema;
use crate::{
    Boundary, ColumnClass, Derivation, DerivedColumn, EndRule, Jurisdiction, OtherRecords,
    Platform, Policy, Product, Records, RetentionPeriod, Rule, SubjectColumn, SubjectKind, Trigger,
};
use ebbtide_base::ids::{
    BucketUnit, Category, Country, Partition, PolicyVersion, ProductKey, RuleId, Topic,
    TopicPartition,
};

const SCHEMA: &str = r#"{"type": "record", "name": "Sms", "fields": [
    {"name": "message_id", "type": "string"},
    {"name": "recipient", "type": ["null", "string"]},
    {"name": "originator", "type": ["null", "string"]},
    {"name": "mail", "type": ["null", "string"]},
    {"name": "platform", "type": ["null", "string"]},
    {"name": "channel", "type": ["null", "string"]},
    {"name": "body", "type": ["null", "string"]},
    {"name": "sent_at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
    {"name": "customer_id", "type": ["null", "string"]},
    {"name": "country", "type": ["null", "string"]},
    {"name": "segments", "type": "int"}
]}"#;

/// One record of the product `sms`.
#[derive(Debug, Clone, Default)]
pub struct SmsRow {
    pub recipient: Option<String>,
    pub originator: Option<String>,
    pub mail: Option<String>,
    pub platform: Option<String>,
    pub channel: Option<String>,
    pub body: Option<String>,
    /// Microseconds.
    pub sent_at: Option<i64>,
    pub customer_id: Option<String>,
    pub country: Option<String>,
}

/// Returns a row with an event at `sent_at` and otherwise plain values.
pub fn row(sent_at: &str) -> SmsRow {
    SmsRow {
        recipient: Some("+31612345678".into()),
        originator: Some("ACME".into()),
        mail: Some("Someone@Example.org".into()),
        platform: Some("WhatsApp".into()),
        channel: Some("31612345678".into()),
        body: Some("hello".into()),
        sent_at: Some(at(sent_at).timestamp_micros()),
        customer_id: Some("acme".into()),
        country: Some("NL".into()),
    }
}

/// Returns an instant in RFC 3339 format.
pub fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text)
        .unwrap()
        .with_timezone(&Utc)
}

/// Returns a batch of `rows`, with a column `extra` that the policy does not name.
pub fn batch(rows: &[SmsRow]) -> RecordBatch {
    let text = |of: fn(&SmsRow) -> &Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(
            rows.iter().map(|row| of(row).as_deref()),
        ))
    };
    let ids: Vec<String> = (0..rows.len()).map(|row| format!("m{row}")).collect();
    let sent_at = TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.sent_at))
        .with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("message_id", Arc::new(StringArray::from(ids))),
        ("recipient", text(|row| &row.recipient)),
        ("originator", text(|row| &row.originator)),
        ("mail", text(|row| &row.mail)),
        ("platform", text(|row| &row.platform)),
        ("channel", text(|row| &row.channel)),
        ("body", text(|row| &row.body)),
        ("sent_at", Arc::new(sent_at)),
        ("customer_id", text(|row| &row.customer_id)),
        ("country", text(|row| &row.country)),
        (
            "segments",
            Arc::new(Int32Array::from_iter_values(0..rows.len() as i32)),
        ),
        ("extra", text(|row| &row.body)),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    assert_eq!(
        fields[7].data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    );
    RecordBatch::try_new(
        Arc::new(ArrowSchema::new(fields)),
        columns.into_iter().map(|(_, column)| column).collect(),
    )
    .unwrap()
}

pub fn sms() -> ProductKey {
    ProductKey::new("sms").unwrap()
}

pub fn source() -> TopicPartition {
    TopicPartition {
        topic: Topic::new("traffic.sms").unwrap(),
        partition: Partition(3),
    }
}

/// Returns a rule for everything.
pub fn rule(id: &str, keep: RetentionPeriod, boundary: Boundary) -> Rule {
    Rule {
        id: RuleId::new(id).unwrap(),
        products: Vec::new(),
        categories: Vec::new(),
        jurisdictions: Vec::new(),
        tenants: Vec::new(),
        keep,
        trigger: Trigger::Event,
        boundary,
        grace: RetentionPeriod::Hours(24),
        bases: Vec::new(),
        purposes: Vec::new(),
        source: None,
    }
}

pub fn category(name: &str) -> Category {
    Category::new(name).unwrap()
}

pub fn country(code: &str) -> Country {
    Country::new(code).unwrap()
}

/// Returns the definition of the tests' records; `extra` is not named, so it must never be in the
/// output.
pub fn records() -> Records {
    let personal = |name: &str| ColumnClass::Personal(category(name));
    let fields = [
        ("message_id", personal("traffic_data")),
        ("recipient", personal("phone_number")),
        ("originator", personal("phone_number")),
        ("mail", personal("email_address")),
        ("channel", personal("channel_id")),
        ("body", personal("content")),
        ("sent_at", personal("traffic_data")),
        ("customer_id", ColumnClass::NotPersonal),
        ("country", ColumnClass::NotPersonal),
        ("segments", ColumnClass::NotPersonal),
    ];
    let subject = |column: &str, kind| SubjectColumn {
        column: column.into(),
        kind,
    };
    let derived = |name: &str, how, of: &str| DerivedColumn {
        name: name.into(),
        how,
        of: of.into(),
    };
    Records {
        topics: vec![Topic::new("traffic.sms").unwrap()],
        schema: Arc::new(Schema::parse(SCHEMA).unwrap()),
        event_time: "sent_at".into(),
        event_time_zone: None,
        tenant: Some("customer_id".into()),
        jurisdiction: Jurisdiction::CountryOf("recipient".into()),
        subjects: vec![
            subject("recipient", SubjectKind::Phone),
            subject("originator", SubjectKind::Phone),
            subject("mail", SubjectKind::Email),
            subject(
                "channel",
                SubjectKind::Channel(Platform::Column("platform".into())),
            ),
        ],
        default_country: None,
        fields: fields
            .into_iter()
            .map(|(name, class)| (name.to_owned(), class))
            .collect(),
        derive: vec![
            derived("recipient_country", Derivation::CountryOf, "recipient"),
            derived("originator_country", Derivation::CountryOf, "originator"),
            derived("sent_hour", Derivation::HourOf, "sent_at"),
            derived("mail_domain", Derivation::DomainOf, "mail"),
        ],
        end: EndRule::Remove,
        others: OtherRecords::default(),
    }
}

/// Returns a policy of one product.
pub fn policy(zone: Tz, bucket: BucketUnit, records: Records, rules: Vec<Rule>) -> Policy {
    let product = Product {
        key: sms(),
        title: None,
        records: Some(records),
    };
    Policy {
        version: PolicyVersion::new("1").unwrap(),
        digest: crate::PolicyText::default().digest(),
        zone,
        bucket,
        categories: [
            "traffic_data",
            "phone_number",
            "email_address",
            "channel_id",
            "content",
        ]
        .map(|name| (category(name), "pd:Thing".to_owned()))
        .into(),
        products: [(sms(), product)].into(),
        rules,
    }
}
