use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::CommitError;
use crate::testing::{filled, noon, rewrite, root};
use crate::{Segment, SegmentIndex, Table};

fn category(name: &str) -> Category {
    Category::new(name).unwrap()
}

fn columns(of: &[(&str, &[&str])]) -> Option<CategoryColumns> {
    let of = of.iter().map(|(of, names)| {
        (
            category(of),
            names.iter().map(|name| (*name).to_owned()).collect(),
        )
    });
    Some(CategoryColumns(of.collect()))
}

fn deadlines(of: &[&str]) -> BTreeMap<Category, Deadline> {
    of.iter()
        .map(|of| (category(of), Deadline(noon())))
        .collect()
}

fn file(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

/// Returns the column that stays without a deadline if a segment of categories `mail` and `image`
/// becomes one such file.
fn stays(
    dated: &[&str],
    stored: &[&str],
    now: &[(&str, &[&str])],
    profile: Option<&str>,
) -> Option<String> {
    let old = deadlines(&["mail", "image"]);
    let removed = RemovedTags {
        deadlines: &old,
        columns: columns(&[("mail", &["mail_to", "cc"]), ("image", &["image"])]),
    };
    let file = file(stored);
    let added = AddedTags {
        deadlines: deadlines(dated),
        file: &file,
        columns: columns(now),
        profile,
    };
    cleared_deadline(&[removed], &[added]).map(|cleared| cleared.column)
}

#[test]
fn deadline_is_dropped_only_with_all_columns_of_its_category() {
    let same: &[(&str, &[&str])] = &[("mail", &["mail_to", "cc"]), ("image", &["image"])];
    let cleared = |dated: &[&str], stored: &[&str]| stays(dated, stored, same, Some("none"));
    assert_eq!(
        cleared(&["mail", "image"], &["mail_to", "cc", "image"]),
        None
    );
    assert_eq!(cleared(&["image"], &["image", "pages"]), None);
    assert_eq!(cleared(&[], &["pages"]), None);
    assert_eq!(
        cleared(&["image"], &["mail_to", "cc", "image"]).as_deref(),
        Some("cc")
    );
    assert_eq!(
        cleared(&["image"], &["cc", "image"]).as_deref(),
        Some("cc"),
        "one column is enough"
    );
    assert_eq!(cleared(&[], &["image"]).as_deref(), Some("image"));
}

#[test]
fn column_of_another_category_needs_the_deadline_of_that_one() {
    let moved: &[(&str, &[&str])] = &[
        ("mail", &["cc"]),
        ("msisdn", &["mail_to"]),
        ("image", &["image"]),
    ];
    let of = |dated: &[&str], stored: &[&str], profile| stays(dated, stored, moved, profile);
    // The case: the configured policy has the column in another category, and the sweep dropped
    // that policy's columns of the category.
    assert_eq!(
        of(&["image"], &["mail_to", "image"], None).as_deref(),
        Some("mail_to")
    );
    assert_eq!(
        of(&["image", "msisdn"], &["mail_to", "image"], None),
        None,
        "a policy that was activated moved it"
    );
    let open = Some("image=1 hour at_most event;msisdn=1 hour at_most contract_end");
    assert_eq!(
        of(&["image"], &["mail_to", "image"], open),
        None,
        "its deadline is open until a contract ends"
    );
    let over = Some("image=1 hour at_most event;msisdn=1 hour at_most event");
    assert_eq!(
        of(&["image"], &["mail_to", "image"], over).as_deref(),
        Some("mail_to")
    );
    let renamed: &[(&str, &[&str])] = &[("email", &["mail_to", "cc"]), ("image", &["image"])];
    assert_eq!(
        stays(
            &["image", "email"],
            &["mail_to", "cc", "image"],
            renamed,
            None
        ),
        None,
        "a category was renamed"
    );
    assert_eq!(
        stays(&["image"], &["mail_to", "cc", "image"], renamed, None).as_deref(),
        Some("cc")
    );
    let left_out: &[(&str, &[&str])] = &[("mail", &["cc"]), ("image", &["image"])];
    assert_eq!(
        stays(&["image"], &["mail_to", "image"], left_out, None).as_deref(),
        Some("mail_to")
    );
}

#[test]
fn part_whose_rows_lost_the_category_before_needs_no_deadline() {
    let old = deadlines(&["mail"]);
    let of = || columns(&[("mail", &["mail_to"])]);
    let stored = file(&["mail_to"]);
    let part = |dated: &[&str]| AddedTags {
        deadlines: deadlines(dated),
        file: &stored,
        columns: of(),
        profile: None,
    };
    let removed = [RemovedTags {
        deadlines: &old,
        columns: of(),
    }];
    assert_eq!(
        cleared_deadline(&removed, &[part(&["mail"]), part(&[])]),
        None
    );
    assert!(cleared_deadline(&removed, &[part(&[]), part(&[])]).is_some());
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

proptest! {
    /// A sweep drops the columns that a policy has in the due categories; the segment was written
    /// under a mapping of its own. For any two mappings, the commit succeeds exactly if no column
    /// stays that the segment's own mapping has in a due category.
    #[test]
    fn drop_lands_exactly_if_every_column_of_the_due_categories_went(
        written in prop::collection::vec(0_usize..3, 6),
        configured in prop::collection::vec(0_usize..3, 6),
        due in prop::collection::btree_set(0_usize..3, 1..3),
    ) {
        let mapping = |of: &[usize]| {
            let mut map: BTreeMap<Category, BTreeSet<String>> = BTreeMap::new();
            for (name, of) in NAMES.iter().zip(of) {
                map.entry(category(["x", "y", "z"][*of])).or_default().insert((*name).to_owned());
            }
            CategoryColumns(map)
        };
        let old = deadlines(&["x", "y", "z"]);
        let removed = RemovedTags { deadlines: &old, columns: Some(mapping(&written)) };
        let stored: BTreeSet<String> =
            NAMES.iter().zip(&configured).filter(|(_, of)| !due.contains(of)).map(|(name, _)| (*name).to_owned()).collect();
        let dated: Vec<&str> = (0..3).filter(|of| !due.contains(of)).map(|of| ["x", "y", "z"][of]).collect();
        // The table records one mapping for the version: that of the segment.
        let added = AddedTags { deadlines: deadlines(&dated), file: &stored, columns: Some(mapping(&written)), profile: None };
        let left = NAMES.iter().zip(&written).any(|(name, of)| due.contains(of) && stored.contains(*name));
        prop_assert_eq!(cleared_deadline(&[removed], &[added]).is_some(), left);
    }
}

/// Returns a segment whose statistics no longer contain the deadline of `content`, with its file
/// unchanged.
fn without_content(mut segment: Segment) -> Segment {
    let mut stats: serde_json::Value = serde_json::from_str(&segment.contents.stats).unwrap();
    for bounds in ["minValues", "maxValues"] {
        stats[bounds]
            .as_object_mut()
            .unwrap()
            .remove("expires_content")
            .unwrap();
    }
    segment.contents.stats = stats.to_string();
    segment
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_that_clears_a_deadline_over_stored_columns_is_refused() {
    let (_folder, root) = root();
    let mut table = filled(&root, 1).await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let old: Vec<_> = index.iter().cloned().collect();
    let copy = table
        .splice(&old, &BTreeSet::new())
        .await
        .unwrap()
        .segments
        .remove(0);
    let version = table.version();
    let refused = table
        .commit_rewrite(rewrite(&index, old.clone(), vec![without_content(copy)]))
        .await;
    let Err(CommitError::DeadlineCleared {
        category: of,
        column,
    }) = &refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!((of.as_str(), column.as_str()), ("content", "body"));
    table.refresh().await.unwrap();
    assert_eq!(table.version(), version, "nothing landed");
    let dropped = table
        .splice(&old, &[category("content")].into())
        .await
        .unwrap()
        .segments;
    table
        .commit_rewrite(rewrite(&index, old, dropped))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_by_a_policy_with_the_column_in_another_category_is_refused() {
    let (_folder, root) = root();
    let table = filled(&root, 1).await;
    let old: Vec<_> = SegmentIndex::load(&table)
        .await
        .unwrap()
        .iter()
        .cloned()
        .collect();
    for moved in ["body", "media"] {
        let mut spec = TableSpec::clone(table.spec());
        let column = spec
            .columns
            .iter_mut()
            .find(|column| column.name == moved)
            .unwrap();
        column.role = ColumnRole::Personal(category("phone_number"));
        let mut edited = Table::open(&root, std::sync::Arc::new(spec)).await.unwrap();
        let index = SegmentIndex::load(&edited).await.unwrap();
        let dropped = edited
            .splice(&old, &[category("content")].into())
            .await
            .unwrap()
            .segments;
        let mut commit = rewrite(&index, old.clone(), dropped);
        let refused = edited.commit_rewrite(commit.clone()).await;
        assert!(
            matches!(&refused, Err(CommitError::OtherColumns { .. })),
            "{refused:?}"
        );
        // Under another version, by which the segment was never tagged.
        commit.evidence.policy_version = "2027-01-01".parse().unwrap();
        let refused = edited.commit_rewrite(commit).await;
        let Err(CommitError::DeadlineCleared { column, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(column, moved);
    }
    let due = Deadline(noon() + TimeDelta::days(90));
    assert!(
        old.iter()
            .all(|segment| segment.deadlines.get(&category("content")) == Some(&due)),
        "the tag is left"
    );
}
