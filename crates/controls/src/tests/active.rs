//! The first start of a root records its policy; of several concurrent starts one succeeds, and
//! every other text is refused.

use crate::testing::signature;
use crate::{
    CommitIdentity, Controls, SharedControls, UsePolicyError, activate, record_active,
    require_active, settle,
};
use ebbtide_policy::{LoadedPolicy, PolicyText, parse};
use ebbtide_table::{ControlsVersion, Root, Table, TableSpec};

/// Returns a small policy with words of it replaced.
fn loaded(words: &[(&str, &str)]) -> LoadedPolicy {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/policies");
    let schema = std::fs::read_to_string(format!("{folder}/record.avsc")).unwrap();
    let yaml = std::fs::read_to_string(format!("{folder}/good.yaml")).unwrap();
    let yaml = words
        .iter()
        .fold(yaml, |yaml, (from, to)| yaml.replace(from, to));
    let text = PolicyText {
        yaml,
        schemas: [("record.avsc".to_owned(), schema)].into(),
    };
    let checked = parse("policy.yaml", &text.yaml, &text);
    assert!(checked.policy.is_some(), "{:?}", checked.problems);
    checked.loaded().unwrap()
}

async fn start(root: &Root, of: &LoadedPolicy) -> Result<(), UsePolicyError> {
    let by = CommitIdentity {
        policy_version: of.policy.version.clone(),
        ..signature()
    };
    record_active(root, &SharedControls::new(root.clone()), of, &by).await
}

async fn in_force(root: &Root, of: &LoadedPolicy) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for spec in TableSpec::all(&of.policy) {
        let table = Table::existing(root, spec).await.unwrap();
        found.push(table.and_then(|table| table.policy().map(str::to_owned)));
    }
    found
}

const SECOND: (&str, &str) = ("version: \"1\"", "version: \"2\"");
const SHORTER: (&str, &str) = ("30 days", "20 days");

#[tokio::test(flavor = "multi_thread")]
async fn first_start_records_its_policy_once() {
    let (_folder, root) = ebbtide_table::testing::root();
    let first = loaded(&[]);
    require_active(&root, &SharedControls::new(root.clone()), &first)
        .await
        .unwrap();
    assert!(!root.controls_folder().exists(), "looking records nothing");
    for _ in 0..3 {
        start(&root, &first).await.unwrap();
    }
    let controls = Controls::load(&root, ControlsVersion(0)).await.unwrap();
    assert_eq!(controls.iter().count(), 1);
    let (_, active) = controls.active().unwrap();
    assert_eq!(
        (&active.text, &active.sha256, &active.instead_of),
        (&first.text, &first.policy.digest, &None)
    );
    assert!(
        in_force(&root, &first)
            .await
            .iter()
            .all(|policy| policy.as_deref() == Some("1"))
    );
    for (words, says) in [
        (vec![SECOND], "policy 2 is not activated; 1 is active"),
        (vec![SHORTER], "policy 1 is not what was activated as 1"),
        (
            vec![("version", "# A comment.\nversion")],
            "policy 1 is not what was activated as 1",
        ),
    ] {
        let refused = start(&root, &loaded(&words)).await.unwrap_err();
        assert!(
            refused.is_other_policy() && refused.to_string().starts_with(says),
            "{refused}"
        );
        assert!(
            refused.to_string().contains("\n  "),
            "it says what differs: {refused}"
        );
    }
    let (old, new) = (
        first.text.checked(""),
        loaded(&[SECOND, SHORTER]).text.checked(""),
    );
    activate(&root, &old, &new, &signature()).await.unwrap();
    let past = start(&root, &first).await.unwrap_err();
    assert!(
        past.to_string()
            .starts_with("policy 1 is no longer active; 2 is"),
        "{past}"
    );
    start(&root, &loaded(&[SECOND, SHORTER])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_first_starts_wins_and_the_other_is_refused() {
    for (words, version) in [
        (vec![SHORTER], "1"),
        (vec![SECOND], "2"),
        (vec![SECOND, SHORTER], "2"),
    ] {
        for _ in 0..8 {
            let (_folder, root) = ebbtide_table::testing::root();
            let (one, other) = (loaded(&[]), loaded(&words));
            let (a, b) = tokio::join!(start(&root, &one), start(&root, &other));
            assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1, "{a:?} {b:?}");
            let won = if a.is_ok() { "1" } else { version };
            let refused = a.err().or(b.err()).unwrap();
            assert!(refused.is_other_policy(), "{refused}");
            assert!(
                in_force(&root, &one)
                    .await
                    .iter()
                    .all(|policy| policy.as_deref() == Some(won))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn start_that_died_after_its_control_is_finished_by_settling() {
    let (_folder, root) = ebbtide_table::testing::root();
    let elsewhere = ebbtide_table::testing::root();
    let first = loaded(&[]);
    start(&elsewhere.1, &first).await.unwrap();
    std::fs::create_dir_all(root.controls_folder()).unwrap();
    for file in std::fs::read_dir(elsewhere.1.controls_folder()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), root.controls_folder().join(file.file_name())).unwrap();
    }
    start(&root, &first).await.unwrap();
    assert!(
        start(&root, &loaded(&[SHORTER])).await.is_err(),
        "the control alone decides"
    );
    settle(&root, &signature()).await.unwrap();
    assert!(
        in_force(&root, &first)
            .await
            .iter()
            .all(|policy| policy.as_deref() == Some("1"))
    );
}
