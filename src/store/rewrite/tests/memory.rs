//! The memory of a splice, measured in a process of its own: this test binary runs itself.

use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use super::{categories, stored};
use crate::store::testing::{root, rows, spec};
use crate::store::{Root, StoredSegment, Table};

const CHILD: &str = "store::rewrite::tests::memory::a_splice_that_a_test_runs_and_measures";

/// Splices the one file that it finds and prints by how much its memory grew at the most, in KiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "the parent test tells this process what to do")]
async fn a_splice_that_a_test_runs_and_measures() {
    let Ok(line) = std::env::var("EBBTIDE_TEST_SPLICE") else { return };
    let (folder, path) = line.split_once('|').unwrap();
    let root = Root::parse(folder).unwrap();
    let table = Table::open(&root, spec()).await.unwrap();
    let tags = crate::store::testing::segment_tags();
    let (path, rest) = path.split_once('|').unwrap();
    let rows = rest.parse().unwrap();
    let segment = StoredSegment {
        path: path.into(),
        bucket: tags.bucket,
        profile: tags.profile,
        rows,
        records: rows,
        size: 0,
        deadlines: std::sync::Arc::default(),
        policy_version: None,
        cells: false,
    };
    let before = status("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let spliced = table.splice(&[segment], &categories(&["content"])).await.unwrap();
    println!("spliced {} grew {}", spliced.bytes_copied, status("VmHWM:") - before);
}

/// A figure of this process's memory, in KiB.
fn status(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(of)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Rows whose recipients are long and random, so that no encoding makes them small.
fn bulky(seed: &mut u64, from: i64) -> RecordBatch {
    let batch = rows(0, from, from + 4000);
    let mut random = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed
    };
    let text: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..4000).map(|_| (0..64).map(|_| format!("{:x}", random())).collect::<String>()),
    ));
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns =
        columns.map(|(field, column)| if field.name() == "recipient" { text.clone() } else { column.clone() });
    let columns = columns.collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_splice_of_a_large_segment_takes_less_than_64_mib() {
    let (_folder, root) = root();
    let table = Table::open(&root, spec()).await.unwrap();
    let mut seed = 7;
    let mut sources = Vec::new();
    for from in 0..6 {
        let parts: Vec<RecordBatch> = (0..10).map(|part| bulky(&mut seed, (from * 10 + part) * 4000)).collect();
        let rows = arrow::compute::concat_batches(&parts[0].schema(), &parts).unwrap();
        sources.push(stored(&table, &rows).await);
    }
    let large = table.splice(&sources, &categories(&[])).await.unwrap();
    let large = &large.segments[0];
    assert!(large.size() > 110 << 20, "{}", large.size());
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", CHILD, "--nocapture"]);
    let line = format!("{}|{}|{}", root.folder().display(), large.path(), large.rows());
    let output = child.env("EBBTIDE_TEST_SPLICE", line).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let words: Vec<&str> = said.lines().find_map(|line| line.split_once("spliced ")).unwrap().1.split(' ').collect();
    let (copied, grew): (u64, u64) = (words[0].parse().unwrap(), words[2].parse().unwrap());
    assert!(copied > 110 << 20, "{copied}");
    assert!(grew < 64 << 10, "{grew} KiB");
}
