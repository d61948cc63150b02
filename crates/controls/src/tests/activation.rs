//! A policy is put in force in every table once, after any crash. Nothing is stored under another
//! policy afterwards.

use std::process::{Command, ExitStatus};

use crate::testing::{of_subject, order, policy, signature, spec_of, two_tables};
use crate::{
    ActivateError, CommitIdentity, Controls, ControlsApplier, InactivePolicy, SharedControls,
    activate, place, settle,
};
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::{CheckedPolicy, PolicyText, parse};
use ebbtide_table::testing::batch;
use ebbtide_table::{CommitError, ControlsVersion, Root, Table};

/// Returns a small policy for the table of the store's tests.
fn checked(version: &str, keep: &str) -> CheckedPolicy {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/policies");
    let schema = std::fs::read_to_string(format!("{folder}/record.avsc")).unwrap();
    let yaml = std::fs::read_to_string(format!("{folder}/good.yaml")).unwrap();
    let yaml = yaml
        .replace("version: \"1\"", &format!("version: \"{version}\""))
        .replace("30 days", keep);
    let text = PolicyText {
        yaml,
        schemas: [("record.avsc".to_owned(), schema)].into(),
    };
    let checked = parse("policy.yaml", &text.yaml, &text);
    assert!(checked.policy.is_some(), "{:?}", checked.problems);
    checked
}

/// Returns a root whose only table is that of the first of the two policies.
async fn one_table() -> (tempfile::TempDir, Root) {
    let (folder, root) = ebbtide_table::testing::root();
    let policy = checked("1", "30 days").policy.unwrap();
    let spec = ebbtide_table::TableSpec::of(&policy, &sms()).unwrap();
    Table::open(&root, std::sync::Arc::new(spec)).await.unwrap();
    (folder, root)
}

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

