mod failing;
mod listing;

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;

use super::{
    DueFile, DueFiles, LastPass, LoggedFiles, MaintenanceSettings, bounded, needless, orphans,
    replaced,
};
use crate::deletions::Deletions;
use crate::log::checkpoint::NamedFiles;
use crate::log::files::{LogFile, LogFileKind};
use crate::reports::{audit, show};
use crate::testing::{batch, log_bytes, noon, partition, root, spec};
use crate::{CleanupPlan, Table};

fn day(n: i64) -> DateTime<Utc> {
    noon() + TimeDelta::days(n)
}

fn listed(names: &[(&str, i64)]) -> Vec<LogFile> {
    names
        .iter()
        .map(|(name, written)| LogFile {
            path: Path::from(format!("_delta_log/{name}")),
            kind: LogFileKind::of(name),
            modified: day(*written),
        })
        .collect()
}

fn paths(due: &[DueFile]) -> Vec<String> {
    due.iter().map(|file| file.path.clone()).collect()
}

fn entry(version: u64) -> String {
    format!("{version:020}.json")
}

#[test]
fn names_in_a_log_folder_are_distinguished() {
    let kind = |name: &str| LogFileKind::of(name);
    assert_eq!(kind("00000000000000000007.json"), LogFileKind::Entry(7));
    assert_eq!(
        kind("00000000000000000007.checkpoint.parquet"),
        LogFileKind::Checkpoint(7, 1)
    );
    assert_eq!(
        kind("00000000000000000007.checkpoint.0000000001.0000000002.parquet"),
        LogFileKind::Checkpoint(7, 2)
    );
    assert_eq!(
        kind("00000000000000000007.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.parquet"),
        LogFileKind::Checkpoint(7, 1)
    );
    assert_eq!(kind("00000000000000000007.crc"), LogFileKind::Derived(7));
    assert_eq!(
        kind("00000000000000000004.00000000000000000007.compacted.json"),
        LogFileKind::Derived(7)
    );
    assert_eq!(kind(".0f.tmp"), LogFileKind::Staged);
    for other in [
        "_last_checkpoint",
        "7.json",
        "0000000000000000000x.json",
        "_sidecars",
        "notes.txt",
        "é",
    ] {
        assert_eq!(kind(other), LogFileKind::Other, "{other}");
    }
}

#[test]
fn entries_are_deleted_only_if_old_and_before_a_complete_checkpoint() {
    let (zero, one, two, three) = (entry(0), entry(1), entry(2), entry(3));
    let whole = "00000000000000000002.checkpoint.parquet";
    let half = "00000000000000000003.checkpoint.0000000001.0000000002.parquet";
    let files = |one_written| {
        listed(&[
            (&zero, 0),
            (&one, one_written),
            (&two, 2),
            (&three, 3),
            (whole, 2),
            (half, 3),
            ("_last_checkpoint", 0),
        ])
    };
    let names = |due: Vec<DueFile>| {
        paths(&due)
            .iter()
            .map(|path| path.replace("_delta_log/", ""))
            .collect::<Vec<_>>()
    };
    let needless = |one_written, until, at: i64| {
        needless(&files(one_written), until, day(at + 5), TimeDelta::days(5))
    };
    assert_eq!(names(needless(1, 3, 10)), [zero.clone(), one.clone()]);
    assert_eq!(needless(1, 3, 10)[1].since, day(6));
    // A young entry before the checkpoint keeps everything that it needs to be read.
    assert!(needless(11, 3, 10).is_empty());
    // The newest evidence stays readable: it holds the running totals.
    assert!(needless(1, 1, 10).is_empty());
    assert!(needless(1, 3, 0).is_empty());
}

