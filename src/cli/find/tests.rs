use std::collections::BTreeSet;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use futures::StreamExt;
use serde_json::Value;

use super::FindArgs;
use crate::cli::CommandOutput;
use ebbtide_base::clock::Clock;
use ebbtide_controls::testing::{order, signature};
use ebbtide_controls::{HoldOrder, Scope, place};
use ebbtide_maintenance::testing::{
    ANONYMIZE, SCHEMA, SmsRecord, World, number, policy_text, start, texts,
};
use ebbtide_table::testing::{filled, noon, root};
use ebbtide_table::{Root, SegmentIndex, Table};

#[derive(Parser)]
struct TestCli {
    #[command(flatten)]
    args: FindArgs,
}

fn find(root: &Root, line: &[&str], now: DateTime<Utc>) -> (String, CommandOutput) {
    let root = root.folder().display().to_string();
    let words = ["find", "--root", &root]
        .into_iter()
        .chain(line.iter().copied());
    let mut out = Vec::new();
    let outcome = TestCli::parse_from(words).args.answer(&mut out, now);
    (String::from_utf8(out).unwrap(), outcome)
}

const PERSON: &[&str] = &[
    "--subject",
    "phone:31699-MARKER-7",
    "--policy",
    "config/policy.yaml",
];

fn of_person<'a>(more: &[&'a str]) -> Vec<&'a str> {
    PERSON.iter().chain(more).copied().collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Creates two hundred records, of which the first hundred have lost their content, and a hold on
/// one tenant.
fn store() -> (tempfile::TempDir, Root) {
    let (folder, root) = root();
    runtime().block_on(async {
        let mut table = filled(&root, 2).await;
        let index = SegmentIndex::load(&table).await.unwrap();
        let mut old = Vec::new();
        for segment in index.iter() {
            let mut rows = table
                .read_columns(std::slice::from_ref(segment), &["source_offset"], None)
                .unwrap();
            let rows = rows.next().await.unwrap().unwrap().rows;
            let first = arrow::util::display::array_value_to_string(rows.column(0), 0).unwrap();
            old.extend((first == "0").then(|| segment.clone()));
        }
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
        let scope = Scope {
            tenant: Some("customer-2".to_owned()),
            ..Scope::default()
        };
        let until = noon() + TimeDelta::days(400);
        place(
            &root,
            HoldOrder {
                until,
                ..order(scope)
            },
            &signature(),
        )
        .await
        .unwrap();
    });
    (folder, root)
}

/// Replaces the names of holds, which are random.
fn without_names(text: &str) -> String {
    let names = regex::Regex::new(r"hold-[0-9a-f]{8}").unwrap();
    names.replace_all(text, "hold-ID").into_owned()
}

/// Returns the blocks of the text form, sorted: the order of segments is random.
fn sorted(text: &str) -> String {
    let text = without_names(text);
    let mut records: Vec<&str> = text.trim_end().split("\n\n").collect();
    records.sort_unstable();
    records.join("\n\n")
}

#[test]
fn records_are_shown_with_deadlines_and_withheld_data_is_counted() {
    let (_folder, root) = store();
    let (out, outcome) = find(&root, PERSON, noon());
    assert_eq!(outcome.code, 0);
    insta::assert_snapshot!("table", sorted(&out));
    insta::assert_snapshot!("table_err", outcome.err);
    let (out, outcome) = find(&root, PERSON, noon() + TimeDelta::days(100));
    insta::assert_snapshot!("held", sorted(&out));
    insta::assert_snapshot!("held_err", outcome.err);
}

