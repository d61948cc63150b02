//! What it costs to find one subject's rows: with a finder that knows nothing yet, and with one that has its footers, beside
//! DuckDB, Polars and chdb over the same files; and as the table grows to 3 and 10 times its size.
//!
//! `cargo bench --bench lookup -- [--rows N] [--runs N] [--unsorted] [--folder PATH]`. Rows are sorted by subject within each
//! segment, as compaction leaves them, unless `--unsorted`. The files were just written, so all read from memory, the cold finder
//! too. 100 million rows take about 6 GB.

// A program for the terminal, run by the clock; whatever goes wrong ends it.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::disallowed_methods)]

mod filled;
mod rivals;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use ebbtide::store::{AnyOf, Filter, Finder, Look, Root, Table};

/// The program's own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Bytes of footers that a finder keeps.
const FOOTERS: usize = 256 << 20;

/// How many rows somebody has, and the sum of their offsets: by these answers are compared.
type Answer = (u64, i64);

fn main() {
    let option = |name: &str| std::env::args().skip_while(|argument| argument != name).nth(1);
    let number = |name: &str, usual: u64| option(name).map_or(usual, |text| text.parse().expect("a number"));
    let (rows, runs) = (number("--rows", 10_000_000), number("--runs", 21));
    let sorted = !std::env::args().any(|argument| argument == "--unsorted");
    let parent = option("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut warm_of = Vec::new();
    for part in [10, 3, 1] {
        let folder = tempfile::tempdir_in(&parent).expect("a folder");
        let root = Root::parse(folder.path().to_str().expect("a text path")).expect("a root");
        let rows = rows / part;
        let people = filled::people(rows);
        let files: Vec<PathBuf> = runtime.block_on(async {
            let mut table = Table::open(&root, filled::spec()).await.expect("a new table");
            let files = filled::fill(&mut table, rows, sorted).await;
            files
                .iter()
                .map(|file| root.local().expect("a folder").join("tables").join(filled::product().as_str()).join(file))
                .collect()
        });
        let asked: Vec<String> = (0..runs).map(|run| filled::person((run * 7919 + 13) % people)).collect();
        let (cold, warm, answers) = runtime.block_on(ours(&root, &asked));
        println!("\n{rows} rows in {} files, {} rows for each of {people} people", files.len(), rows / people);
        println!("{:<22} {:>10.2} ms", "cold, median", millis(cold));
        println!("{:<22} {:>10.2} ms  (bar: under 50 for 100 million rows)", "warm, median", millis(warm));
        warm_of.push(millis(warm));
        if part > 1 {
            continue;
        }
        let mut best = f64::MAX;
        for (name, took, theirs) in rivals::ask(&files, &asked) {
            assert_eq!(theirs, answers, "{name} answers otherwise");
            println!("{name:<22} {:>10.2} ms  {:>8.1} times as long", took, took / millis(warm));
            best = best.min(took);
        }
        println!("{:<22} {:>10.1} times faster than the best of them (bar: 10)", "warm", best / millis(warm));
    }
    let [first, .., last] = warm_of.as_slice() else { return };
    println!("\nthe table 10 times as large: {:.2} times as long (bar: 1.2)", last / first);
}

/// The median time of a finder's first look-up and of its later ones, and what was found.
async fn ours(root: &Root, asked: &[String]) -> (Duration, Duration, Vec<Answer>) {
    let (mut cold, mut warm, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    let known = Finder::new(root.clone(), FOOTERS);
    look_up(&known, &filled::person(0)).await;
    for person in asked {
        let fresh = Finder::new(root.clone(), FOOTERS);
        let started = Instant::now();
        let first = look_up(&fresh, person).await;
        cold.push(started.elapsed());
        let started = Instant::now();
        let again = look_up(&known, person).await;
        warm.push(started.elapsed());
        assert_eq!(first, again);
        answers.push(again);
    }
    (median(cold), median(warm), answers)
}

/// All columns of somebody's rows, from the newest version.
async fn look_up(finder: &Finder, person: &str) -> Answer {
    let table = finder.table(&filled::product()).await.expect("a table").expect("the table");
    let filter =
        Filter { texts: vec![AnyOf { columns: vec!["recipient".to_owned()], value: person.to_owned() }], within: None };
    let looks = table.segments().iter().map(|segment| Look { segment: Arc::clone(segment), filter: filter.clone() });
    let looks = looks.collect();
    let mut rows = finder.find(&table, looks, filled::spec().arrow(), Arc::new(AtomicU64::new(0)));
    let mut answer = (0, 0);
    while let Some(found) = rows.next().await {
        let rows = found.expect("rows").rows;
        answer.0 += rows.num_rows() as u64;
        let offsets = rows.column_by_name("source_offset").expect("the offsets").as_primitive::<Int64Type>();
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
