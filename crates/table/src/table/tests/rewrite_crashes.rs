//! Kills a process at each named step of a rewrite: this test binary starts itself as the rewriter.

use std::process::ExitStatus;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::crashes::{offsets, run_child};
use crate::reports::audit;
use crate::testing::buckets::{open_shared, roots, unfinished};
use crate::testing::{batch, noon, read, rewrite, root, spec};
use crate::{COMPACT, CleanupPlan, MaintenanceSettings, MergeSettings, Root, SegmentIndex, Table};
use ebbtide_base::failpoint::COMMIT;

const CHILD: &str = "table::tests::rewrite_crashes::a_rewriter_that_a_test_runs_and_kills";
const ROOT: &str = "EBBTIDE_TEST_REWRITE";

/// Drops the content from all segments that have some.
#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_methods,
    reason = "the parent test tells this process what to do"
)]
async fn a_rewriter_that_a_test_runs_and_kills() {
    let Ok(folder) = std::env::var(ROOT) else {
        return;
    };
    let _scenario = fail::FailScenario::setup();
    let mut table = Table::open(&open_shared(&folder), spec()).await.unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    let content = "content".parse().unwrap();
    let due: Vec<_> = index
        .iter()
        .filter(|segment| segment.deadlines.contains_key(&content))
        .cloned()
        .collect();
    if due.is_empty() {
        return;
    }
    let spliced = table.splice(&due, &[content].into()).await.unwrap();
    table
        .commit_rewrite(rewrite(&index, due, spliced.segments))
        .await
        .unwrap();
}

fn rewrite_once(root: &Root, die_at: &str) -> ExitStatus {
    run_child((CHILD, ROOT), root, die_at)
}

