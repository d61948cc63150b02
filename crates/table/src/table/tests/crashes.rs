//! Kills a writer at each named step of a commit: this test binary starts itself as the writer.

use std::process::{Command, ExitStatus};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::reports::audit;
use crate::testing::buckets::{open_shared, roots, shared_text};
use crate::testing::{batch, noon, partition, read, spec};
use crate::{MaintenanceSettings, Root, Table};
use ebbtide_base::failpoint::COMMIT;

const CHILD: &str = "table::tests::crashes::a_writer_that_a_test_runs_and_kills";
const ROOT: &str = "EBBTIDE_TEST_ROOT";

/// Continues from the table's own offset and commits ten records.
#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_methods,
    reason = "the parent test tells this process what to do"
)]
async fn a_writer_that_a_test_runs_and_kills() {
    let Ok(folder) = std::env::var(ROOT) else {
        return;
    };
    let _scenario = fail::FailScenario::setup();
    let mut table = Table::open(&open_shared(&folder), spec()).await.unwrap();
    let from = table.next_offset(&partition(0)).map(|offset| offset.0);
    let work = batch(&table, 0, from, from.unwrap_or(0) + 10).await;
    table.commit(work).await.unwrap();
}

/// Runs the test of that name in a process that gets the root in the variable, and ends at a step
/// unless it is empty.
pub(super) fn run_child((test, variable): (&str, &str), root: &Root, die_at: &str) -> ExitStatus {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", test, "--nocapture"])
        .env(variable, shared_text(root));
    if !die_at.is_empty() {
        child.env("FAILPOINTS", format!("{die_at}=return"));
    }
    child.output().unwrap().status
}

fn write_once(root: &Root, die_at: &str) -> ExitStatus {
    run_child((CHILD, ROOT), root, die_at)
}

/// Returns the offsets of every row that the table lists, sorted.
pub(super) async fn offsets(root: &Root) -> Vec<i64> {
    let product = "sms".parse().unwrap();
    let paths = crate::testing::active_paths(root, &product).await.unwrap();
    let mut offsets = Vec::new();
    for path in paths {
        let file = read(root, &path).await;
        for rows in ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap()
        {
            let rows = rows.unwrap();
            let column = rows
                .column_by_name("source_offset")
                .unwrap()
                .as_primitive::<Int64Type>();
            offsets.extend_from_slice(column.values());
        }
    }
    offsets.sort_unstable();
    offsets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_killed_at_any_step_loses_nothing_and_doubles_nothing() {
    for (step, (_folder, root)) in COMMIT
        .into_iter()
        .flat_map(|step| roots().map(|root| (step, root)))
    {
        Table::open(&root, spec()).await.unwrap();
        assert!(write_once(&root, "").success(), "{step}");
        assert!(
            !write_once(&root, step).success(),
            "{step} was never reached"
        );
        let landed = ["commit-written", "commit-synced", "after-commit"].contains(&step);
        let expected = if landed { 20 } else { 10 };
        assert_eq!(
            offsets(&root).await,
            (0..expected).collect::<Vec<_>>(),
            "after dying at {step}"
        );
        assert!(write_once(&root, "").success(), "{step}");
        assert_eq!(
            offsets(&root).await,
            (0..expected + 10).collect::<Vec<_>>(),
            "on going on after {step}"
        );
        let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
        assert!(found.holds(), "{step}: {:?}", found.broken);
        // Finds the files that the killed writer left, and none that the table needs.
        let mut table = Table::open(&root, spec()).await.unwrap();
        let later = noon() + chrono::TimeDelta::days(36_500);
        let plan = table
            .plan(later, &MaintenanceSettings::default())
            .await
            .unwrap();
        let left = ["segment-written", "segment-synced", "before-commit"].contains(&step);
        assert_eq!(
            plan.orphans.len(),
            usize::from(left),
            "{step}: {:?}",
            plan.orphans
        );
        table
            .maintain(later, &MaintenanceSettings::default())
            .await
            .unwrap();
        assert_eq!(
            offsets(&root).await.len(),
            usize::try_from(expected + 10).unwrap()
        );
        assert_eq!(
            table
                .plan(later, &MaintenanceSettings::default())
                .await
                .unwrap(),
            crate::CleanupPlan::default()
        );
    }
}
