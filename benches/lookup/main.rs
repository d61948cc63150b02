//! Measures the cost of finding one subject's rows, with a finder that has cached nothing and with
//! one that has cached its footers. Compares it with DuckDB, Polars and chdb over the same files.
//! Also measures it as the table grows to 3 and 10 times its size, and with eight concurrent
//! look-ups.
//!
//! `cargo bench --bench lookup -- [--rows N] [--runs N] [--unsorted] [--alone] [--folder PATH] [--keep PATH]`.
//! The table has forty days of rows, and each day is compacted as the program does it, unless
//! `--unsorted` is given. The look-ups are for a guest, who has fifty rows within the first four
//! days, however large the table is; for a regular, whose number of rows grows with the days; and
//! for a person who is not in the table. The files were just written, so all methods read from
//! memory, including the cold finder. `--alone` measures no other engine. With `--keep` the table
//! is kept at that path, and reused if it exists already. 100 million rows take about 5 GB.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

mod rivals;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use ebbtide_query::{RecordFinder, SegmentScan};
use ebbtide_table::Predicate;
use ebbtide_table::{Root, Table};
use ebbtide_testkit::tables::people::{self, TableSize};
use futures::StreamExt;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The bytes of footers that a finder caches.
const FOOTERS: usize = 256 << 20;

/// The number of rows of a person, and the sum of their offsets. Answers are compared by these.
type Answer = (u64, i64);

/// The number of days of the table at each measurement, the final size last.
const DAYS: [u64; 3] = [4, 12, 40];

/// The number of concurrent look-ups.
const CONCURRENT: usize = 8;

