use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;

use super::WhyArgs;
use super::text::write_record;
use crate::cli::CommandOutput;
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_controls::testing::{order, signature};
use ebbtide_controls::{CommitIdentity, HoldOrder, Scope, place, release};
use ebbtide_query::{RecordHistory, RecordStatus};
use ebbtide_services::why::RecordReport;
use ebbtide_table::testing::{batch, partition, root, spec};
use ebbtide_table::{Root, SegmentIndex, Table};

#[derive(Parser)]
struct TestCli {
    #[command(flatten)]
    args: WhyArgs,
}

fn answer(root: &Root, line: &str) -> CommandOutput {
    let words = ["why", "--product", "sms"]
        .into_iter()
        .chain(line.split(' '))
        .map(str::to_owned);
    let line = TestCli::parse_from(
        words.chain(["--root".to_owned(), root.folder().display().to_string()]),
    );
    line.args.run()
}

/// Creates two commits of a hundred records whose content is dropped, and a third commit.
fn filled() -> (tempfile::TempDir, Root) {
    let (folder, root) = root();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut table = Table::open(&root, spec()).await.unwrap();
        for from in [None, Some(100)] {
            let work = batch(&table, 0, from, from.unwrap_or(0) + 100).await;
            table.commit(work).await.unwrap();
        }
        let index = SegmentIndex::load(&table).await.unwrap();
        let old: Vec<_> = index.iter().cloned().collect();
        let spliced = table
            .splice(&old, &BTreeSet::from(["content".parse().unwrap()]))
            .await
            .unwrap();
        table
            .commit_rewrite(ebbtide_table::testing::rewrite(
                &index,
                old,
                spliced.segments,
            ))
            .await
            .unwrap();
        let work = batch(&table, 0, Some(200), 210).await;
        table.commit(work).await.unwrap();
    });
    (folder, root)
}

/// Replaces the names of commits and files, which are random.
fn without_names(text: &str) -> String {
    let names =
        regex::Regex::new(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    names.replace_all(text, "ID").into_owned()
}

const AT: &str = "--topic traffic.sms --partition 0 --offset";

#[test]
fn a_record_is_shown_with_its_stored_and_its_deleted_data() {
    let (_folder, root) = filled();
    let outcome = answer(&root, &format!("{AT} 150 --policy config/policy.yaml"));
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    insta::assert_snapshot!("here", without_names(&outcome.out));
    insta::assert_snapshot!(
        "json",
        without_names(&answer(&root, &format!("{AT} 205 --output json")).out)
    );
    insta::assert_snapshot!("not_read", answer(&root, &format!("{AT} 210")).out);
}

#[test]
fn a_value_without_a_record_is_a_problem_and_never_printed() {
    let (_folder, root) = filled();
    let outcome = answer(&root, "--id recipient=31612345678");
    assert_eq!(outcome.code, 1);
    insta::assert_snapshot!(outcome.out, @"No record in table sms holds that value. To see when a record was deleted, search by its topic, partition and offset.");
    let found = answer(&root, "--id source_offset=7");
    assert_eq!(found.code, 0);
    assert!(
        found
            .out
            .starts_with("Record of sms, traffic.sms/0 at offset 7\n"),
        "{}",
        found.out
    );
}

#[test]
fn a_record_must_be_named_in_one_way() {
    for wrong in [
        "--topic traffic.sms",
        "--topic traffic.sms --partition 0",
        "--partition 0 --offset 1",
        "--id message_id",
        "--id a=b --topic traffic.sms --partition 0 --offset 1",
    ] {
        let words = ["why", "--product", "sms"]
            .into_iter()
            .chain(wrong.split(' '));
        assert!(TestCli::try_parse_from(words).is_err(), "{wrong}");
    }
    assert!(TestCli::try_parse_from(["why", "--product", "sms"]).is_err());
}

#[test]
fn a_record_names_the_holds_on_its_row_and_never_what_they_cover() {
    let (_folder, root) = filled();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let held = |scope: Scope| {
        let now = SystemClock::new().now();
        let order = HoldOrder {
            until: now + chrono::TimeDelta::days(30),
            ..order(scope)
        };
        runtime
            .block_on(place(
                &root,
                order,
                &CommitIdentity {
                    at: now,
                    ..signature()
                },
            ))
            .unwrap()
            .id
    };
    let subject = |number: &str| Some(format!("phone:+{number}").parse().unwrap());
    let tenant = |number: i64| Scope {
        tenant: Some(format!("customer-{}", number % 7)),
        ..Scope::default()
    };
    let (one, two) = (held(tenant(150)), held(tenant(205)));
    let other = held(Scope {
        subject: subject(ebbtide_controls::testing::HELD),
        ..Scope::default()
    });
    let released = held(tenant(150));
    runtime
        .block_on(release(&root, &released, &signature()))
        .unwrap();
    let outcome = answer(&root, &format!("{AT} 150 --policy config/policy.yaml"));
    assert!(
        outcome.out.ends_with(&format!("  held by     {one}\n")),
        "{}{}",
        outcome.out,
        outcome.err
    );
    assert!(
        !outcome.out.contains(other.as_str())
            && !outcome.out.contains(ebbtide_controls::testing::HELD)
    );
    let outcome = answer(
        &root,
        &format!("{AT} 205 --policy config/policy.yaml --output json"),
    );
    let document: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(
        document["records"][0]["held_by"],
        serde_json::json!([two.as_str()])
    );
    // Without the policy, the output says that the holds are not known, and not that there are
    // none.
    let outcome = answer(&root, &format!("{AT} 205 --config none.yaml"));
    assert!(
        outcome.out.contains("  held by     holds are in force"),
        "{}",
        outcome.out
    );
    assert!(!answer(&root, &format!("{AT} 210")).out.contains("held by"));
}

#[test]
fn the_holds_of_a_record_are_listed() {
    let fate = RecordStatus::NotRead { next: None };
    let story = RecordHistory {
        partition: Some(partition(0)),
        offset: Some(ebbtide_base::ids::Offset(1)),
        ingest: None,
        fate,
    };
    let record = RecordReport {
        history: story,
        rules: BTreeMap::new(),
        held_by: vec!["hold-7".to_owned(), "hold-9".to_owned()],
        holds_incomplete: false,
    };
    let mut text = String::new();
    write_record(&record, &"sms".parse().unwrap(), &mut text).unwrap();
    assert!(text.ends_with("  held by     hold-7, hold-9\n"), "{text}");
    assert_eq!(
        serde_json::to_value(&record).unwrap()["held_by"][1],
        "hold-9"
    );
}