#[test]
fn json_is_one_document_and_csv_has_a_header_whatever_was_found() {
    let (_folder, root) = store();
    let (out, outcome) = find(&root, &of_person(&["--output", "json"]), noon());
    assert_eq!(outcome.code, 0);
    let mut document: Value = serde_json::from_str(&out).unwrap();
    document["records"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(|record| record["source_offset"].as_i64());
    insta::assert_snapshot!(
        "json",
        without_names(&serde_json::to_string_pretty(&document).unwrap())
    );
    let (out, _) = find(&root, &of_person(&["--output", "csv"]), noon());
    let mut lines: Vec<&str> = out.split_terminator("\r\n").collect();
    lines[1..].sort_unstable();
    insta::assert_snapshot!("csv", without_names(&lines.join("\n")));

    let stranger = [
        "--subject",
        "phone:+4915112345678",
        "--policy",
        "config/policy.yaml",
    ];
    let with = |more: &[&'static str]| -> Vec<&'static str> {
        stranger.iter().chain(more).copied().collect()
    };
    let (out, outcome) = find(&root, &with(&["--output", "json"]), noon());
    assert_eq!(outcome.code, 1);
    insta::assert_snapshot!("nothing_json", out);
    insta::assert_snapshot!("nothing_err", outcome.err);
    let (out, _) = find(&root, &with(&["--output", "csv"]), noon());
    assert_eq!(out.lines().count(), 1, "{out}");
    assert_eq!(find(&root, &with(&[]), noon()).0, "");
}

#[test]
fn a_limit_bounds_what_is_shown_and_says_that_there_may_be_more() {
    let (_folder, root) = store();
    let tenant = [
        "--tenant",
        "customer-3",
        "--policy",
        "config/policy.yaml",
        "--limit",
        "5",
        "--output",
        "json",
    ];
    let (out, outcome) = find(&root, &tenant, noon());
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            document["records"].as_array().unwrap().len(),
            &document["more"]
        ),
        (5, &Value::Bool(true))
    );
    assert_eq!(
        (outcome.code, document["tables"][0]["records"].as_u64()),
        (0, Some(5))
    );
    assert!(
        outcome.err.contains("the limit is reached"),
        "{}",
        outcome.err
    );
}

#[test]
fn a_wrong_request_is_refused_without_naming_a_person() {
    let (_folder, root) = store();
    let policy = ["--policy", "config/policy.yaml"];
    let mut said = String::new();
    for wrong in [
        &["--subject", "31687654321"][..],
        &["--subject", "31687654321", "--kind", "email"],
        &[
            "--subject",
            "email:ann31687654321@example.org",
            "--product",
            "sms",
        ],
        &["--subject", "phone:31687654321", "--product", "smss"],
        &["--subject", "phone:31687654321", "--from", "yesterday"],
        &[
            "--subject",
            "phone:31687654321",
            "--from",
            "2026-10-02",
            "--to",
            "2026-10-01",
        ],
        &["--product", "sms"],
        &["--tenant", " "],
    ] {
        let line: Vec<&str> = wrong.iter().chain(&policy).copied().collect();
        let (out, outcome) = find(&root, &line, noon());
        assert_eq!((out.as_str(), outcome.code), ("", 2), "{wrong:?}");
        assert!(!outcome.err.contains("31687654321"), "{}", outcome.err);
        said += &outcome.err;
    }
    insta::assert_snapshot!("refused", said);
    let line = TestCli::parse_from(["find", "--subject", "phone:31687654321"]);
    assert!(!format!("{:?}", line.args).contains("31687654321"));
    assert!(
        TestCli::try_parse_from(["find", "--subject", "x", "--output", "parquet"]).is_err(),
        "parquet needs a file"
    );
    // A kind in the subject and a kind in its own option mean the same.
    let kind = [
        "--subject",
        "31699-MARKER-7",
        "--kind",
        "phone",
        "--policy",
        "config/policy.yaml",
        "--output",
        "csv",
    ];
    assert_eq!(
        find(&root, &kind, noon()),
        find(&root, &of_person(&["--output", "csv"]), noon())
    );
}

#[test]
fn a_file_is_new_and_whole_or_not_there() {
    let (folder, root) = store();
    let path = |name: &str| folder.path().join(name);
    let named = |path: &PathBuf| path.display().to_string();
    let csv = path("person.csv");
    let (out, outcome) = find(
        &root,
        &of_person(&["--output", "csv", "--file", &named(&csv)]),
        noon(),
    );
    assert_eq!((out.as_str(), outcome.code), ("", 0), "{}", outcome.err);
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), 3);
    let (_, outcome) = find(
        &root,
        &of_person(&["--output", "csv", "--file", &named(&csv)]),
        noon(),
    );
    assert_eq!(outcome.code, 2, "what is there is not written over");

    let file = path("person.parquet");
    let line = of_person(&["--output", "parquet", "--product", "sms", "--file"]);
    let file_name = named(&file);
    let with_file: Vec<&str> = line.iter().copied().chain([file_name.as_str()]).collect();
    assert_eq!(find(&root, &with_file, noon()).1.code, 0);
    assert!(std::fs::read(&file).unwrap().starts_with(b"PAR1"));
    let several = path("several");
    let line = of_person(&["--output", "parquet", "--file"]);
    let several_name = named(&several);
    let with_folder: Vec<&str> = line
        .iter()
        .copied()
        .chain([several_name.as_str()])
        .collect();
    assert_eq!(find(&root, &with_folder, noon()).1.code, 0);
    assert!(several.join("sms.parquet").exists());

    // If a table cannot be read, no file remains.
    let listed = runtime().block_on(ebbtide_table::testing::paths(&root));
    std::fs::remove_file(
        root.table_folder(&"sms".parse().unwrap())
            .join(listed.last().unwrap()),
    )
    .unwrap();
    for (output, name) in [
        ("json", "broken.json"),
        ("csv", "broken.csv"),
        ("parquet", "broken.parquet"),
    ] {
        let broken = path(name);
        let broken_name = named(&broken);
        let tenant = [
            "--tenant",
            "customer-3",
            "--policy",
            "config/policy.yaml",
            "--product",
            "sms",
        ];
        let line: Vec<&str> = tenant
            .into_iter()
            .chain(["--output", output, "--file", &broken_name])
            .collect();
        let outcome = find(&root, &line, noon()).1;
        assert_eq!(
            (outcome.code, broken.exists()),
            (2, false),
            "{output}: {}",
            outcome.err
        );
    }
}