#[test]
fn only_old_files_that_no_commit_names_are_orphans() {
    let file = |path: &str, written: i64| ObjectMeta {
        location: Path::from(path),
        last_modified: day(written),
        size: 1,
        e_tag: None,
        version: None,
    };
    let data = vec![
        file("b/new.parquet", 9),
        file("b/lost.parquet", 1),
        file("b/kept.parquet", 1),
        file("b/k p.parquet", 1),
    ];
    let active = ["b/kept.parquet".to_owned(), "b/k%20p.parquet".to_owned()].into();
    let known = LoggedFiles::of(NamedFiles {
        active,
        ..NamedFiles::default()
    });
    let orphans = orphans(data, &known, day(10), TimeDelta::days(2));
    assert_eq!(
        (paths(&orphans), orphans[0].since),
        (vec!["b/lost.parquet".to_owned()], day(3))
    );
}

#[test]
fn replaced_file_is_deleted_after_the_grace_and_a_restored_one_never() {
    let file = |path: &str| ObjectMeta {
        location: Path::from(path),
        last_modified: day(0),
        size: 1,
        e_tag: None,
        version: None,
    };
    let data = [
        "b/first.parquet",
        "b/l st.parquet",
        "b/young.parquet",
        "b/back.parquet",
        "b/undated.parquet",
    ]
    .map(file);
    let at = |n: i64| Some(day(n).timestamp_millis());
    let removed = [
        ("b/first.parquet", at(1)),
        ("b/l%20st.parquet", at(3)),
        ("b/young.parquet", at(6)),
        ("b/back.parquet", at(1)),
        ("b/undated.parquet", None),
    ];
    let removed = removed.map(|(path, at)| (path.to_owned(), at)).into();
    let known = LoggedFiles::of(NamedFiles {
        active: ["b/back.parquet".to_owned()].into(),
        removed,
    });
    let (due, in_grace) = replaced(&data, &known, day(7), TimeDelta::days(2));
    assert_eq!(
        (paths(&due), in_grace),
        (
            ["b/first.parquet", "b/l st.parquet"]
                .map(str::to_owned)
                .to_vec(),
            1
        )
    );
    assert_eq!((due[0].since, due[1].since), (day(3), day(5)));
    // The removal has no time, so the file waits as long as an orphan.
    assert_eq!(
        paths(&orphans(data.to_vec(), &known, day(5), TimeDelta::zero())),
        ["b/undated.parquet"]
    );
}

fn due(replaced: usize, log: usize, orphans: usize) -> DueFiles {
    let files = |kind: &str, count: usize| {
        (0..count)
            .map(|n| DueFile {
                path: format!("{kind}{n}"),
                since: day(n.try_into().unwrap()),
            })
            .collect()
    };
    DueFiles {
        replaced: files("r", replaced),
        log: files("l", log),
        orphans: files("o", orphans),
        in_grace: 0,
    }
}

#[test]
fn a_pass_is_bounded_and_says_when_more_is_left() {
    let plan = bounded(&due(2, 3, 5), &HashSet::new(), 6);
    assert_eq!(
        (
            plan.replaced.len(),
            plan.log.len(),
            plan.orphans.len(),
            plan.more
        ),
        (2, 3, 1, true)
    );
    assert!(!bounded(&due(2, 3, 5), &HashSet::new(), 10).more);
}

#[test]
fn files_that_failed_before_are_tried_after_all_others() {
    let failed = ["r0", "r1", "r2", "l0"].map(str::to_owned).into();
    for (limit, expected) in [
        (1, vec!["r3"]),
        (3, vec!["r3", "l1", "o0"]),
        (5, vec!["r3", "r0", "r1", "l1", "o0"]),
        (100, vec!["r3", "r0", "r1", "r2", "l1", "l0", "o0"]),
    ] {
        let plan = bounded(&due(4, 2, 1), &failed, limit);
        let all: Vec<&String> = plan
            .replaced
            .iter()
            .chain(&plan.log)
            .chain(&plan.orphans)
            .collect();
        assert_eq!(all, expected, "{limit}");
        assert_eq!(plan.more, limit < 7, "{limit}");
    }
}

