//! The memory of a splice and of a merge, each measured in a separate process: this test binary
//! starts itself.

use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::{categories, stored};
use crate::testing::{root, rows, spec};
use crate::{MergeSettings, Root, StoredSegment, Table};

const CHILD: &str = "rewrite::tests::memory::a_splice_that_a_test_runs_and_measures";

/// Splices the one file of the table and prints the maximum growth of the process's memory, in KiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(
    clippy::disallowed_methods,
    reason = "the parent test tells this process what to do"
)]
async fn a_splice_that_a_test_runs_and_measures() {
    let Ok(line) = std::env::var("EBBTIDE_TEST_SPLICE") else {
        return;
    };
    let (folder, path) = line.split_once('|').unwrap();
    let root = Root::parse(folder).unwrap();
    let table = Table::open(&root, spec()).await.unwrap();
    let segment = found(path);
    let before = status("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let spliced = table
        .splice(&[segment], &categories(&["content"]))
        .await
        .unwrap();
    println!(
        "spliced {} grew {}",
        spliced.bytes_copied,
        status("VmHWM:") - before
    );
}

/// Returns the segment that a line names by path and rows.
fn found(line: &str) -> StoredSegment {
    let tags = crate::testing::segment_tags();
    let (path, rows) = line.split_once('|').unwrap();
    let rows = rows.parse().unwrap();
    StoredSegment {
        path: path.into(),
        bucket: tags.bucket,
        profile: tags.profile,
        rows,
        records: rows,
        size: 0,
        deadlines: std::sync::Arc::default(),
        policy_version: None,
        cells: false,
    }
}

const MERGER: &str = "rewrite::tests::memory::a_merge_that_a_test_runs_and_measures";

/// The memory limit of the measured merge, in bytes.
const GIVEN: usize = 64 << 20;

/// Bytes for the program's own pages that it touches first, and for what the allocator keeps: 16 to
/// 34 MiB were measured.
const BESIDE: usize = 64 << 20;

/// Merges the files of the table and prints the maximum growth of the process's memory, in KiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(
    clippy::disallowed_methods,
    reason = "the parent test tells this process what to do"
)]
async fn a_merge_that_a_test_runs_and_measures() {
    let Ok(line) = std::env::var("EBBTIDE_TEST_MERGE") else {
        return;
    };
    let mut parts = line.split(';');
    let root = Root::parse(parts.next().unwrap()).unwrap();
    let table = Table::open(&root, spec()).await.unwrap();
    let sources: Vec<StoredSegment> = parts.map(found).collect();
    let before = status("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let how = MergeSettings {
        sort_by: vec!["recipient".to_owned()],
        memory: GIVEN,
    };
    let merged = table.merge(&sources, &how).await.unwrap();
    println!(
        "merged {} grew {}",
        merged.size(),
        status("VmHWM:") - before
    );
}

/// Returns a value of this process's memory statistics, in KiB.
fn status(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(of)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns rows whose recipients are long and random, so that no encoding makes them small.
fn bulky(seed: &mut u64, from: i64) -> RecordBatch {
    let batch = rows(0, from, from + 4000);
    let mut random = || {
        *seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *seed
    };
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..4000).map(|_| {
        (0..64)
            .map(|_| format!("{:x}", random()))
            .collect::<String>()
    })));
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| {
        if field.name() == "recipient" {
            text.clone()
        } else {
            column.clone()
        }
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

/// Writes six segments of some 20 MB each.
async fn bulk(table: &Table) -> Vec<StoredSegment> {
    let mut seed = 7;
    let mut sources = Vec::new();
    for from in 0..6 {
        let parts: Vec<RecordBatch> = (0..10)
            .map(|part| bulky(&mut seed, (from * 10 + part) * 4000))
            .collect();
        let rows = arrow::compute::concat_batches(&parts[0].schema(), &parts).unwrap();
        sources.push(stored(table, &rows).await);
    }
    sources
}

/// Runs a test in a child process and returns the two numbers that it prints after `word`.
fn measured((test, variable): (&str, &str), line: String, word: &str) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]);
    // The allocator returns freed memory, so that only memory in use is measured: the tests do not
    // use the program's allocator.
    child.envs([
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("MALLOC_ARENA_MAX", "2"),
    ]);
    let output = child.env(variable, line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let words: Vec<&str> = said
        .lines()
        .find_map(|line| line.split_once(word))
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    (words[0].parse().unwrap(), words[2].parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_splice_of_a_large_segment_takes_less_than_64_mib() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let large = table
        .splice(&bulk(&table).await, &categories(&[]))
        .await
        .unwrap();
    let large = &large.segments[0];
    assert!(large.size() > 110 << 20, "{}", large.size());
    let line = format!(
        "{}|{}|{}",
        root.folder().display(),
        large.path(),
        large.rows()
    );
    let (copied, grew) = measured((CHILD, "EBBTIDE_TEST_SPLICE"), line, "spliced ");
    assert!(copied > 110 << 20, "{copied}");
    assert!(grew < 64 << 10, "{grew} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_of_four_times_its_memory_takes_less_than_twice_of_it() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let sources = bulk(&table).await;
    let named: String = sources
        .iter()
        .map(|segment| format!(";{}|{}", segment.path, segment.rows))
        .collect();
    let line = format!("{}{named}", root.folder().display());
    let (written, grew) = measured((MERGER, "EBBTIDE_TEST_MERGE"), line, "merged ");
    assert!(written > 110 << 20, "{written}");
    assert!(grew < ((GIVEN + BESIDE) >> 10) as u64, "{grew} KiB");
}