#[test]
fn an_unknown_table_makes_an_empty_search_result_inconclusive() {
    let (_folder, root) = store();
    runtime().block_on(async {
        Table::open(&root, ebbtide_controls::testing::spec_of("fax"))
            .await
            .unwrap();
    });
    let stranger = [
        "--subject",
        "phone:+4915112345678",
        "--policy",
        "config/policy.yaml",
    ];
    let (_, outcome) = find(&root, &stranger, noon());
    assert_eq!(outcome.code, 2);
    insta::assert_snapshot!("unknown_err", outcome.err);
}

/// Returns the records found of each person, by offset, without the deadlines, which a sweep sets
/// to null; and the number of withheld categories.
fn found(world: &World, policy: &str, people: u32) -> (Vec<Value>, u64) {
    let (mut all, mut withheld) = (Vec::new(), 0);
    for person in 0..people {
        let subject = format!("phone:+{}", number(person));
        let line = [
            "--subject",
            &subject,
            "--policy",
            policy,
            "--output",
            "json",
        ];
        let (out, outcome) = find(&world.root, &line, world.clock.now());
        assert!(outcome.code < 2, "{}", outcome.err);
        let document: Value = serde_json::from_str(&out).unwrap();
        let counts = document["tables"][0]["withheld"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        withheld += counts.values().filter_map(Value::as_u64).sum::<u64>();
        all.extend(document["records"].as_array().unwrap().iter().cloned());
    }
    for record in &mut all {
        record
            .as_object_mut()
            .unwrap()
            .retain(|column, _| !column.starts_with("expires_"));
    }
    all.sort_by_key(|record| record["source_offset"].as_i64());
    (all, withheld)
}

#[test]
fn a_search_finds_the_records_that_a_sweep_keeps() {
    let mut world = World::new(ANONYMIZE);
    let files = tempfile::tempdir().unwrap();
    let policy = files.path().join("policy.yaml");
    std::fs::write(&policy, policy_text(ANONYMIZE)).unwrap();
    std::fs::write(files.path().join("sms.avsc"), SCHEMA).unwrap();
    let policy = policy.display().to_string();
    const PEOPLE: u32 = 8;
    let held = format!("phone:+{}", number(3)).parse().unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        for day in 0..4 {
            let mut records = texts(start() + TimeDelta::days(day), PEOPLE);
            let other = |sms: &SmsRecord| SmsRecord {
                customer: "other".to_owned(),
                ..sms.clone()
            };
            records.extend(records[..2].iter().map(other).collect::<Vec<_>>());
            world.ingest(&records).await;
            world.pass(TimeDelta::days(1));
        }
        world
            .hold(Scope {
                subject: Some(held),
                ..Scope::default()
            })
            .await;
        world
            .hold(Scope {
                tenant: Some("other".to_owned()),
                ..Scope::default()
            })
            .await;
    });
    let (mut some_withheld, mut last) = (0, usize::MAX);
    for days in [0, 4, 3, 4, 15, 4, 2, 3, 30] {
        world.pass(TimeDelta::days(days));
        let (before, withheld) = found(&world, &policy, PEOPLE);
        runtime.block_on(world.sweep());
        let (after, nothing) = found(&world, &policy, PEOPLE);
        assert_eq!(before, after, "at {}", world.clock.now());
        assert_eq!(nothing, 0, "a sweep leaves nothing to withhold");
        some_withheld += withheld;
        assert!(after.len() <= last);
        last = after.len();
    }
    assert!(some_withheld > 20, "{some_withheld}");
    // Of each of the four days, one record of the held person and two of the held tenant remain.
    assert_eq!(last, 4 + 8);
}
