//! The independent producer, `tests/python/produce.py`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::Process;
use super::python::{interpreter, script};
use crate::args;

/// The options of a producer.
pub struct Order<'a> {
    pub bootstrap: String,
    /// The registry's base URL.
    pub registry: String,
    pub policy: &'a Path,
    /// Keys of products; empty for all of the policy.
    pub products: &'a [&'a str],
    pub count: usize,
    /// Records per second; 0 for as fast as possible.
    pub rate: usize,
    pub partitions: u32,
    /// The number of records after which one without a value follows; 0 for none.
    pub tombstones: usize,
    /// True if some records are months and years late.
    pub ages: bool,
    /// A file with the number of seconds that the events are ahead.
    pub ahead: Option<&'a Path>,
    /// `commit`, `abort`, or `open`: one transaction around all records, which the last commits
    /// when it is stopped.
    pub transaction: Option<&'a str>,
    /// The number of keys of the records; 0 for records without one.
    pub keys: usize,
    pub seed: &'a str,
}

/// A running producer. Its file of acknowledged records is complete once it has ended.
pub struct Producer {
    process: Process,
    stop: PathBuf,
    pub acked: PathBuf,
}

impl Producer {
    /// Starts the producer; acknowledged records are written to a file in `folder`.
    pub fn start(order: &Order<'_>, folder: &Path) -> Self {
        let acked = folder.join(format!("acked-{}.jsonl", order.seed));
        let stop = folder.join(format!("stop-{}", order.seed));
        let mut arguments = args![
            "-B",
            script("produce.py"),
            "--bootstrap",
            order.bootstrap,
            "--registry",
            order.registry,
            "--policy",
            order.policy.display(),
            "--count",
            order.count,
            "--rate",
            order.rate,
            "--partitions",
            order.partitions,
            "--tombstones",
            order.tombstones,
            "--seed",
            order.seed,
            "--stop",
            stop.display(),
            "--out",
            acked.display()
        ]
        .to_vec();
        if !order.products.is_empty() {
            arguments.extend_from_slice(args!["--products", order.products.join(",")]);
        }
        if let Some(ahead) = order.ahead {
            arguments.extend_from_slice(args!["--ahead", ahead.display()]);
        }
        if let Some(transaction) = order.transaction {
            arguments.extend_from_slice(args!["--transaction", transaction]);
        }
        if order.keys > 0 {
            arguments.extend_from_slice(args!["--keys", order.keys]);
        }
        if order.ages {
            arguments.push("--ages".to_owned());
        }
        let log = folder.join(format!("producer-{}.log", order.seed));
        Self {
            process: Process::start(&interpreter(), &arguments, &[], &log),
            stop,
            acked,
        }
    }

    /// Stops producing, and waits until everything produced is acknowledged.
    pub fn stop(&mut self, patience: Duration) -> PathBuf {
        std::fs::write(&self.stop, "").unwrap();
        self.finish(patience)
    }

    /// Waits until everything is acknowledged. Returns the file of acknowledged records.
    pub fn finish(&mut self, patience: Duration) -> PathBuf {
        let status = self.process.wait(patience);
        assert!(
            status.success(),
            "the producer failed:\n{}",
            self.process.tail()
        );
        self.acked.clone()
    }
}
