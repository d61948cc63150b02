//! Measures the cost of many writers that commit to one table: commits per second, attempts that
//! conflicted with another commit, and the time of one commit. Measured on the local file system
//! and in an object store (MinIO), relative to one writer.
//!
//! `cargo bench --bench writers -- [--seconds N] [--every MS] [--folder PATH]`. Each writer has its
//! own table handle and partition, as a lane of an instance has, and stores 1,000 rows with each
//! commit: first as fast as it can, then one commit every `MS` milliseconds, as with
//! `ingest.commit_age`.

// A command-line program that uses the real clock. Any error ends it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark measures time, prints, and ends at the first error"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ebbtide_base::ids::{Offset, Partition, TopicPartition};
use ebbtide_config::ObjectStoreConfig;
use ebbtide_query::audit;
use ebbtide_table::{EncodedSegment, Evidence, Root, SegmentWriter, Table};
use ebbtide_testkit::Scratch;
use ebbtide_testkit::minio::Minio;
use ebbtide_testkit::tables::{StoredOffsets, categories, commit};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

/// The number of rows in a commit.
const ROWS: usize = 1000;

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
    let (seconds, every) = (number("--seconds", 8), number("--every", 1000));
    let parent = option("--folder").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = tempfile::tempdir_in(&parent).expect("a folder");
    let data = tempfile::tempdir_in(&parent).expect("a folder");
    let minio = Minio::start_in(Scratch::in_folder(data.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = folder.path().to_str().expect("a text path").to_owned();
    for (name, place, settings) in [
        ("local", local, ObjectStoreConfig::default()),
        ("MinIO", "s3://plain".to_owned(), minio.settings()),
    ] {
        for pause in [Duration::ZERO, Duration::from_millis(every)] {
            let mut alone = None;
            for writers in [1, 2, 4, 8, 16] {
                let root = format!("{place}/{}-{writers}", pause.as_millis());
                let work = Work {
                    root: Root::open(&root, &settings).expect("a root"),
                    pause,
                    lasts: Duration::from_secs(seconds),
                };
                let mut did = runtime.block_on(all(&work, writers));
                let rate = did.took.len() as f64 / did.lasted.as_secs_f64();
                let alone = *alone.get_or_insert(rate);
                did.took.sort_unstable();
                let at = |share: f64| {
                    did.took[((did.took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
                };
                println!(
                    "{name}, {writers:>2} writers, {}: {rate:>7.1} commits/s ({:.2} of one writer), {:.2} lost races a commit, \
                     a commit {:.1} ms (median), {:.1} ms (99 of 100)",
                    if pause.is_zero() {
                        "as fast as they can".to_owned()
                    } else {
                        format!("each every {every} ms")
                    },
                    rate / alone,
                    did.lost as f64 / did.took.len() as f64,
                    at(0.5),
                    at(0.99),
                );
            }
        }
    }
}

/// The task of the writers.
#[derive(Clone)]
struct Work {
    root: Root,
    /// The time from the start of one commit to the start of the next.
    pause: Duration,
    lasts: Duration,
}

/// The results of the writers.
#[derive(Default)]
struct Did {
    /// The time of each commit, when its segment is already in the store.
    took: Vec<Duration>,
    lost: u64,
    lasted: Duration,
}

/// Runs concurrent writers, and checks that all their commits are in the table.
async fn all(work: &Work, writers: i32) -> Did {
    Table::open(&work.root, categories::spec())
        .await
        .expect("a new table");
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|number| tokio::spawn(one(work.clone(), number)))
        .collect();
    let mut all = Did::default();
    for task in tasks {
        let did = task.await.expect("a writer");
        all.took.extend(did.took);
        all.lost += did.lost;
    }
    all.lasted = started.elapsed();
    let found = audit(&work.root, &categories::spec().product)
        .await
        .expect("an audit");
    assert!(
        found.broken.is_empty() && found.records == (all.took.len() * ROWS) as u64,
        "{found:?}"
    );
    all
}

/// Runs the commits of one writer.
async fn one(work: Work, number: i32) -> Did {
    let mut table = Table::open(&work.root, categories::spec())
        .await
        .expect("the table");
    let mut random = StdRng::seed_from_u64(number as u64);
    let encoded = encoded(&table, &mut random);
    let partition = TopicPartition {
        topic: "bench".parse().expect("a topic"),
        partition: Partition(number),
    };
    let (mut did, mut from) = (Did::default(), None);
    let until = Instant::now() + work.lasts;
    tokio::time::sleep(work.pause.mul_f64(random.random())).await;
    while Instant::now() < until {
        let began = Instant::now();
        let segment = table.put(encoded.clone()).await.expect("a written segment");
        let started = Instant::now();
        let next = Offset(from.map_or(0, |Offset(from)| from) + ROWS as i64);
        let mut evidence =
            Evidence::ingest(Uuid::new_v4(), categories::day(), categories::policy());
        evidence.stored = ROWS as u64;
        let offsets = StoredOffsets {
            partition: partition.clone(),
            from,
            next,
        };
        commit(&mut table, vec![segment], offsets, evidence).await;
        did.took.push(started.elapsed());
        from = Some(next);
        // Up to a fifth more or less, as lanes do.
        tokio::time::sleep(
            work.pause
                .mul_f64(random.random_range(0.8..1.2))
                .saturating_sub(began.elapsed()),
        )
        .await;
    }
    did.lost = table.lost_races();
    did
}

/// Returns the rows that a writer stores with each commit.
fn encoded(table: &Table, random: &mut StdRng) -> EncodedSegment {
    let mut writer =
        SegmentWriter::new(Arc::clone(table.spec()), categories::tags(), &[]).expect("a segment");
    writer
        .write(&categories::rows(0, random).slice(0, ROWS))
        .expect("rows of the table");
    writer.finish().expect("an encoded segment")
}