/// Returns the number of the table's files that have content.
async fn with_content(root: &Root) -> usize {
    let product = "sms".parse().unwrap();
    let mut found = 0;
    for path in crate::testing::active_paths(root, &product).await.unwrap() {
        let file = read(root, &path).await;
        let schema = ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .schema()
            .clone();
        found += usize::from(schema.column_with_name("body").is_some());
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_killed_at_any_step_leaves_the_old_or_the_new() {
    let steps = ["segment-part-written"].into_iter().chain(COMMIT);
    for (step, (_folder, root)) in steps.flat_map(|step| roots().map(|root| (step, root))) {
        let mut table = Table::open(&root, spec()).await.unwrap();
        for from in [None, Some(10)] {
            let work = batch(&table, 0, from, from.unwrap_or(0) + 10).await;
            table.commit(work).await.unwrap();
        }
        assert!(
            !rewrite_once(&root, step).success(),
            "{step} was never reached"
        );
        let landed = ["commit-written", "commit-synced", "after-commit"].contains(&step);
        assert_eq!(
            with_content(&root).await,
            if landed { 0 } else { 2 },
            "after dying at {step}"
        );
        assert_eq!(
            offsets(&root).await,
            (0..20).collect::<Vec<_>>(),
            "after dying at {step}"
        );
        assert!(rewrite_once(&root, "").success(), "{step}");
        assert_eq!(with_content(&root).await, 0, "on going on after {step}");
        assert_eq!(
            offsets(&root).await,
            (0..20).collect::<Vec<_>>(),
            "on going on after {step}"
        );
        let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
        assert!(
            found.holds() && found.segments == 1,
            "{step}: {:?}",
            found.broken
        );
        // Finds the files that the killed rewriter left, and none that the log names.
        let mut table = Table::open(&root, spec()).await.unwrap();
        let later = noon() + chrono::TimeDelta::days(36_500);
        let orphans = table
            .plan(later, &MaintenanceSettings::default())
            .await
            .unwrap()
            .orphans;
        // In a bucket an unfinished object has no name yet.
        let unfinished = if root.local().is_none() {
            unfinished(&root)
        } else {
            0
        };
        assert_eq!(
            orphans.len() + unfinished,
            usize::from(!landed),
            "{step}: {orphans:?}"
        );
        table
            .maintain(later, &MaintenanceSettings::default())
            .await
            .unwrap();
        assert!(
            root.give_up_uploads(noon() - chrono::TimeDelta::days(36_500))
                .await
                .unwrap()
                .deleted
                .is_empty()
        );
        assert_eq!(
            root.give_up_uploads(later).await.unwrap().deleted.len(),
            unfinished,
            "{step}"
        );
        assert_eq!(offsets(&root).await.len(), 20);
        assert_eq!(
            table
                .plan(later, &MaintenanceSettings::default())
                .await
                .unwrap(),
            CleanupPlan::default()
        );
    }
}

const COMPACTOR: &str = "table::tests::rewrite_crashes::a_compactor_that_a_test_runs_and_kills";
const COMPACTED: &str = "EBBTIDE_TEST_COMPACT";

/// Merges all segments into one, with spills.
#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_methods,
    reason = "the parent test tells this process what to do"
)]
async fn a_compactor_that_a_test_runs_and_kills() {
    let Ok(folder) = std::env::var(COMPACTED) else {
        return;
    };
    let _scenario = fail::FailScenario::setup();
    let mut table = Table::open(&Root::parse(&folder).unwrap(), spec())
        .await
        .unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    let small: Vec<_> = index.iter().cloned().collect();
    if small.len() < 2 {
        return;
    }
    let how = MergeSettings {
        sort_by: vec!["recipient".to_owned()],
        memory: 1,
    };
    let one = table.merge(&small, &how).await.unwrap();
    let mut commit = rewrite(&index, small, vec![one]);
    commit.evidence.operation = COMPACT.to_owned();
    table.commit_rewrite(commit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_killed_at_any_step_leaves_the_old_or_the_new_and_no_spill() {
    let compact_once = |root: &Root, die_at: &str| run_child((COMPACTOR, COMPACTED), root, die_at);
    for step in ["merge-spilled", "segment-part-written"]
        .into_iter()
        .chain(COMMIT)
    {
        let (_folder, root) = root();
        let mut table = Table::open(&root, spec()).await.unwrap();
        for from in [None, Some(10), Some(20)] {
            let work = batch(&table, 0, from, from.unwrap_or(0) + 10).await;
            table.commit(work).await.unwrap();
        }
        assert!(
            !compact_once(&root, step).success(),
            "{step} was never reached"
        );
        let landed = ["commit-written", "commit-synced", "after-commit"].contains(&step);
        let files = crate::testing::active_paths(&root, &"sms".parse().unwrap())
            .await
            .unwrap()
            .len();
        assert_eq!(files, if landed { 1 } else { 3 }, "after dying at {step}");
        assert_eq!(
            offsets(&root).await,
            (0..30).collect::<Vec<_>>(),
            "after dying at {step}"
        );
        assert!(compact_once(&root, "").success(), "{step}");
        assert_eq!(
            offsets(&root).await,
            (0..30).collect::<Vec<_>>(),
            "on going on after {step}"
        );
        let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
        assert!(
            found.holds() && found.segments == 1,
            "{step}: {:?}",
            found.broken
        );
        // Of the killed process's files only its output is left: its spills have no names.
        let mut table = Table::open(&root, spec()).await.unwrap();
        let later = noon() + chrono::TimeDelta::days(36_500);
        let orphans = table
            .plan(later, &MaintenanceSettings::default())
            .await
            .unwrap()
            .orphans;
        assert_eq!(orphans.len(), usize::from(!landed), "{step}: {orphans:?}");
        table
            .maintain(later, &MaintenanceSettings::default())
            .await
            .unwrap();
        assert_eq!(offsets(&root).await.len(), 30);
        assert_eq!(
            table
                .plan(later, &MaintenanceSettings::default())
                .await
                .unwrap(),
            CleanupPlan::default()
        );
    }
}