#[test]
fn file_is_overdue_once_it_failed_or_was_seen_twice() {
    let mut last = LastPass::default();
    let done = |deleted: &[&str], failed: &[&str]| {
        let set = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        Deletions {
            deleted: set(deleted),
            failed: set(failed),
            ..Deletions::default()
        }
    };
    // r0 fails, r1 waits for another pass, r2 is deleted.
    let overdue = last.count(&due(3, 0, 0), &done(&["r2"], &["r0"]));
    assert_eq!((overdue.files, overdue.since), (1, Some(day(0))));
    // r0 and r1 still exist, and so does r2, although the store said otherwise.
    let overdue = last.count(&due(3, 0, 0), &done(&["r2"], &["r0"]));
    assert_eq!(overdue.files, 3);
    let overdue = last.count(&due(1, 0, 0), &done(&["r0"], &[]));
    assert_eq!(overdue.files, 0);
    assert_eq!(last.count(&due(0, 0, 0), &done(&[], &[])).files, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_read_from_a_checkpoint_is_the_table_read_from_its_entries() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    for number in 0..3 {
        for from in [None, Some(10), Some(20)] {
            let work = batch(&table, number, from, from.unwrap_or(0) + 10).await;
            table.commit(work).await.unwrap();
        }
    }
    let sms = "sms".parse().unwrap();
    let (offsets, seen) = (
        table.next_offsets(),
        show(&root, &sms, noon()).await.unwrap(),
    );
    let upkeep = MaintenanceSettings {
        checkpoint_every: 5,
        ..MaintenanceSettings::default()
    };
    let done = table.maintain(noon(), &upkeep).await.unwrap();
    assert_eq!(
        (done.checkpoint, done.deleted),
        (Some(9), CleanupPlan::default())
    );
    assert_eq!(
        table.maintain(noon(), &upkeep).await.unwrap().checkpoint,
        None
    );
    // Much later the entries are deleted. The totals and every offset are kept.
    let work = batch(&table, 3, None, 10).await;
    table.commit(work).await.unwrap();
    let done = table.maintain(day(36_500), &upkeep).await.unwrap();
    assert_eq!(done.deleted.log.len(), 9);
    let mut again = Table::open(&root, spec()).await.unwrap();
    assert_eq!(again.next_offsets(), table.next_offsets());
    assert_eq!(again.next_offsets()[..3], offsets);
    assert_eq!(again.state.totals.unwrap().stored, 100);
    let found = audit(&root, &sms).await.unwrap();
    assert_eq!(
        (found.oldest_entry, found.records, &found.broken),
        (9, 100, &vec![])
    );
    assert_eq!(
        show(&root, &sms, noon()).await.unwrap().records,
        seen.records + 10
    );
    let work = batch(&again, 0, Some(30), 40).await;
    again.commit(work).await.unwrap();
    assert_eq!(again.next_offset(&partition(0)).unwrap().0, 40);
    assert!(!log_bytes(&root).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_writer_in_flight_are_left_alone() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let mut other = Table::open(&root, spec()).await.unwrap();
    let in_flight = batch(&other, 0, None, 10).await;
    let now = std::fs::metadata(
        root.table_folder(&"sms".parse().unwrap())
            .join(in_flight.segments[0].path()),
    )
    .unwrap();
    let now = DateTime::<Utc>::from(now.modified().unwrap());
    let upkeep = MaintenanceSettings {
        keep_orphans: TimeDelta::hours(1),
        ..MaintenanceSettings::default()
    };
    assert_eq!(
        table
            .plan(now + TimeDelta::minutes(59), &upkeep)
            .await
            .unwrap(),
        CleanupPlan::default()
    );
    assert_eq!(
        table
            .plan(now + TimeDelta::minutes(61), &upkeep)
            .await
            .unwrap()
            .orphans
            .len(),
        1
    );
    table
        .maintain(now + TimeDelta::minutes(59), &upkeep)
        .await
        .unwrap();
    other.commit(in_flight).await.unwrap();
    // Another writer committed it since: the plan respects that, although this instance has not
    // read that entry yet.
    assert_eq!(
        table
            .plan(now + TimeDelta::minutes(61), &upkeep)
            .await
            .unwrap(),
        CleanupPlan::default()
    );
}