fn main() {
    let option = |name: &str| {
        std::env::args()
            .skip_while(|argument| argument != name)
            .nth(1)
    };
    let number =
        |name: &str, usual: u64| option(name).map_or(usual, |text| text.parse().expect("a number"));
    let (rows, runs) = (number("--rows", 10_000_000), number("--runs", 41));
    let compacted = !std::env::args().any(|argument| argument == "--unsorted");
    let parent = option("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let passing = tempfile::tempdir_in(&parent).expect("a folder");
    let kept = option("--keep").map(PathBuf::from);
    let folder = kept.as_deref().unwrap_or_else(|| passing.path());
    let days = if folder.join("tables").exists() {
        &DAYS[2..]
    } else {
        &DAYS
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let size = TableSize {
        days: DAYS[2],
        rows: rows / DAYS[2],
    };
    let asked: [(&str, Vec<String>); 3] = [
        (
            "guest",
            (0..runs).map(|run| size.guest(run * 7919 + 13)).collect(),
        ),
        (
            "regular",
            (0..runs).map(|run| size.regular(run * 7919 + 13)).collect(),
        ),
        ("absent", (0..runs).map(people::absent_person).collect()),
    ];
    let mut tables = Vec::new();
    for days in days {
        tables.push(runtime.block_on(at(folder, (size, *days), compacted, &asked)));
    }
    let Some(last) = tables.last() else { return };
    if std::env::args().any(|argument| argument == "--alone") {
        return;
    }
    for ((who, asked), ours) in asked.iter().zip(&last.lookups) {
        let mut best = f64::MAX;
        for (name, took, theirs) in rivals::ask(&last.files, asked) {
            assert_eq!(theirs, ours.answers, "{name} answers otherwise");
            println!(
                "{who:<10} {name:<22} {took:>10.2} ms  {:>8.1} times as long",
                took / millis(ours.warm)
            );
            best = best.min(took);
        }
        println!(
            "{who:<10} {:>10.1} times faster than the best of them (bar: 10)",
            best / millis(ours.warm)
        );
    }
    let first = tables.first().unwrap_or(last);
    for ((who, _), (first, last)) in asked.iter().zip(first.lookups.iter().zip(&last.lookups)) {
        let times = last.warm.as_secs_f64() / first.warm.as_secs_f64();
        println!("{who:<10} the table 10 times as large: {times:.2} times as long (bar: 1.2)");
    }
}

/// A table of one size, with the cost of look-ups in it.
struct Measured {
    files: Vec<PathBuf>,
    lookups: Vec<Ours>,
}

/// The cost of look-ups of people of one kind, and the answers.
struct Ours {
    warm: Duration,
    answers: Vec<Answer>,
}

async fn at(
    folder: &Path,
    (size, days): (TableSize, u64),
    compacted: bool,
    asked: &[(&str, Vec<String>)],
) -> Measured {
    let root = Root::parse(folder.to_str().expect("a text path")).expect("a root");
    let started = Instant::now();
    let mut table = Table::open(&root, people::spec()).await.expect("a table");
    people::grow(&mut table, &root, size, days, compacted).await;
    let (files, bytes) = people::files(&table, &root).await;
    println!(
        "\n{} rows in {} files of {} MiB together, made in {:.0} s",
        size.rows * days,
        files.len(),
        bytes >> 20,
        started.elapsed().as_secs_f64()
    );
    let known = Arc::new(RecordFinder::new(root.clone(), FOOTERS));
    // Warm: it has answered other look-ups before.
    for number in 0..3 {
        look_up(&known, &size.guest(1_000_003 * number)).await;
        look_up(&known, &size.regular(1_000_003 * number)).await;
    }
    let mut lookups = Vec::new();
    for (who, asked) in asked {
        let (mut opened, mut cold, mut warm, mut answers) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for person in asked {
            let fresh = RecordFinder::new(root.clone(), FOOTERS);
            let started = Instant::now();
            fresh.table(&people::product()).await.expect("a table");
            opened.push(started.elapsed());
            let first = look_up(&fresh, person).await;
            cold.push(started.elapsed());
            let started = Instant::now();
            let again = look_up(&known, person).await;
            warm.push(started.elapsed());
            assert_eq!(first, again);
            answers.push(again);
        }
        let rows = answers.iter().map(|answer| answer.0).sum::<u64>() / answers.len() as u64;
        let rate = lookup_rate(&known, asked).await;
        let (opened, cold, warm) = (median(opened), median(cold), median(warm));
        println!(
            "{who:<10} {rows:>4} rows: warm {:>7.2} ms, cold {:>7.2} ms of which opening the table {:>6.2}; {CONCURRENT} at once \
             {rate:.0} a second",
            millis(warm),
            millis(cold),
            millis(opened)
        );
        lookups.push(Ours { warm, answers });
    }
    println!(
        "footers and page indexes in memory: {} KiB",
        known.memory() >> 10
    );
    Measured { files, lookups }
}

/// Returns the look-ups per second, with `CONCURRENT` of them concurrent.
async fn lookup_rate(finder: &Arc<RecordFinder>, asked: &[String]) -> f64 {
    let started = Instant::now();
    let works = (0..CONCURRENT).map(|_| {
        let (finder, asked) = (Arc::clone(finder), asked.to_vec());
        tokio::spawn(async move {
            for person in &asked {
                look_up(&finder, person).await;
            }
        })
    });
    for work in works.collect::<Vec<_>>() {
        work.await.expect("look-ups");
    }
    (CONCURRENT * asked.len()) as f64 / started.elapsed().as_secs_f64()
}

/// Reads all columns of a person's rows, from the newest version.
async fn look_up(finder: &RecordFinder, person: &str) -> Answer {
    let table = finder
        .table(&people::product())
        .await
        .expect("a table")
        .expect("the table");
    let predicate = Predicate::Is {
        column: "recipient".to_owned(),
        value: person.to_owned(),
    };
    let looks = table.segments().iter().map(|segment| SegmentScan {
        segment: Arc::clone(segment),
        predicate: predicate.clone(),
    });
    let looks = looks.collect();
    let mut rows = finder.find(
        &table,
        looks,
        people::spec().arrow(),
        Arc::new(AtomicU64::new(0)),
    );
    let mut answer = (0, 0);
    while let Some(found) = rows.next().await {
        let rows = found.expect("rows").rows;
        answer.0 += rows.num_rows() as u64;
        let offsets = rows
            .column_by_name("source_offset")
            .expect("the offsets")
            .as_primitive::<Int64Type>();
        answer.1 += offsets.values().iter().sum::<i64>();
    }
    answer
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
