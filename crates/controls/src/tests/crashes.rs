//! Kills an officer's command at each step: this test binary runs itself as the command.

use std::process::{Command, ExitStatus};

use crate::testing::{naming, of_subject, order, signature, two_tables, versions};
use crate::{Controls, forget, place, release, settle};
use ebbtide_table::testing::noon;
use ebbtide_table::{ControlsVersion, Root};

const CHILD: &str = "tests::crashes::an_officer_that_a_test_runs_and_kills";

/// The steps of an append and of two commits: for each, the failpoint that stops there, and a
/// description.
const STEPS: [(&str, &str); 6] = [
    ("commit-written=return", "the control has its name"),
    ("control-appended=return", "the control is in the log"),
    ("before-commit=return", "before the first table"),
    ("after-commit=return", "after the first table"),
    ("before-commit=1*off->return", "before the second table"),
    ("after-commit=1*off->return", "after the second table"),
];

/// Places a hold, or releases the existing one.
#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_methods,
    reason = "the parent test tells this process what to do"
)]
async fn an_officer_that_a_test_runs_and_kills() {
    let Ok(folder) = std::env::var("EBBTIDE_TEST_ROOT") else {
        return;
    };
    let _scenario = fail::FailScenario::setup();
    let root = Root::parse(&folder).unwrap();
    let controls = Controls::load(&root, ControlsVersion(0)).await.unwrap();
    match controls.holds(noon()).first() {
        None => drop(
            place(&root, order(of_subject()), &signature())
                .await
                .unwrap(),
        ),
        Some(known) => drop(release(&root, known.id(), &signature()).await.unwrap()),
    }
}

fn command(root: &Root, die_at: &str) -> ExitStatus {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", CHILD, "--nocapture"])
        .env("EBBTIDE_TEST_ROOT", root.folder())
        .env("FAILPOINTS", die_at);
    child.output().unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_hold_is_put_in_force_by_the_next_process_once_recorded() {
    for (die_at, what) in STEPS {
        let (_folder, root) = two_tables().await;
        assert!(
            !command(&root, die_at).success(),
            "{what} was never reached"
        );
        // A concurrent sweep reads the log and keeps the held data.
        let controls = Controls::load(&root, ControlsVersion(0)).await.unwrap();
        assert_eq!(controls.in_force(noon()).iter().count(), 1, "{what}");
        settle(&root, &signature()).await.unwrap();
        assert_eq!(versions(&root).await, [1, 1], "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_release_is_finished_by_a_retry_or_by_a_sweeper() {
    for (die_at, what) in STEPS {
        for again in [true, false] {
            let (_folder, root) = two_tables().await;
            assert!(command(&root, "").success());
            assert_eq!(naming(&root).len(), 1);
            assert!(
                !command(&root, die_at).success(),
                "{what} was never reached"
            );
            if again {
                assert!(command(&root, "").success(), "{what}");
            } else {
                settle(&root, &signature()).await.unwrap();
                forget(&root, noon()).await.unwrap();
            }
            assert_eq!(versions(&root).await, [2, 2], "{what}");
            assert_eq!(naming(&root).len(), 0, "{what}");
            let controls = Controls::load(&root, ControlsVersion(2)).await.unwrap();
            assert_eq!(
                (controls.version(), controls.in_force(noon()).is_empty()),
                (ControlsVersion(2), true),
                "{what}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_is_never_before_every_table_knows_of_the_release() {
    let (_folder, root) = two_tables().await;
    assert!(command(&root, "").success());
    assert!(!command(&root, "after-commit=return").success());
    assert_eq!(
        (versions(&root).await, forget(&root, noon()).await.unwrap()),
        (vec![2, 1], 0)
    );
    assert_eq!(naming(&root).len(), 1);
}
