use clap::Parser;

use super::HistoryArgs;
use crate::cli::CommandOutput;
use ebbtide_table::testing::{batch, root, spec};
use ebbtide_table::{RewriteCommit, RewriteEvidence, Root, SegmentIndex, Table};

#[derive(Parser)]
struct TestCli {
    #[command(flatten)]
    args: HistoryArgs,
}

fn answer(root: &Root, line: &str) -> CommandOutput {
    let words = ["history"]
        .into_iter()
        .chain(line.split(' '))
        .map(str::to_owned);
    let line = TestCli::parse_from(
        words.chain(["--root".to_owned(), root.folder().display().to_string()]),
    );
    line.args.run()
}

/// Creates two ingest commits, of which the second did not store everything, and a commit that
/// drops and ends.
fn filled() -> (tempfile::TempDir, Root) {
    let (folder, root) = root();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut table = Table::open(&root, spec()).await.unwrap();
        let work = batch(&table, 0, None, 100).await;
        table.commit(work).await.unwrap();
        let mut work = batch(&table, 1, None, 10).await;
        let evidence = &mut work.evidence;
        (evidence.read, evidence.stored, evidence.expired) = (10, 7, 1);
        evidence.dead_letters = [("corrupt".to_owned(), 2)].into();
        work.segments = vec![ebbtide_table::testing::segment(&table, 1, 0, 7).await];
        table.commit(work).await.unwrap();
        let index = SegmentIndex::load(&table).await.unwrap();
        let old: Vec<_> = index
            .iter()
            .filter(|segment| segment.rows == 100)
            .cloned()
            .collect();
        let new = ebbtide_table::testing::segment(&table, 0, 0, 40).await;
        let mut did: RewriteCommit = ebbtide_table::testing::rewrite(&index, old, vec![new]);
        let dropped = [("content".parse().unwrap(), 40)].into();
        did.evidence.rewrite = did
            .evidence
            .rewrite
            .map(|did| RewriteEvidence { dropped, ..did });
        table.commit_rewrite(did).await.unwrap();
    });
    (folder, root)
}

#[test]
fn a_history_is_listed_newest_last() {
    let (_folder, root) = filled();
    let outcome = answer(&root, "sms");
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    insta::assert_snapshot!(outcome.out);
    insta::assert_snapshot!(answer(&root, "sms --last 1 --operation ingest").out);
}

#[test]
fn nothing_that_is_asked_for_is_said_to_be_nothing() {
    let (_folder, root) = filled();
    insta::assert_snapshot!(answer(&root, "sms --since 2026-12-01").out, @r"
    History of table sms to version 3
      no commit that is asked for
    ");
    let outcome = answer(&root, "voice");
    assert_eq!(outcome.code, 1);
    assert!(
        outcome
            .err
            .starts_with("error: there is no table voice under "),
        "{}",
        outcome.err
    );
}

#[test]
fn a_history_comes_as_json_with_the_evidence_as_it_was_left() {
    let (_folder, root) = filled();
    let json: serde_json::Value =
        serde_json::from_str(&answer(&root, "sms --output json").out).unwrap();
    assert_eq!(
        (&json["product"], &json["oldest_entry"], &json["version"]),
        (&"sms".into(), &0.into(), &3.into())
    );
    assert_eq!(json["commits"][0]["untold"]["foreign"], false);
    assert_eq!(json["commits"][2]["evidence"]["dead_letters"]["corrupt"], 2);
    assert_eq!(json["commits"][3]["removed"], 1);
    assert_eq!(
        json["commits"][3]["evidence"]["rewrite"]["dropped"]["content"],
        40
    );
}

#[test]
fn a_filter_that_no_commit_can_match_is_a_wrong_use() {
    let (_folder, root) = filled();
    for (line, part) in [
        ("sms --operation drpo", "did you mean `drop`?"),
        ("sms --operation xyzzyplugh", "it may be ingest, "),
        ("sms --bucket 2026-09-21T13:00:00Z", "its buckets are days"),
        (
            "sms --since 2026-12-01 --until 2026-11-01",
            "--since is not before --until",
        ),
    ] {
        let outcome = answer(&root, line);
        assert!(
            outcome.code == 2 && outcome.err.contains(part),
            "{line}: {} {}",
            outcome.code,
            outcome.err
        );
    }
    // An operation or bucket that is possible but absent gives an answer.
    for line in ["sms --operation hold", "sms --bucket 2026-09-22"] {
        assert_eq!(answer(&root, line).code, 0, "{line}");
    }
}
