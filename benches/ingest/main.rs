//! Kafka to durable commit against a bare consumer of the same topic, in one run on one machine.
//!
//! `cargo bench --bench ingest -- [--records N] [--partitions N] [--runs N] [--all-products]`. Prints records a second,
//! the ratio to the bare consumer, records for each second of our own CPU, and the peak memory. The bare consumer does
//! nothing but take messages, once in batches (the fastest way that librdkafka has) and once one at a time.

// A program for the terminal, run by the clock; whatever goes wrong ends it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

mod bare;
mod broker;
mod fill;
mod instance;

use std::time::Duration;

use fill::Filled;

/// What to measure.
struct Options {
    records: u64,
    partitions: i32,
    runs: usize,
    all_products: bool,
}

fn options() -> Options {
    let mut options = Options { records: 4_000_000, partitions: 4, runs: 3, all_products: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number behind the option");
        match argument.as_str() {
            "--records" => options.records = number(),
            "--partitions" => options.partitions = number() as i32,
            "--runs" => options.runs = number() as usize,
            "--all-products" => options.all_products = true,
            // What cargo itself adds.
            "--bench" => {}
            other => panic!("unknown option {other}"),
        }
    }
    options
}

fn main() {
    let options = options();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let broker = broker::Broker::start(scratch.path());
    let filled = fill::fill(&broker.bootstrap(), options.records, options.partitions, options.all_products);
    let Filled { records, bytes, .. } = filled;
    println!(
        "{records} records of {} bytes on average, {} topics of {} partitions, uncompressed, {} cores",
        bytes / records,
        filled.topics.len(),
        options.partitions,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    // Once unmeasured, so that the first measured reader does not pay for a cold page cache and JIT.
    bare::batches(&broker.bootstrap(), &filled);
    println!("run  bare batch  bare poll    ebbtide  of batch  of poll  rec/CPU-s  RSS MiB  broker CPU s");
    for run in 1..=options.runs {
        let batch = rate(records, bare::batches(&broker.bootstrap(), &filled));
        let poll = rate(records, bare::polls(&broker.bootstrap(), &filled));
        let broker_cpu = broker.cpu();
        let ours = instance::run(scratch.path(), &broker.bootstrap(), &filled, run);
        let rate = rate(records, ours.wall);
        println!(
            "{run:>3} {:>11.0} {:>10.0} {:>10.0} {:>9.2} {:>8.2} {:>10.0} {:>8} {:>13.1}",
            batch,
            poll,
            rate,
            rate / batch,
            rate / poll,
            records as f64 / ours.cpu.as_secs_f64(),
            ours.peak_kib / 1024,
            (broker.cpu() - broker_cpu).as_secs_f64(),
        );
    }
}

fn rate(records: u64, time: Duration) -> f64 {
    records as f64 / time.as_secs_f64()
}
