//! Measures the cost of expiry against its lower bounds: ending a large bucket against reading its
//! cell and subject columns, selecting over a table of very many segments, and a drop in a table
//! ten times larger.
//!
//! `cargo bench --bench expiry -- [--records N] [--segments N] [--runs N] [--folder PATH]`.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

mod many;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::clock::{Clock, ManualClock, SharedClock, SystemClock};
use ebbtide_base::metrics::Metrics;
use ebbtide_maintenance::{
    PlanBounds, ReviewCache, SweepSettings, Sweeper, SweeperDeps, WorkShare,
};
use ebbtide_policy::{EndRule, Policy};
use ebbtide_table::{Root, SegmentIndex, StoredSegment, Table};
use ebbtide_testkit::tables::{shipped_policy, sms};
use futures::StreamExt;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let option = |name: &str| {
        std::env::args()
            .skip_while(|argument| argument != name)
            .nth(1)
    };
    let number = |name: &str, usual: usize| {
        option(name).map_or(usual, |text| text.parse().expect("a number"))
    };
    let (records, segments, runs) = (
        number("--records", 10_000_000),
        number("--segments", 100_000),
        number("--runs", 3),
    );
    let parent = option("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(many::select(&parent, segments));
    for _ in 0..runs {
        runtime.block_on(end(&parent, records));
    }
    for _ in 0..runs {
        runtime.block_on(grown(&parent, records / 10));
    }
}

/// Returns a new folder under `parent`, and the root in it.
pub fn root(parent: &Path) -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir_in(parent).expect("a folder");
    let root = Root::parse(folder.path().to_str().expect("a text path")).expect("a root");
    (folder, root)
}

/// Returns a sweeper of everything, at a fixed time.
pub async fn sweeper(root: &Root, policy: &Arc<Policy>, at: DateTime<Utc>) -> Sweeper {
    let parts = SweeperDeps {
        root: root.clone(),
        policy: Arc::clone(policy),
        clock: Arc::new(ManualClock::at(at)) as SharedClock,
        metrics: Metrics::new().expect("metrics"),
        settings: SweepSettings {
            bounds: PlanBounds {
                works: 1000,
                ..PlanBounds::default()
            },
            memory: 128 << 20,
            clock_tolerance: Duration::from_secs(300),
            clock_settle: Duration::from_secs(600),
        },
        share: WorkShare::All,
        reviews: ReviewCache::default(),
    };
    Sweeper::open(parts, Some(&sms::product()))
        .await
        .expect("a sweeper")
}

/// Compares the time to end every record of a day with the time to read the columns that this
/// needs, by the same reader.
async fn end(parent: &Path, records: usize) {
    let (_folder, root) = root(parent);
    let policy = Arc::new(shipped_policy());
    let now = SystemClock::new().now();
    let table = sms::fill(&root, &policy, now, records, 1 << 20).await;
    let index = SegmentIndex::load(&table).await.expect("the segments");
    let all: Vec<StoredSegment> = index.iter().cloned().collect();
    let read = read(&table, &policy, &all).await;
    let mut sweeper = sweeper(&root, &policy, now + TimeDelta::days(4000)).await;
    let started = Instant::now();
    let round = sweeper.round(None, usize::MAX).await;
    let took = started.elapsed();
    assert!(round.failed == 0 && !round.more, "{round:?}");
    let did = &round.did;
    println!(
        "ending {} records of {} segments: {:.2} s, {} cells, {} suppressed, {} removed; reading their columns alone: \
         {:.2} s; ratio {:.2} (bar: at most 1.5)",
        did.records_in,
        all.len(),
        took.as_secs_f64(),
        did.cells,
        did.suppressed,
        did.removed,
        read.as_secs_f64(),
        took.as_secs_f64() / read.as_secs_f64(),
    );
}

/// Returns the time to read the cell, sum and subject columns.
async fn read(table: &Table, policy: &Policy, segments: &[StoredSegment]) -> Duration {
    let records = policy.products[&sms::product()]
        .records
        .as_ref()
        .expect("records");
    let EndRule::Anonymize(anonymize) = &records.end else {
        panic!("the shipped policy anonymizes SMS")
    };
    let columns: Vec<&str> = anonymize
        .cell
        .iter()
        .chain([&anonymize.of])
        .chain(&anonymize.sum)
        .map(String::as_str)
        .collect();
    let started = Instant::now();
    let mut rows = table
        .read_columns(segments, &columns, None)
        .expect("its columns");
    while let Some(batch) = rows.next().await {
        std::hint::black_box(batch.expect("rows"));
    }
    started.elapsed()
}

/// Compares the time to drop what is due of one day in a table of one day and in a table of ten
/// days.
async fn grown(parent: &Path, records: usize) {
    let policy = Arc::new(shipped_policy());
    let mut took = Vec::new();
    for days in [1, 10] {
        let (_folder, root) = root(parent);
        let now = SystemClock::new().now();
        for day in 0..days {
            sms::fill(&root, &policy, now + TimeDelta::days(day), records, 1 << 20).await;
        }
        // The first drop, which affects only the first day.
        let due = first_drop(&root, &policy, now).await;
        let mut sweeper = sweeper(&root, &policy, due).await;
        let started = Instant::now();
        let round = sweeper.round(None, usize::MAX).await;
        took.push(started.elapsed().as_secs_f64());
        println!(
            "  {days} days: {} works, {} MB copied",
            round.works,
            round.did.bytes_copied / 1_000_000
        );
    }
    println!(
        "a drop of {records} records: {:.3} s; in a table ten times larger: {:.3} s; ratio {:.2} (bar: at most 1.2)",
        took[0],
        took[1],
        took[1] / took[0]
    );
}

/// Returns the first moment after `now` at which something is due.
async fn first_drop(root: &Root, policy: &Policy, now: DateTime<Utc>) -> DateTime<Utc> {
    let spec =
        ebbtide_table::TableSpec::of(policy, &sms::product()).expect("a product with records");
    let table = Table::open(root, Arc::new(spec)).await.expect("a table");
    let index = SegmentIndex::load(&table).await.expect("the segments");
    let due = index
        .iter()
        .flat_map(|segment| segment.deadlines.values().map(|deadline| deadline.0));
    due.filter(|due| *due > now).min().expect("a deadline")
}
