//! Compares the path from Kafka to durable commit with a bare consumer of the same topic, in one
//! run on one machine.
//!
//! `cargo bench --bench ingest -- [--records N] [--partitions N] [--runs N] [--all-products] [--backlog N]`.
//! Prints records per second, the ratio to the bare consumer, records per second of the program's
//! CPU time, and the peak memory. The bare consumer only takes messages, once in batches (the
//! fastest way that librdkafka has) and once one at a time. With a backlog, each run is repeated
//! over a table with this number of overdue records, which the instance sweeps meanwhile.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

mod backlog;
mod bare;
mod instance;

use std::time::Duration;

use ebbtide_testkit::kafka::Kafka;
use ebbtide_testkit::topics::{FilledTopics, fill};

/// The options of the measurement.
struct Options {
    records: u64,
    partitions: u32,
    runs: usize,
    all_products: bool,
    backlog: usize,
}

fn options() -> Options {
    let mut options = Options {
        records: 4_000_000,
        partitions: 4,
        runs: 3,
        all_products: false,
        backlog: 0,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            arguments
                .next()
                .and_then(|text| text.parse().ok())
                .expect("a number after the option")
        };
        match argument.as_str() {
            "--records" => options.records = number(),
            "--partitions" => options.partitions = number() as u32,
            "--runs" => options.runs = number() as usize,
            "--backlog" => options.backlog = number() as usize,
            "--all-products" => options.all_products = true,
            // Cargo adds this option.
            "--bench" => {}
            other => panic!("unknown option {other}"),
        }
    }
    options
}

fn main() {
    let options = options();
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let broker = Kafka::start_to_measure(scratch.path());
    let filled = fill(
        &broker,
        options.records,
        options.partitions,
        options.all_products,
    );
    let FilledTopics { records, bytes, .. } = filled;
    println!(
        "{records} records of {} bytes on average, {} topics of {} partitions, uncompressed, {} cores",
        bytes / records,
        filled.topics.len(),
        options.partitions,
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    // One run is not measured, so that the first measured reader does not pay for a cold page cache
    // and JIT.
    bare::batches(&broker.bootstrap(), &filled);
    println!(
        "run  bare batch  bare poll    ebbtide  of batch  of poll  rec/CPU-s  RSS MiB  broker CPU s"
    );
    for run in 1..=options.runs {
        let batch = rate(records, bare::batches(&broker.bootstrap(), &filled));
        let poll = rate(records, bare::polls(&broker.bootstrap(), &filled));
        let broker_cpu = broker.cpu();
        let place = scratch.path().join(format!("root-{run}"));
        let ours = instance::run(&place, &broker.bootstrap(), &filled);
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
        if options.backlog > 0 {
            let place = scratch.path().join(format!("root-{run}-backlog"));
            let overdue = backlog::fill(&place, options.backlog);
            let with_backlog = instance::run(&place, &broker.bootstrap(), &filled);
            println!(
                "    while sweeping: {:.0} records/s, {:.2} of ingest alone (bar: at least 0.7); {:.0} of {overdue} overdue \
                 records ended meanwhile",
                records as f64 / with_backlog.wall.as_secs_f64(),
                ours.wall.as_secs_f64() / with_backlog.wall.as_secs_f64(),
                with_backlog.ended,
            );
        }
    }
}

fn rate(records: u64, time: Duration) -> f64 {
    records as f64 / time.as_secs_f64()
}
