//! The program itself in a separate process, from its start until its metrics show that every
//! record is durably committed.

use std::path::Path;
use std::time::{Duration, Instant};

use ebbtide_testkit::ebbtide::{Ebbtide, ScrapedMetrics};
use ebbtide_testkit::topics::FilledTopics;
use ebbtide_testkit::{ProgramUnderTest, repo};

/// The measurements of one run.
pub struct Run {
    /// The time from the first assignment to the last record durably committed, as the metrics show
    /// it.
    pub wall: Duration,
    /// The CPU time of the process from its start to the last record durably committed.
    pub cpu: Duration,
    /// The largest resident size in KiB.
    pub peak_kib: u64,
    /// The number of records that a sweep ended until then.
    pub ended: f64,
}

/// Runs an instance over all filled records, with a consumer group of its own, on the tables under
/// `root`. Deletes these tables at the end.
pub fn run(root: &Path, bootstrap: &str, filled: &FilledTopics) -> Run {
    let config = root.with_extension("yaml");
    let group = root.file_name().expect("a folder's name").to_string_lossy();
    let policy = repo().join("config/policy.yaml");
    let text = format!(
        "policy: {}\nroot: {}\nkafka:\n  bootstrap_servers: {bootstrap}\n  group: {group}\n  \
         dead_letter_topic: dead\n  retention_check: warn\ningest:\n  commit_age: 1s\nlog:\n  level: error\n",
        policy.display(),
        root.display()
    );
    std::fs::write(&config, text).expect("the instance's configuration");
    let program = ProgramUnderTest::new(env!("CARGO_BIN_EXE_ebbtide"));
    let mut instance = Ebbtide::start(&program, &config, &root.with_extension("log"), &[]);
    let mut started = None;
    let (wall, ended) = loop {
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            instance.process.ended().is_none(),
            "the instance ended early:\n{}",
            instance.process.tail()
        );
        let metrics = instance.metrics();
        // The assignment comes before the first message is taken, so the time includes all
        // messages.
        if metrics.sum("ebbtide_rebalances_total", "outcome=\"assigned\"") > 0.0 {
            started.get_or_insert_with(Instant::now);
        }
        if passed(&metrics) as u64 >= filled.records {
            let wall = started.map_or(Duration::ZERO, |started: Instant| started.elapsed());
            break (wall, metrics.sum("ebbtide_ended_records_total", ""));
        }
    };
    let (cpu, peak_kib) = (instance.process.cpu(), instance.process.peak_kib());
    instance.stop();
    std::fs::remove_dir_all(root).expect("the run's own tables");
    Run {
        wall,
        cpu,
        peak_kib,
        ended,
    }
}

/// Returns the number of records that a commit has covered. All of them are good, so all are
/// stored.
fn passed(metrics: &ScrapedMetrics) -> f64 {
    let all = metrics.sum("ebbtide_records_total", "");
    let stored = metrics.sum("ebbtide_records_total", "outcome=\"stored\"");
    assert!(
        all == stored,
        "{} of {all} records were not stored",
        all - stored
    );
    all
}
