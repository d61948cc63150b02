use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use deltalake_core::kernel::{Action, Add, Remove};

use super::intern::Interner;
use super::{IndexedFiles, SegmentIndex, StoredSegment, stored_segment};
use crate::log::AddedFile;
use crate::testing::{batch, noon, root, segment_tags, spec};
use crate::{MaintenanceSettings, SegmentedTable, Table};
use ebbtide_base::ids::Bucket;

async fn foreign(table: &Table, version: u64, actions: &[Action]) {
    let lines: Vec<String> = actions
        .iter()
        .map(|action| serde_json::to_string(action).unwrap())
        .collect();
    let path = object_store::path::Path::from(format!("_delta_log/{version:020}.json"));
    use object_store::ObjectStoreExt;
    table
        .log
        .object_store(None)
        .put(&path, lines.join("\n").into())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_known_by_its_deadlines_from_entries_and_from_a_checkpoint_alike() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    for from in 0..4i64 {
        let work = batch(&table, 0, (from > 0).then_some(from * 10), from * 10 + 10).await;
        table.commit(work).await.unwrap();
    }
    let entries = SegmentIndex::load(&table).await.unwrap();
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    table.maintain(noon(), &upkeep).await.unwrap();
    let checkpoint = SegmentIndex::load(&table).await.unwrap();
    let all = |index: &SegmentIndex| index.iter().cloned().collect::<Vec<StoredSegment>>();
    assert_eq!(all(&entries), all(&checkpoint));
    assert_eq!(
        (
            checkpoint.len(),
            checkpoint.version(),
            checkpoint.unknown().count()
        ),
        (4, 4, 0)
    );
    let tags = segment_tags();
    for segment in checkpoint.iter() {
        assert_eq!(
            (segment.bucket, &segment.profile),
            (tags.bucket, &tags.profile)
        );
        assert_eq!(
            (segment.rows, segment.records, segment.cells),
            (10, 10, false)
        );
        assert_eq!(segment.policy_version.as_ref(), Some(&tags.policy_version));
        let deadlines: BTreeMap<_, _> = tags
            .deadlines
            .iter()
            .map(|(of, at)| (of.clone(), at.unwrap()))
            .collect();
        assert_eq!(*segment.deadlines, deadlines);
        let file = root
            .table_folder(&"sms".parse().unwrap())
            .join(&*segment.path);
        assert_eq!(segment.size, std::fs::metadata(file).unwrap().len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_engines_add_is_known_as_far_as_they_tell() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 10).await;
    table.commit(work).await.unwrap();
    let mut read = SegmentedTable::load(table.clone()).await.unwrap();
    let partitions = |bucket: &str| {
        [
            ("bucket".to_owned(), Some(bucket.to_owned())),
            ("profile".to_owned(), Some("0123456789ab".to_owned())),
        ]
        .into()
    };
    let add = |path: &str, bucket: &str, stats: Option<&str>| {
        Action::Add(Add {
            path: path.to_owned(),
            size: 7,
            partition_values: partitions(bucket),
            stats: stats.map(str::to_owned),
            data_change: true,
            ..Add::default()
        })
    };
    let dated = r#"{"numRecords":5,"minValues":{"expires_content":"2026-12-20T14:13:20.000Z","body":"\"x","expires_":null,
        "expires_phone_number":null,"nested":{"a":1}}}"#;
    let policies = |least: &str, greatest: &str| {
        format!(
            r#"{{"numRecords":5,"minValues":{{"policy_version":"{least}"}},
            "maxValues":{{"policy_version":"{greatest}","x":[1]}},"nullCount":{{"expires_content":5}}}}"#
        )
    };
    let actions = [
        add("a b/known.parquet", "2026-09-21", Some(dated)),
        add("bare.parquet", "2026-09-21", None),
        add("rowless.parquet", "2026-09-21", Some("{}")),
        add(
            "timeless.parquet",
            "2026-09-21",
            Some(r#"{"numRecords":5,"minValues":{"segments":1},"nullCount":{"body":0}}"#),
        ),
        add(
            "ended.parquet",
            "2026-09-21",
            Some(r#"{"numRecords":5,"minValues":{},"nullCount":{"expires_content":5}}"#),
        ),
        add(
            "one.parquet",
            "2026-09-21",
            Some(&policies("2026-09-01", "2026-09-01")),
        ),
        add(
            "two.parquet",
            "2026-09-21",
            Some(&policies("2026-09-01", "2026-10-01")),
        ),
        add("strange.parquet", "2026-09-21", Some("no json")),
        add("elsewhen.parquet", "soon", Some(dated)),
        Action::Add(Add {
            path: "lost.parquet".to_owned(),
            data_change: true,
            ..Add::default()
        }),
    ];
    foreign(&table, 2, &actions).await;
    read.refresh().await.unwrap();
    let index = read.segments();
    assert_eq!((index.version(), index.len()), (2, 5));
    let policy = |path| index.get(path).unwrap().policy_version.clone();
    assert_eq!(
        (policy("one.parquet"), policy("two.parquet")),
        ("2026-09-01".parse().ok(), None)
    );
    assert!(index.get("ended.parquet").unwrap().deadlines.is_empty());
    let found = index.get("a b/known.parquet").unwrap();
    assert_eq!(
        (found.rows, found.size, found.policy_version.clone()),
        (5, 7, None)
    );
    assert_eq!(found.deadlines.len(), 1);
    assert_eq!(
        found.deadlines[&"content".parse().unwrap()].0,
        noon() + TimeDelta::days(90)
    );
    let unknown: Vec<&str> = index
        .unknown()
        .map(|path| path.trim_end_matches(".parquet"))
        .collect();
    assert_eq!(
        unknown,
        ["bare", "elsewhen", "lost", "rowless", "strange", "timeless"]
    );
    let remove = |path: &str| {
        Action::Remove(Remove {
            path: path.to_owned(),
            data_change: true,
            ..Remove::default()
        })
    };
    foreign(
        &table,
        3,
        &[
            remove("a b/known.parquet"),
            remove("bare.parquet"),
            remove("never.parquet"),
        ],
    )
    .await;
    read.refresh().await.unwrap();
    let index = read.segments();
    assert_eq!((index.len(), index.unknown().count()), (4, 5));
}

#[test]
fn a_bucket_is_read_in_every_form_that_engines_write() {
    let mut interner = Interner::default();
    let hour = Some(Bucket::Hour("2026-09-21T14:00:00Z".parse().unwrap()));
    for text in [
        "2026-09-21T14:00:00Z",
        "2026-09-21T14:00:00.000000Z",
        "2026-09-21 14:00:00",
        "2026-09-21 14:00:00.000000",
    ] {
        assert_eq!(interner.bucket(text), hour, "{text}");
    }
    assert_eq!(interner.bucket("2026-09-21"), Some(segment_tags().bucket));
    assert_eq!(interner.bucket("__HIVE_DEFAULT_PARTITION__"), None);
}

fn many(count: usize) -> impl Iterator<Item = AddedFile> {
    (0..count).map(|n| {
        let (day, profile) = (n / 300, n % 20);
        let bucket = (noon() + TimeDelta::days(i64::try_from(day).unwrap())).format("%Y-%m-%d").to_string();
        let due = |days: i64| (noon() + TimeDelta::days(days + i64::try_from(day).unwrap())).format("%Y-%m-%dT%H:%M:%S%.6fZ");
        let stats = format!(
            r#"{{"numRecords":1000,"minValues":{{"ingested_at":"2026-09-21T14:13:20.000000Z","expires_content":"{}",
            "expires_phone_number":"{}","jurisdiction":"NL","policy_version":"2026-09-01","records":1,"segments":1}},
            "maxValues":{{"expires_content":"{}","jurisdiction":"NL","policy_version":"2026-09-01","records":1,"segments":9}},"nullCount":{{"records":0}}}}"#,
            due(90),
            due(180),
            due(90)
        );
        AddedFile {
            path: format!("bucket={bucket}/profile=0123456789{profile:02}/{n:08}-0000-0000-0000-000000000000.parquet"),
            size: 1 << 20,
            partition_values: vec![
                ("bucket".to_owned(), Some(bucket)),
                ("profile".to_owned(), Some(format!("0123456789{profile:02}"))),
            ],
            stats: Some(stats),
            data_change: true,
            xxh64: None,
        }
    })
}

#[test]
#[allow(clippy::disallowed_methods, reason = "this is about time")]
fn a_hundred_thousand_segments_share_what_they_can_and_are_taken_in_quickly() {
    let all: Vec<AddedFile> = many(100_000).collect();
    let started = Instant::now();
    let mut files = IndexedFiles::default();
    all.iter().for_each(|added| files.add(added));
    let took = started.elapsed();
    assert_eq!((files.segments.len(), files.unknown.len()), (100_000, 0));
    let distinct: std::collections::HashSet<_> = files
        .segments
        .values()
        .map(|segment| std::sync::Arc::as_ptr(&segment.deadlines))
        .collect();
    assert_eq!(distinct.len(), 334);
    // Unoptimised and in parallel with other tests; a release build takes a tenth of that.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn the_path_of_a_segment_is_what_the_store_knows_it_by() {
    assert_eq!(
        stored_segment::decoded("bucket=2026-09-21/a%20b.parquet"),
        "bucket=2026-09-21/a b.parquet"
    );
    assert_eq!(stored_segment::decoded("plain"), "plain");
}
