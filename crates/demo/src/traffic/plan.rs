//! Decides once how each field of a schema is filled: its name decides the content, its type the
//! encoding. Every schema has a plan; the shipped schemas get realistic content. Names and types
//! must not be read again while records are made.

use apache_avro::Schema;
use apache_avro::schema::{InnerDecimalSchema, UuidSchema};

use super::words;

/// One step of writing a record: an Avro type and its content.
#[derive(Debug)]
pub(super) enum WriteStep {
    Null,
    Boolean,
    /// A whole number below `end`.
    Whole {
        end: u64,
    },
    /// An instant, as milliseconds since 1970 times `scale`.
    Instant {
        when: InstantOffset,
        scale: i64,
    },
    /// The day of the event.
    Day,
    Float,
    Double,
    Bytes,
    Text(TextContent),
    /// The symbol at a random position of the table.
    Enum(Box<[u8; 64]>),
    Fixed(usize),
    DecimalBytes {
        end: u64,
    },
    DecimalFixed {
        end: u64,
        size: usize,
    },
    /// A value in `per_1024` of 1024 records, otherwise null.
    Optional {
        null: i64,
        some: i64,
        per_1024: u16,
        then: Box<WriteStep>,
    },
    Branch(i64, Box<WriteStep>),
    List(Box<WriteStep>),
    Map(Box<WriteStep>),
    Record(Vec<WriteStep>),
}

/// The time of an instant relative to the event.
#[derive(Debug, Clone, Copy)]
pub(super) enum InstantOffset {
    Event,
    After,
    Before,
}

/// The person whose data a field contains.
#[derive(Debug, Clone, Copy)]
pub(super) enum PersonRole {
    Subject,
    Other,
}

