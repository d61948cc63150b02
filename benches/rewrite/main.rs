//! Measures the cost of dropping one of four categories from a bucket. Compares it with `cp` of the
//! surviving bytes, with decoding and encoding them with the same crates, and with an UPDATE to
//! NULL by `deltalake`. All methods write to the disk.
//!
//! `cargo bench --bench rewrite -- [--mib N] [--runs N] [--folder PATH]`. The files were just
//! written, so all methods read from memory.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

mod rivals;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ebbtide_base::ids::Category;
use ebbtide_table::{
    Evidence, RewriteCommit, RewriteEvidence, Root, Segment, SegmentIndex, StoredSegment, Table,
};
use ebbtide_testkit::tables::categories;
use uuid::Uuid;

/// The size of a segment in bytes.
const SEGMENT_BYTES: u64 = 256 << 20;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let option = |name: &str| {
        std::env::args()
            .skip_while(|argument| argument != name)
            .nth(1)
    };
    let number =
        |name: &str, usual: u64| option(name).map_or(usual, |text| text.parse().expect("a number"));
    let (mib, runs) = (number("--mib", 1024), number("--runs", 3));
    let parent = option("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut best = [Duration::MAX; 5];
    for _ in 0..runs {
        let folder = tempfile::tempdir_in(&parent).expect("a folder");
        for (best, took) in best
            .iter_mut()
            .zip(runtime.block_on(run(&folder, mib << 20)))
        {
            *best = took.min(*best);
        }
    }
    let [splice, commit, copied, encoded, updated] = best;
    println!("dropping one of four categories from a bucket of {mib} MiB, best of {runs}");
    for (name, took) in [
        ("splice", splice),
        ("its commit", commit),
        ("cp and fsync", copied),
        ("decode, encode", encoded),
        ("UPDATE to NULL", updated),
    ] {
        println!("{name:<16} {:>10.1} ms", took.as_secs_f64() * 1e3);
    }
    let whole = (splice + commit).as_secs_f64();
    println!(
        "against cp       {:>10.2}  (bar: at most 1.5)",
        whole / copied.as_secs_f64()
    );
    println!(
        "against encoding {:>10.2} times faster",
        encoded.as_secs_f64() / whole
    );
    println!(
        "against UPDATE   {:>10.2} times faster (bar: at least 20)",
        updated.as_secs_f64() / whole
    );
}

/// Returns the times of a splice, its commit, a copy of the surviving bytes, decoding and encoding
/// them, and an UPDATE of a copy of the table.
async fn run(folder: &tempfile::TempDir, bytes: u64) -> [Duration; 5] {
    let root = Root::parse(folder.path().to_str().expect("a text path")).expect("a root");
    let mut table = Table::open(&root, categories::spec())
        .await
        .expect("a new table");
    categories::fill(&mut table, bytes, SEGMENT_BYTES).await;
    let index = SegmentIndex::load(&table).await.expect("the segments");
    let old: Vec<StoredSegment> = index.iter().cloned().collect();
    let files: Vec<PathBuf> = old
        .iter()
        .map(|segment| {
            folder
                .path()
                .join("tables")
                .join(table.spec().product.as_str())
                .join(&*segment.path)
        })
        .collect();

    let due: Category = categories::CATEGORIES[3].parse().expect("a category");
    let room = || rivals::make_room(bytes, &folder.path().join("room"));
    room();
    let started = Instant::now();
    let spliced = table
        .splice(&old, &[due.clone()].into())
        .await
        .expect("a splice");
    let splice = started.elapsed();
    let stayed = spliced.bytes_copied;
    room();
    let copied = rivals::copy(&files, stayed, &folder.path().join("copied"));
    room();
    let encoded = rivals::encode(&files, due.as_str(), &folder.path().join("encoded"));
    room();
    let updated = rivals::update(
        &folder
            .path()
            .join("tables")
            .join(table.spec().product.as_str()),
        due.as_str(),
        &folder.path().join("updated"),
    );

    let did = RewriteEvidence {
        rows_in: old.iter().map(|segment| segment.rows).sum(),
        records_in: old.iter().map(|segment| segment.records).sum(),
        rows_out: spliced.segments.iter().map(Segment::rows).sum(),
        records_out: spliced.segments.iter().map(Segment::records).sum(),
        dropped: spliced.dropped,
        bytes_copied: spliced.bytes_copied,
        bytes_dropped: spliced.bytes_dropped,
        ..RewriteEvidence::default()
    };
    let evidence = Evidence::rewrite(
        "drop",
        Uuid::new_v4(),
        categories::day(),
        categories::policy(),
        did,
    );
    let rewrite = RewriteCommit {
        removes: old,
        seen_at: index.version(),
        adds: spliced.segments,
        controls: table.controls(),
        renewed: false,
        evidence,
    };
    let started = Instant::now();
    table.commit_rewrite(rewrite).await.expect("a commit");
    [splice, started.elapsed(), copied, encoded, updated]
}
