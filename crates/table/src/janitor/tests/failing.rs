//! Files that cannot be deleted: an immutable file of a folder, a bucket whose policy denies
//! deletions.

use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};

use super::day;
use crate::reports::leftovers;
use crate::testing::buckets::{bucket_root, without_deletes};
use crate::testing::{filled, rewrite, root};
use crate::{MaintenanceSettings, Root, SegmentIndex, Table};

/// Returns a time long after the files were replaced, which the machine's own clock dated.
fn late() -> DateTime<Utc> {
    day(36_500)
}

/// Returns an upkeep that deletes replaced files immediately, a few files in a pass.
fn upkeep(limit: usize) -> MaintenanceSettings {
    MaintenanceSettings {
        readers_grace: TimeDelta::zero(),
        keep_orphans: TimeDelta::days(40_000),
        limit,
        ..MaintenanceSettings::default()
    }
}

/// Returns a table whose first segments were replaced, and their paths.
async fn replaced(root: &Root, count: i64) -> (Table, Vec<String>) {
    let mut table = filled(root, count).await;
    let before = SegmentIndex::load(&table).await.unwrap();
    let old: Vec<_> = before.iter().cloned().collect();
    let paths = old.iter().map(|segment| segment.path.to_string()).collect();
    let spliced = table
        .splice(&old, &["content".parse().unwrap()].into())
        .await
        .unwrap();
    table
        .commit_rewrite(rewrite(&before, old, spliced.segments))
        .await
        .unwrap();
    (table, paths)
}

/// A file that not even root can delete, until this value is dropped. `None` if the file system has
/// no such attribute.
struct Immutable(std::path::PathBuf);

impl Immutable {
    fn new(path: std::path::PathBuf) -> Option<Immutable> {
        let set = Command::new("chattr").arg("+i").arg(&path).output();
        if set.is_ok_and(|output| output.status.success()) {
            return Some(Immutable(path));
        }
        eprintln!(
            "SKIPPED: this file system or user cannot make {} immutable (chattr +i)",
            path.display()
        );
        None
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn immutable_file_delays_no_other_and_is_counted_until_it_is_deleted() {
    let (_folder, root) = root();
    let sms = "sms".parse().unwrap();
    let (mut table, paths) = replaced(&root, 4).await;
    let Some(immutable) = Immutable::new(root.table_folder(&sms).join(&paths[0])) else {
        return;
    };
    let first = immutable.0.clone();
    let done = table.maintain(late(), &upkeep(1000)).await.unwrap();
    assert_eq!(
        (
            done.deleted.replaced.len(),
            done.failures.count,
            done.overdue.files
        ),
        (3, 1, 1)
    );
    assert!(
        done.failures.first[0].path.ends_with(".parquet"),
        "{}",
        done.failures
    );
    assert!(
        first.exists()
            && paths[1..]
                .iter()
                .all(|path| !root.table_folder(&sms).join(path).exists())
    );

    // An instance that made no attempt counts it too.
    let left = leftovers(&root, &sms, late(), &upkeep(1000)).await.unwrap();
    assert_eq!((left.undeleted, left.in_grace), (1, 0));
    assert!(left.undeleted_since.is_some_and(|since| since < late()));

    drop(immutable);
    let done = table.maintain(late(), &upkeep(1000)).await.unwrap();
    assert_eq!(
        (
            done.deleted.replaced.len(),
            done.failures.count,
            done.overdue.files
        ),
        (1, 0, 0)
    );
    assert!(!first.exists());
    assert_eq!(
        leftovers(&root, &sms, late(), &upkeep(1000))
            .await
            .unwrap()
            .undeleted,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_undeletable_files_than_a_pass_has_room_for_delay_no_other() {
    let (_folder, root) = root();
    let folder = root.table_folder(&"sms".parse().unwrap());
    let (mut table, mut paths) = replaced(&root, 5).await;
    paths.sort();
    let immutable: Vec<Immutable> = paths[..3]
        .iter()
        .filter_map(|path| Immutable::new(folder.join(path)))
        .collect();
    if immutable.len() < 3 {
        return;
    }
    let mut deleted = 0;
    for _ in 0..4 {
        deleted += table
            .maintain(late(), &upkeep(2))
            .await
            .unwrap()
            .deleted
            .replaced
            .len();
    }
    assert_eq!(deleted, 2, "both files that can be deleted are");
    let done = table.maintain(late(), &upkeep(2)).await.unwrap();
    assert_eq!((done.deleted.is_empty(), done.overdue.files), (true, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn bucket_that_denies_deletions_is_reported_and_nothing_is_lost() {
    let root = bucket_root();
    let (_, paths) = replaced(&root, 3).await;
    let sms = "sms".parse().unwrap();
    let denied = without_deletes(&root, "tables/*");
    let mut table = Table::open(&denied, crate::testing::spec()).await.unwrap();
    for _ in 0..2 {
        let done = table.maintain(late(), &upkeep(1000)).await.unwrap();
        assert!(done.deleted.is_empty(), "{:?}", done.deleted);
        assert_eq!(
            (done.failures.count, done.overdue.files),
            (paths.len(), paths.len())
        );
        assert!(
            done.failures.to_string().contains("AccessDenied"),
            "{}",
            done.failures
        );
    }
    // Deletions are allowed again.
    let mut table = Table::open(&root, crate::testing::spec()).await.unwrap();
    let done = table.maintain(late(), &upkeep(1000)).await.unwrap();
    assert_eq!(
        (
            done.deleted.replaced.len(),
            done.failures.count,
            done.overdue.files
        ),
        (3, 0, 0)
    );
    assert_eq!(
        leftovers(&root, &sms, late(), &upkeep(1000))
            .await
            .unwrap()
            .undeleted,
        0
    );
}