async fn in_force(root: &Root) -> Option<String> {
    let policy = checked("1", "30 days").policy.unwrap();
    let spec = ebbtide_table::TableSpec::of(&policy, &sms()).unwrap();
    let table = Table::existing(root, std::sync::Arc::new(spec))
        .await
        .unwrap()?;
    table.policy().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_under_a_policy_takes_commits_of_that_policy_alone() {
    let (_folder, root) = two_tables().await;
    let mut writer = Table::open(&root, spec_of("sms")).await.unwrap();
    let unaware = batch(&writer, 0, None, 10).await;
    let (first, second) = (checked("1", "30 days"), checked("2", "20 days"));
    // The table of the store's tests has other columns; the columns of the policy are added to
    // them.
    let done = activate(&root, &first, &second, &signature())
        .await
        .unwrap();
    assert_eq!((done.control, done.tables.len()), (ControlsVersion(1), 2));
    let refused = writer.commit(unaware.clone()).await;
    assert!(
        matches!(&refused, Err(CommitError::PolicyMoved { active }) if active == "2"),
        "{refused:?}"
    );
    let mut aware = unaware;
    aware.controls = writer.controls();
    let refused = writer.commit(aware.clone()).await;
    assert!(
        matches!(&refused, Err(CommitError::PolicyMoved { .. })),
        "knowing the controls is not enough: {refused:?}"
    );
    aware.evidence.policy_version = "2".parse().unwrap();
    // The commit has the columns of the store's tests, which no text of policy 2 has.
    let refused = writer.commit(aware).await;
    assert!(
        matches!(&refused, Err(CommitError::OtherColumns { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_controls_stay_the_same_until_another_policy_is_in_force() {
    let (_folder, root) = one_table().await;
    let (first, second, third) = (
        checked("1", "30 days"),
        checked("2", "20 days"),
        checked("3", "10 days"),
    );
    let shared = SharedControls::new(root.clone());
    let versions = |of: &Controls| {
        of.policies()
            .iter()
            .map(|policy| policy.version.to_string())
            .collect::<Vec<_>>()
    };
    activate(&root, &first, &second, &signature())
        .await
        .unwrap();
    let before = shared.newest(ControlsVersion(1)).await.unwrap();
    assert_eq!(versions(&before), ["1", "2"]);
    let again = shared.clone().newest(ControlsVersion(0)).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&before, &again));
    activate(&root, &second, &third, &signature())
        .await
        .unwrap();
    let after = shared.newest(ControlsVersion(2)).await.unwrap();
    assert_eq!(
        (versions(&after), versions(&before)),
        (
            vec!["1".into(), "2".into(), "3".into()],
            vec!["1".into(), "2".into()]
        )
    );
    assert!(
        shared.newest(ControlsVersion(3)).await.is_err(),
        "an order is lost"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_is_a_new_version_and_another_text_of_an_old_one_is_refused() {
    let (_folder, root) = one_table().await;
    let (first, second) = (checked("1", "30 days"), checked("2", "20 days"));
    activate(&root, &first, &second, &signature())
        .await
        .unwrap();
    assert_eq!(in_force(&root).await.as_deref(), Some("2"));
    let again = activate(&root, &second, &second, &signature())
        .await
        .unwrap();
    assert_eq!(
        again.control,
        ControlsVersion(1),
        "the same once more is nothing new"
    );
    let back = activate(&root, &second, &first, &signature()).await;
    assert!(matches!(back, Err(ActivateError::Used(_))), "{back:?}");
    let unseen = activate(&root, &first, &checked("3", "10 days"), &signature()).await;
    assert!(matches!(unseen, Err(ActivateError::Moved(_))), "{unseen:?}");

    let controls = Controls::load(&root, ControlsVersion(0)).await.unwrap();
    let refused = |checked: &CheckedPolicy| {
        controls
            .check_active(checked.policy.as_ref().unwrap())
            .unwrap_err()
    };
    assert_eq!(
        refused(&first).to_string(),
        "policy 1 is no longer active; 2 is: restart the instance with it (`ebbtide policy history --show 2` prints it)"
    );
    assert!(matches!(
        refused(&checked("3", "10 days")),
        InactivePolicy::Never { .. }
    ));
    assert!(matches!(
        refused(&checked("2", "21 days")),
        InactivePolicy::OtherText { .. }
    ));
    controls
        .check_active(second.policy.as_ref().unwrap())
        .unwrap();
    let versions: Vec<String> = controls
        .policies()
        .iter()
        .map(|policy| policy.version.to_string())
        .collect();
    assert_eq!(
        versions,
        ["1", "2"],
        "the policy before the first activation is kept too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_finishes_a_dead_activation_even_with_a_hold_after_it() {
    let (_folder, root) = one_table().await;
    let (first, second) = (checked("1", "30 days"), checked("2", "20 days"));
    let elsewhere = ebbtide_table::testing::root();
    activate(&elsewhere.1, &first, &second, &signature())
        .await
        .unwrap();
    // The control alone, as a kill after its append leaves it.
    std::fs::create_dir_all(root.controls_folder()).unwrap();
    for file in std::fs::read_dir(elsewhere.1.controls_folder()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), root.controls_folder().join(file.file_name())).unwrap();
    }
    assert_eq!(in_force(&root).await, None);
    place(
        &root,
        order(of_subject()),
        &CommitIdentity {
            policy_version: "1".parse().unwrap(),
            ..signature()
        },
    )
    .await
    .unwrap();
    assert_eq!(in_force(&root).await, None, "a hold brings no policy");
    let settled = settle(&root, &signature()).await.unwrap();
    assert_eq!(settled, [(sms(), ControlsVersion(1))]);
    assert_eq!(in_force(&root).await.as_deref(), Some("2"));
    assert_eq!(settle(&root, &signature()).await.unwrap(), []);
    let controls = Controls::load(&root, ControlsVersion(0)).await.unwrap();
    assert_eq!(controls.holds(signature().at).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_settling_brings_later_policies_and_tables_up_to_date() {
    let (_folder, root) = one_table().await;
    let (first, second, third) = (
        checked("1", "30 days"),
        checked("2", "20 days"),
        checked("3", "10 days"),
    );
    let mut settler = ControlsApplier::new(root.clone());
    assert_eq!(settler.settle(&signature()).await.unwrap(), []);
    activate(&root, &first, &second, &signature())
        .await
        .unwrap();
    assert_eq!(settler.settle(&signature()).await.unwrap(), []);
    // Another activation was killed after it appended its control.
    let elsewhere = ebbtide_table::testing::root();
    activate(&elsewhere.1, &first, &second, &signature())
        .await
        .unwrap();
    activate(&elsewhere.1, &second, &third, &signature())
        .await
        .unwrap();
    for file in std::fs::read_dir(elsewhere.1.controls_folder()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), root.controls_folder().join(file.file_name())).unwrap();
    }
    assert_eq!(
        settler.settle(&signature()).await.unwrap(),
        [(sms(), ControlsVersion(2))]
    );
    assert_eq!(in_force(&root).await.as_deref(), Some("3"));
    assert_eq!(settler.settle(&signature()).await.unwrap(), []);
    Table::open(&root, spec_of("voice")).await.unwrap();
    let voice: ProductKey = "voice".parse().unwrap();
    assert_eq!(
        settler.settle(&signature()).await.unwrap(),
        [(voice, ControlsVersion(2))]
    );
    assert_eq!(settler.settle(&signature()).await.unwrap(), []);
    // A table that the policy needs is missing.
    std::fs::remove_dir_all(root.table_folder(&sms())).unwrap();
    assert_eq!(
        settler.settle(&signature()).await.unwrap(),
        [(sms(), ControlsVersion(2))]
    );
    assert_eq!(in_force(&root).await.as_deref(), Some("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_policy_is_kept_whole_and_read_back() {
    let (_folder, root) = ebbtide_table::testing::root();
    let text = std::fs::read_to_string("../../config/policy.yaml").unwrap();
    let named: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("schema: "))
        .map(|path| path.split_whitespace().next().unwrap().to_owned())
        .collect();
    let schemas = named.iter().map(|path| {
        (
            path.clone(),
            std::fs::read_to_string(format!("../../config/{path}")).unwrap(),
        )
    });
    let first = PolicyText {
        yaml: text.clone(),
        schemas: schemas.collect(),
    };
    assert_eq!(
        first.digest(),
        policy().digest,
        "the texts that were read are the texts that are kept"
    );
    let second = PolicyText {
        yaml: text.replace("version: \"2026-11-01\"", "version: next"),
        ..first.clone()
    };
    let (first, second) = (first.checked("1"), second.checked("2"));
    activate(&root, &first, &second, &signature())
        .await
        .unwrap();
    let controls = Controls::load(&root, ControlsVersion(0)).await.unwrap();
    let (_, active) = controls.active().unwrap();
    assert_eq!(active.text, second.text);
    assert_eq!(
        ebbtide_query::products(&root).await.unwrap().len(),
        13,
        "every product's table begins under it"
    );
}

const CHILD: &str = "tests::activation::an_operator_that_a_test_runs_and_kills";

/// Activates the second policy in place of the first.
#[tokio::test(flavor = "multi_thread")]
#[allow(
    clippy::disallowed_methods,
    reason = "the parent test tells this process what to do"
)]
async fn an_operator_that_a_test_runs_and_kills() {
    let Ok(folder) = std::env::var("EBBTIDE_TEST_ROOT") else {
        return;
    };
    let _scenario = fail::FailScenario::setup();
    let root = Root::parse(&folder).unwrap();
    activate(
        &root,
        &checked("1", "30 days"),
        &checked("2", "20 days"),
        &signature(),
    )
    .await
    .unwrap();
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
async fn killed_activation_is_finished_by_a_retry_or_by_the_next_process() {
    for (die_at, what) in [
        ("commit-written=return", "the control has its name"),
        ("control-appended=return", "the control is in the log"),
        ("before-commit=return", "before the first table"),
        ("after-commit=return", "after the first table"),
        ("before-commit=1*off->return", "before the second table"),
        ("after-commit=1*off->return", "after the second table"),
    ] {
        for again in [true, false] {
            let (_folder, root) = two_tables().await;
            assert!(
                !command(&root, die_at).success(),
                "{what} was never reached"
            );
            let first = checked("1", "30 days").policy.unwrap();
            assert!(
                Controls::load(&root, ControlsVersion(0))
                    .await
                    .unwrap()
                    .check_active(&first)
                    .is_err(),
                "no process starts with the old one: {what}"
            );
            if again {
                assert!(command(&root, "").success(), "{what}");
            } else {
                settle(&root, &signature()).await.unwrap();
            }
            for product in ["sms", "voice"] {
                let table = Table::existing(&root, spec_of(product))
                    .await
                    .unwrap()
                    .unwrap();
                assert_eq!(
                    (table.policy(), table.controls()),
                    (Some("2"), ControlsVersion(1)),
                    "{product}: {what}"
                );
            }
        }
    }
}