/// The content of a text.
#[derive(Debug)]
pub(super) enum TextContent {
    Uuid,
    Tenant,
    /// A tenant, or this text in most records.
    TenantOr(&'static str),
    Number(PersonRole),
    /// A sender's name, a short code of the tenant, or a phone number.
    Originator,
    Email(PersonRole),
    Name(PersonRole),
    Country,
    /// A person's id on a channel.
    ChannelId,
    /// A text with digits in it.
    Phrase,
    Ip,
    OneOf(&'static [&'static str]),
    /// A prefix and digits.
    Coded(&'static str, u8),
    Bank,
    Json,
}

/// Returns the plan of a product's schema. `above` is the flattened name of the field that has this
/// schema; empty for the whole record.
pub(super) fn plan(product: &str, schema: &Schema, above: &str) -> WriteStep {
    match schema {
        Schema::Null | Schema::Ref { .. } => WriteStep::Null,
        Schema::Boolean => WriteStep::Boolean,
        Schema::Int | Schema::Long => WriteStep::Whole { end: most(above) },
        Schema::TimeMillis => WriteStep::Whole { end: 86_400_000 },
        Schema::TimeMicros => WriteStep::Whole {
            end: 86_400_000_000,
        },
        Schema::Date => WriteStep::Day,
        Schema::TimestampMillis | Schema::LocalTimestampMillis => WriteStep::Instant {
            when: when(above),
            scale: 1,
        },
        Schema::TimestampMicros | Schema::LocalTimestampMicros => WriteStep::Instant {
            when: when(above),
            scale: 1_000,
        },
        Schema::TimestampNanos | Schema::LocalTimestampNanos => WriteStep::Instant {
            when: when(above),
            scale: 1_000_000,
        },
        Schema::Float => WriteStep::Float,
        Schema::Double => WriteStep::Double,
        Schema::Bytes | Schema::BigDecimal => WriteStep::Bytes,
        Schema::String => WriteStep::Text(holds(product, above)),
        Schema::Uuid(UuidSchema::String) => WriteStep::Text(TextContent::Uuid),
        Schema::Uuid(UuidSchema::Bytes) => WriteStep::Bytes,
        Schema::Uuid(UuidSchema::Fixed(fixed)) | Schema::Fixed(fixed) | Schema::Duration(fixed) => {
            WriteStep::Fixed(fixed.size)
        }
        Schema::Decimal(decimal) => {
            let end = 10_u64.pow((decimal.precision as u32).min(7));
            match &decimal.inner {
                InnerDecimalSchema::Bytes => WriteStep::DecimalBytes { end },
                InnerDecimalSchema::Fixed(fixed) => WriteStep::DecimalFixed {
                    end,
                    size: fixed.size,
                },
            }
        }
        Schema::Enum(enumeration) => WriteStep::Enum(symbols(&enumeration.symbols)),
        Schema::Array(array) => WriteStep::List(Box::new(plan(product, &array.items, above))),
        Schema::Map(map) => WriteStep::Map(Box::new(plan(product, &map.types, above))),
        Schema::Union(union) => branch(product, union.variants(), above),
        Schema::Record(record) => WriteStep::Record(
            record
                .fields
                .iter()
                .map(|field| {
                    let name = if above.is_empty() {
                        field.name.clone()
                    } else {
                        format!("{above}_{}", field.name)
                    };
                    plan(product, &field.schema, &name)
                })
                .collect(),
        ),
    }
}

fn branch(product: &str, variants: &[Schema], name: &str) -> WriteStep {
    let null = variants
        .iter()
        .position(|variant| matches!(variant, Schema::Null));
    let some = variants
        .iter()
        .position(|variant| !matches!(variant, Schema::Null));
    match (null, some) {
        (Some(null), Some(some)) => WriteStep::Optional {
            null: null as i64,
            some: some as i64,
            per_1024: presence(name),
            then: Box::new(plan(product, &variants[some], name)),
        },
        (None, Some(some)) => {
            WriteStep::Branch(some as i64, Box::new(plan(product, &variants[some], name)))
        }
        _ => WriteStep::Branch(0, Box::new(WriteStep::Null)),
    }
}

/// Returns how often an optional field has a value, of 1024.
fn presence(name: &str) -> u16 {
    match name {
        "body" | "content" | "message" | "operator_code" | "contact_country" | "country" => 990,
        "delivered_at" | "answered_at" | "ended_at" | "price" => 900,
        "error_code" | "parent_call_id" | "request_reference" => 40,
        "recording_url" | "meeting_recording_url" | "transcript" | "media_url" | "review" => 90,
        _ => 600,
    }
}

fn when(name: &str) -> InstantOffset {
    match name {
        "delivered_at" | "read_at" | "answered_at" | "ended_at" => InstantOffset::After,
        name if name.ends_with("scheduled_at") => InstantOffset::Before,
        _ => InstantOffset::Event,
    }
}

/// Returns the exclusive upper bound of a whole number.
fn most(name: &str) -> u64 {
    match name {
        "segments" | "flow_version" | "billed_minutes" => 8,
        "steps" => 30,
        "duration_seconds" | "handling_seconds" => 1_800,
        "latency_millis" => 2_500,
        "size_bytes" => 90_000,
        _ => 1_000,
    }
}

fn holds(product: &str, name: &str) -> TextContent {
    use PersonRole::{Other, Subject};
    let last = name.rsplit('_').next().unwrap_or(name);
    match name {
        // A prospect is not a customer yet, and some consent is requested by the platform itself.
        "customer_id" if product == "marketing" => TextContent::TenantOr("prospect"),
        "customer_id" if product == "consent" => TextContent::TenantOr("platform"),
        "customer_id" => TextContent::Tenant,
        "recipient" | "callee" | "phone_number" | "guest_phone" | "contact" => {
            TextContent::Number(Subject)
        }
        "caller" => TextContent::Number(Other),
        "originator" => TextContent::Originator,
        "agent_name" | "sender_name" => TextContent::Name(Other),
        "agent_email" | "sender_address" => TextContent::Email(Other),
        "name" | "recipient_name" | "guest_name" | "contact_name" => TextContent::Name(Subject),
        "email_address" | "recipient_address" | "guest_email" | "contact_email" => {
            TextContent::Email(Subject)
        }
        "contact_country" | "country" => TextContent::Country,
        "contact_id" | "channel_id" | "person_id" | "visitor_id" | "device_token" | "cookie_id" => {
            TextContent::ChannelId
        }
        "body" | "content" | "message" | "transcript" | "meeting_summary" | "title" => {
            TextContent::Phrase
        }
        "ip_address" | "guest_ip_address" => TextContent::Ip,
        "operator_code" => TextContent::OneOf(&words::OPERATORS),
        "route" => TextContent::OneOf(&words::ROUTES),
        "subject" => TextContent::OneOf(&words::SUBJECT_LINES),
        "user_agent" => TextContent::OneOf(&words::BROWSERS),
        "opened_from" | "company_address" => TextContent::OneOf(&words::TOWNS),
        "job_title" | "position" => TextContent::OneOf(&words::JOBS),
        "company" => TextContent::OneOf(&words::COMPANIES),
        "meeting_description" => TextContent::OneOf(&words::MEETINGS),
        "review" => TextContent::OneOf(&words::REVIEWS),
        "recipient_segment" => TextContent::OneOf(&words::SEGMENTS),
        "purpose" => TextContent::OneOf(&words::PURPOSES),
        "campaign" => TextContent::OneOf(&words::CAMPAIGNS),
        "devices" => TextContent::OneOf(&words::DEVICES),
        "currency" => TextContent::OneOf(&words::CURRENCIES),
        "bank_account" => TextContent::Bank,
        "input" => TextContent::Json,
        "ticket_id" => TextContent::Coded("T-", 7),
        "invoice_number" => TextContent::Coded("2026-", 6),
        "links_clicked" | "page_url" => TextContent::Coded("https://shop.example/p/", 6),
        _ if last == "url" => TextContent::Coded("https://media.example/r/", 10),
        _ if last == "id" => TextContent::Coded("id-", 6),
        _ => TextContent::OneOf(&words::PLAIN),
    }
}

/// Returns a table of 64 symbols, by index. Most are the usual symbols: those of success, otherwise
/// the first ones.
fn symbols(names: &[String]) -> Box<[u8; 64]> {
    const USUAL: [&str; 6] = [
        "DELIVERED",
        "COMPLETED",
        "SUCCEEDED",
        "NORMAL_CLEARING",
        "ROUTED",
        "WHATSAPP",
    ];
    let weights: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(place, name)| {
            if USUAL.contains(&name.as_str()) {
                40
            } else {
                12 / (place + 1) + 1
            }
        })
        .collect();
    let sum: usize = weights.iter().sum::<usize>().max(1);
    let mut table = Box::new([0; 64]);
    let mut upto = 0;
    for (place, weight) in weights.iter().enumerate() {
        let from = upto * 64 / sum;
        upto += weight;
        for slot in &mut table[from..upto * 64 / sum] {
            *slot = place as u8;
        }
    }
    table
}
