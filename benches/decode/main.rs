//! Measures the cost of reading one SMS on one core: our decoder, which checks each byte, and
//! arrow-avro, which trusts its input.
//!
//! `cargo bench --bench decode -- [--records N]`. Both read the same messages, in batches of the
//! same size. The best of five rounds is printed.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, SchemaStore};
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_base::ids::{ProductKey, Topic};
use ebbtide_demo::traffic::{Framing, Traffic, TrafficSettings, TrafficSource};
use ebbtide_policy::schema::{Decoder, Frame, Schema, WriterSchema, frame};

const BATCH: usize = 8192;
const ROUNDS: usize = 5;

fn main() {
    let records = std::env::args()
        .skip_while(|argument| argument != "--records")
        .nth(1);
    let records: usize = records.map_or(500_000, |text| text.parse().expect("a number of records"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/sms.avsc");
    let schema = std::fs::read_to_string(path).expect("the shipped schema");
    let messages = messages(&schema, records);
    let bytes = messages.iter().map(Vec::len).sum::<usize>() / records;
    println!(
        "{records} SMS of {bytes} bytes on average, framed; nanoseconds a record, best of {ROUNDS}"
    );
    let report = |name: &str, round: &dyn Fn() -> Duration| {
        let best = (0..ROUNDS).map(|_| round()).min().unwrap_or_default();
        println!(
            "{name:<40} {:>6.0}",
            best.as_nanos() as f64 / records as f64
        );
    };
    let reader = Schema::parse(&schema).expect("the shipped schema");
    let every: BTreeSet<String> = reader
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    report("ours, checked, every column", &|| {
        ours(&schema, &every, &messages)
    });
    report("ours, checked, no column", &|| {
        ours(&schema, &BTreeSet::new(), &messages)
    });
    report("arrow-avro, unchecked, every column", &|| {
        theirs(&schema, &messages)
    });
}

fn messages(schema: &str, records: usize) -> Vec<Vec<u8>> {
    let product = ProductKey::new("sms").expect("a product");
    let topic = Topic::new("traffic.sms").expect("a topic");
    let source = TrafficSource {
        product,
        topic,
        schema: schema.to_owned(),
        framing: Framing::SingleObject,
    };
    let mut traffic = Traffic::new(7, TrafficSettings::STEADY, &[source]).expect("traffic");
    let now = SystemClock::new().now();
    let mut one = || {
        let mut value = Vec::with_capacity(256);
        traffic.append(now, &mut value);
        value
    };
    (0..records).map(|_| one()).collect()
}

fn ours(schema: &str, keep: &BTreeSet<String>, messages: &[Vec<u8>]) -> Duration {
    let (writer, reader) = (
        WriterSchema::parse(schema).expect("Avro"),
        Schema::parse(schema).expect("Avro"),
    );
    let mut decoder = Decoder::new(&writer, &reader, keep).expect("it reads itself");
    let started = Instant::now();
    for batch in messages.chunks(BATCH) {
        for message in batch {
            let Ok(Frame::SingleObject { body, .. }) = frame(Some(message)) else {
                panic!("a frame")
            };
            decoder.push(body).expect("a good message");
        }
        assert_eq!(decoder.flush().batch.num_rows(), batch.len());
    }
    started.elapsed()
}

fn theirs(schema: &str, messages: &[Vec<u8>]) -> Duration {
    let fingerprint = Fingerprint::Rabin(WriterSchema::parse(schema).expect("Avro").fingerprint());
    let mut store = SchemaStore::new();
    store
        .set(fingerprint, AvroSchema::new(schema.to_owned()))
        .expect("a schema");
    let mut decoder = ReaderBuilder::new()
        .with_batch_size(BATCH)
        .with_writer_schema_store(store)
        .with_reader_schema(AvroSchema::new(schema.to_owned()))
        .with_active_fingerprint(fingerprint)
        .build_decoder()
        .expect("a decoder");
    let started = Instant::now();
    for batch in messages.chunks(BATCH) {
        for message in batch {
            decoder.decode(message).expect("a good message");
        }
        assert_eq!(
            decoder
                .flush()
                .expect("a batch")
                .map(|rows| rows.num_rows()),
            Some(batch.len())
        );
    }
    started.elapsed()
}
