//! A new policy that changes the columns of stored records: names, classes, and columns that it no
//! longer has.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::apply::{column, edited, first, names, some, swept, take, world};
use crate::testing::{SCHEMA, World, number, policy_text, read, read_with, start, texts};
use ebbtide_controls::Scope;
use ebbtide_policy::CheckedPolicy;
use ebbtide_table::testing::rewrite;
use ebbtide_table::{SegmentIndex, StoredSegment};
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_policy_no_longer_names_is_removed_from_the_files() {
    let mut world = world().await;
    assert!(names(&world, "status").await);
    take(
        &mut world,
        (&first(), &read(&edited(&[("      status: none\n", "")]))),
    )
    .await;
    let round = swept(&world).await;
    assert_eq!((round.did.unclassified, round.did.retagged), (20, 20));
    assert!(!names(&world, "status").await);
    assert_eq!(
        (
            some(&column(&world, "body").await),
            some(&column(&world, "recipient").await)
        ),
        (20, 20)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_of_the_longest_version_is_distinguished_like_any() {
    let text = policy_text("remove").replace("test-1", &"v".repeat(64));
    let mut old = read(&text);
    let mut world = World::of(tempfile::tempdir().unwrap(), old.policy.clone().unwrap());
    world.ingest(&texts(start(), 20)).await;
    for (version, keep) in [
        ("test-2".to_owned(), "keep: 20 days"),
        ("w".repeat(64), "keep: 30 days"),
    ] {
        let new = read(
            &policy_text("remove")
                .replace("test-1", &version)
                .replace("keep: 7 days", keep),
        );
        take(&mut world, (&old, &new)).await;
        assert_eq!(swept(&world).await.did.retagged, 20);
        assert_eq!(world.sweep().await.works, 0);
        old = new;
    }
}

/// Creates 20 records under a policy that does not name `status`, and 20 under one that does and
/// has the same rules. Returns also the latter policy, and the former with a new version.
async fn under_two() -> (World, [CheckedPolicy; 2]) {
    let words = policy_text("remove").replace("      status: none\n", "");
    let (without, again) = (read(&words), read(&words.replace("test-1", "test-3")));
    let with = read(&edited(&[]));
    let mut world = World::of(
        tempfile::tempdir().unwrap(),
        without.policy.clone().unwrap(),
    );
    world.ingest(&texts(start(), 20)).await;
    take(&mut world, (&without, &with)).await;
    world.ingest(&texts(start(), 20)).await;
    assert_eq!(some(&column(&world, "status").await), 20);
    (world, [with, again])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_does_not_hide_a_column_that_only_the_other_policy_named() {
    let (mut world, [with, again]) = under_two().await;
    world.pass(TimeDelta::days(8));
    assert_eq!(swept(&world).await.did.dropped.values().sum::<u64>(), 40);
    take(&mut world, (&with, &again)).await;
    assert_eq!(swept(&world).await.did.unclassified, 20);
    assert!(!names(&world, "status").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_rows_of_two_policies_is_brought_up_to_date() {
    let (mut world, [with, again]) = under_two().await;
    let mut table = world.table().await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let old: Vec<_> = index.iter().cloned().collect();
    let unknown = |segment: &StoredSegment| StoredSegment {
        policy_version: None,
        ..segment.clone()
    };
    let as_one: Vec<_> = old.iter().map(unknown).collect();
    let one = table
        .splice(&as_one, &BTreeSet::new())
        .await
        .unwrap()
        .segments;
    assert_eq!((old.len(), one.len()), (2, 1));
    let mut work = rewrite(&index, old, one);
    (work.controls, work.evidence.policy_version) =
        (table.controls(), world.policy.version.clone());
    table.commit_rewrite(work).await.unwrap();
    take(&mut world, (&with, &again)).await;
    assert_eq!(swept(&world).await.did.unclassified, 20);
    assert!(!names(&world, "status").await);
    assert_eq!(
        column(&world, "policy_version").await,
        vec![Some("test-3".to_owned()); 40]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_record_ends_at_the_last_deadline_of_its_profile() {
    // In this policy, numbers expire first.
    let first = policy_text("remove")
        .replace("keep: 30 days", "keep: 5 days")
        .replace("keep: 7 days", "keep: 20 days");
    let first = read(&first);
    let mut world = World::of(tempfile::tempdir().unwrap(), first.policy.clone().unwrap());
    world.ingest(&texts(start(), 20)).await;
    world.pass(TimeDelta::days(6));
    swept(&world).await;
    // Content is no longer stored, and numbers are kept for 30 days; these are already deleted.
    take(
        &mut world,
        (&first, &read(&edited(&[("      body: content\n", "")]))),
    )
    .await;
    swept(&world).await;
    assert_eq!(
        column(&world, "expires_phone_number").await,
        vec![None; 20],
        "nothing comes back"
    );
    world.pass(TimeDelta::days(25));
    let round = swept(&world).await;
    assert_eq!(round.did.removed, 20);
    assert!(world.rows_are_none().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_field_keeps_its_values_under_the_new_name() {
    let mut world = world().await;
    let before = column(&world, "body").await;
    let schema = SCHEMA.replace(
        r#""name": "body""#,
        r#""name": "message", "aliases": ["body"]"#,
    );
    let new = read_with(
        &edited(&[("      body: content\n", "      message: content\n")]),
        &schema,
    );
    take(&mut world, (&first(), &new)).await;
    let round = swept(&world).await;
    assert_eq!((round.did.unclassified, round.did.retagged), (0, 20));
    assert_eq!(column(&world, "message").await, before);
    world.pass(TimeDelta::days(8));
    assert_eq!(swept(&world).await.did.dropped.values().sum::<u64>(), 20);
    assert_eq!(some(&column(&world, "message").await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_whose_category_changes_expires_with_its_new_category() {
    let mut world = world().await;
    take(
        &mut world,
        (
            &first(),
            &read(&edited(&[("status: none", "status: content")])),
        ),
    )
    .await;
    swept(&world).await;
    assert_eq!(some(&column(&world, "status").await), 20);
    world.pass(TimeDelta::days(8));
    swept(&world).await;
    assert_eq!(
        (
            some(&column(&world, "status").await),
            some(&column(&world, "recipient").await)
        ),
        (0, 20)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn data_deleted_with_its_old_category_stays_deleted_in_the_new_one() {
    let mut world = world().await;
    world.pass(TimeDelta::days(8));
    swept(&world).await;
    // All fields of content move to a category that remains.
    let new = edited(&[
        ("body: content", "body: phone_number"),
        ("  content: { term: pd:Communication }\n", ""),
        ("categories: [content], ", "jurisdictions: [AQ], "),
    ]);
    take(&mut world, (&first(), &read(&new))).await;
    let round = swept(&world).await;
    assert_eq!(round.did.retagged, 20);
    assert_eq!(
        (
            some(&column(&world, "body").await),
            some(&column(&world, "recipient").await)
        ),
        (0, 20)
    );
    world.pass(TimeDelta::days(30));
    assert_eq!(swept(&world).await.did.removed, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_row_keeps_what_the_policy_no_longer_names_until_it_is_released() {
    let mut world = world().await;
    let scope = Scope {
        subject: Some(format!("phone:+{}", number(7)).parse().unwrap()),
        ..Scope::default()
    };
    let hold = world.hold(scope).await;
    let new = edited(&[
        ("      body: content\n", ""),
        ("categories: [content], ", "jurisdictions: [AQ], "),
        ("  content: { term: pd:Communication }\n", ""),
    ]);
    take(&mut world, (&first(), &read(&new))).await;
    world.pass(TimeDelta::days(40));
    let round = swept(&world).await;
    assert_eq!(
        (round.did.unclassified, round.did.removed),
        (19, 19),
        "{round:?}"
    );
    assert!(
        names(&world, "body").await,
        "it is held with all that it had"
    );
    world.release(&hold).await;
    let round = swept(&world).await;
    assert_eq!((round.did.unclassified, round.did.removed), (1, 1));
    assert!(world.rows_are_none().await);
}
