//! Measures the cost of merging a bucket's small segments into one, sorted by subject. Compares it
//! with reading and writing the same rows in their order with the bare crates. Also calculates from
//! the rule alone how often compaction writes a byte again over a bucket's life.
//!
//! `cargo bench --bench compact -- [--mib N] [--memory MIB] [--runs N] [--folder PATH]`. The files
//! were just written, so all methods read from memory.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

mod life;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ebbtide_table::{
    COMPACT, Evidence, MergeSettings, RewriteCommit, RewriteEvidence, Root, SegmentIndex, Table,
};
use ebbtide_testkit::tables::categories;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use uuid::Uuid;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The size in bytes of a new segment: the data of some seconds of a busy lane.
const SEGMENT_BYTES: u64 = 8 << 20;

fn main() {
    let option = |name: &str| {
        std::env::args()
            .skip_while(|argument| argument != name)
            .nth(1)
    };
    let number =
        |name: &str, usual: u64| option(name).map_or(usual, |text| text.parse().expect("a number"));
    let (mib, memory, runs) = (
        number("--mib", 512),
        number("--memory", 256),
        number("--runs", 3),
    );
    let parent = option("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut best = [Duration::MAX; 3];
    let mut bytes = (0, 0);
    for _ in 0..runs {
        let folder = tempfile::tempdir_in(&parent).expect("a folder");
        let (took, of) = runtime.block_on(run(&folder, mib << 20, memory << 20));
        best.iter_mut()
            .zip(took)
            .for_each(|(best, took)| *best = took.min(*best));
        bytes = of;
    }
    println!(
        "{} MiB in segments of {} MiB, with {memory} MiB of memory, best of {runs}",
        bytes.0 >> 20,
        SEGMENT_BYTES >> 20
    );
    let rate = |took: Duration| (bytes.0 >> 20) as f64 / took.as_secs_f64();
    for (name, took) in [
        ("merged, sorted", best[0]),
        ("merged as it is", best[1]),
        ("read and written", best[2]),
    ] {
        println!(
            "{name:<16} {:>10.1} ms {:>8.1} MiB/s",
            took.as_secs_f64() * 1e3,
            rate(took)
        );
    }
    println!(
        "sorted against bare crates {:>6.2}",
        best[0].as_secs_f64() / best[2].as_secs_f64()
    );
    println!(
        "size after sorting         {:>6.2}",
        bytes.1 as f64 / bytes.0 as f64
    );
    life::report();
}

/// Returns the times of a merge that sorts (with its commit), of one that does not, and of the bare
/// crates; and the bytes before and after.
async fn run(folder: &tempfile::TempDir, bytes: u64, memory: u64) -> ([Duration; 3], (u64, u64)) {
    let root = Root::parse(folder.path().to_str().expect("a text path")).expect("a root");
    let mut table = Table::open(&root, categories::spec())
        .await
        .expect("a new table");
    categories::fill(&mut table, bytes, SEGMENT_BYTES).await;
    let index = SegmentIndex::load(&table).await.expect("the segments");
    let old: Vec<_> = index.iter().cloned().collect();
    let place = root
        .local()
        .expect("a folder")
        .join("tables")
        .join(table.spec().product.as_str());
    let files: Vec<PathBuf> = old
        .iter()
        .map(|segment| place.join(&*segment.path))
        .collect();
    let bare = rewrite(&files, &folder.path().join("bare"));
    let memory = usize::try_from(memory).expect("a size");

    let started = Instant::now();
    let plain = table
        .merge(
            &old,
            &MergeSettings {
                sort_by: Vec::new(),
                memory,
            },
        )
        .await
        .expect("a merge");
    let unsorted = started.elapsed();
    table.discard(vec![plain]).await;

    let started = Instant::now();
    let how = MergeSettings {
        sort_by: vec![categories::CATEGORIES[0].to_owned()],
        memory,
    };
    let merged = table.merge(&old, &how).await.expect("a merge");
    let (rows, size) = (merged.rows(), merged.size());
    let records = old.iter().map(|segment| segment.records).sum();
    let did = RewriteEvidence {
        rows_in: records,
        records_in: records,
        rows_out: rows,
        records_out: rows,
        ..RewriteEvidence::default()
    };
    let before = old.iter().map(|segment| segment.size).sum();
    let evidence = Evidence::rewrite(
        COMPACT,
        Uuid::new_v4(),
        categories::day(),
        categories::policy(),
        did,
    );
    let (controls, adds) = (table.controls(), vec![merged]);
    let rewrite = RewriteCommit {
        removes: old,
        seen_at: index.version(),
        adds,
        controls,
        renewed: false,
        evidence,
    };
    table.commit_rewrite(rewrite).await.expect("a commit");
    ([started.elapsed(), unsorted, bare], (before, size))
}

/// Reads all rows and writes them to one new file with the bare crates and the same compression,
/// and syncs it. Returns the time.
fn rewrite(files: &[PathBuf], to: &Path) -> Duration {
    let started = Instant::now();
    let new = File::create_new(to).expect("a new file");
    let mut writer = None;
    for file in files {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("a file"))
            .expect("a segment");
        for batch in builder.with_batch_size(8192).build().expect("a reader") {
            let batch = batch.expect("rows");
            let writer = writer.get_or_insert_with(|| {
                let level = ZstdLevel::try_new(1).expect("a level");
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .build();
                ArrowWriter::try_new(
                    new.try_clone().expect("the file"),
                    batch.schema(),
                    Some(properties),
                )
                .expect("a writer")
            });
            writer.write(&batch).expect("written rows");
        }
    }
    writer.expect("some rows").close().expect("a whole file");
    new.sync_all().expect("a synced file");
    let took = started.elapsed();
    std::fs::remove_file(to).expect("a file that can be deleted");
    took
}
