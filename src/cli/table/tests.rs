use clap::Parser;

use super::TableArgs;
use ebbtide_table::testing::{batch, noon, rewrite, root, segment, spec};
use ebbtide_table::{Root, SegmentIndex, Table};

#[derive(Parser)]
struct TestCli {
    #[command(flatten)]
    args: TableArgs,
}

fn answer(root: &Root, line: &str) -> (u8, String) {
    let words = ["table"]
        .into_iter()
        .chain(line.split(' '))
        .map(str::to_owned);
    let line = TestCli::parse_from(
        words.chain(["--root".to_owned(), root.folder().display().to_string()]),
    );
    match line.args.answer(noon() + chrono::TimeDelta::days(85)) {
        Ok(outcome) => (outcome.code, outcome.out),
        Err(error) => (1, error.to_string()),
    }
}

fn filled() -> (tempfile::TempDir, Root) {
    let (folder, root) = root();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut table = Table::open(&root, spec()).await.unwrap();
        for (number, from) in [(0, None), (0, Some(100)), (1, None)] {
            let work = batch(&table, number, from, from.unwrap_or(0) + 100).await;
            table.commit(work).await.unwrap();
        }
    });
    (folder, root)
}

/// Replaces the sizes of files, which depend on the libraries that write them.
fn without_sizes(text: &str) -> String {
    let sized = regex::Regex::new(r"(bytes     |files, )\d+").unwrap();
    sized.replace_all(text, "${1}N").into_owned()
}

#[test]
fn the_tables_are_listed() {
    let (_folder, root) = root();
    assert_eq!(answer(&root, "list"), (0, String::new()));
    let (_folder, root) = filled();
    assert_eq!(answer(&root, "list"), (0, "sms\n".to_owned()));
    assert_eq!(
        answer(&root, "list --output json"),
        (0, "[\n  \"sms\"\n]\n".to_owned())
    );
}

#[test]
fn a_table_is_shown() {
    let (_folder, root) = filled();
    let (code, text) = answer(&root, "show sms");
    assert_eq!(code, 0);
    insta::assert_snapshot!(without_sizes(&text), @r"
    Table sms at version 3
      records   300
      segments  3
      bytes     N
      controls  0

    Records by when a category is due
      category          nearest deadline  due  24 hours  7 days  30 days  later  open
      content       2026-12-20T14:13:20Z    0         0     300        0      0     0
      phone_number  2027-03-20T14:13:20Z    0         0       0        0    300     0

    Next offsets
      traffic.sms/0  200
      traffic.sms/1  100
    ");
    let (_, json) = answer(&root, "show sms --output json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["partitions"][1],
        serde_json::json!({ "topic": "traffic.sms", "partition": 1, "next": 100 })
    );
    assert_eq!(json["deadlines"][0]["within_a_week"], 300);
}

#[test]
fn an_audit_says_what_holds_and_fails_when_something_does_not() {
    let (_folder, root) = filled();
    let (code, text) = answer(&root, "audit sms");
    assert_eq!(code, 0);
    insta::assert_snapshot!(without_sizes(&text), @r"
    Audit of table sms at version 3
      read 300 = stored 300 + expired 0 + dead letters 0 in 3 commits, 3 of them seen
      the table holds 300 records in 3 files, N bytes
    Everything holds. The bytes of the files were not read: --bytes reads and checks them.
    ");
    let folder = root
        .table_folder(&"sms".parse().unwrap())
        .join("bucket=2026-09-21/profile=0123456789ab");
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(file.path()).unwrap();
    let (code, text) = answer(&root, "audit sms");
    assert_eq!(code, 1);
    assert!(
        text.contains("BROKEN: file bucket=2026-09-21/profile=0123456789ab/")
            && text.ends_with("It does not hold.\n")
    );
    let (code, json) = answer(&root, "audit sms --output json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &json["holds"], &json["broken"][0]["kind"]),
        (1, &false.into(), &"missing".into())
    );
}

#[test]
fn audit_of_bytes_names_each_damaged_file_in_one_line() {
    let (_folder, root) = filled();
    let (code, text) = answer(&root, "audit sms --bytes");
    assert!(
        code == 0
            && text.ends_with("Everything holds.\n")
            && text.contains("3 files have a digest"),
        "{text}"
    );
    let folder = root
        .table_folder(&"sms".parse().unwrap())
        .join("bucket=2026-09-21/profile=0123456789ab");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    for file in &files[..2] {
        let mut bytes = std::fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 16].fill(0);
        std::fs::write(file, bytes).unwrap();
    }
    let (code, text) = answer(&root, "audit sms --bytes");
    assert_eq!(code, 1);
    let broken: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("BROKEN"))
        .collect();
    assert_eq!(broken.len(), 2, "{text}");
    for file in &files[..2] {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(
            broken
                .iter()
                .any(|line| line.contains(name) && line.contains("restore it from a backup")),
            "{text}"
        );
    }
    let (_, json) = answer(&root, "audit sms --bytes --output json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["holds"], &json["broken"][0]["kind"]),
        (&false.into(), &"contents".into())
    );
}

#[test]
fn unreadable_log_is_one_line_with_table_and_file() {
    for command in ["audit sms", "audit sms --bytes", "show sms"] {
        let (_folder, root) = filled();
        let log = root
            .table_folder(&"sms".parse().unwrap())
            .join("_delta_log");
        std::fs::write(log.join("00000000000000000002.json"), "\u{1}\u{2}\u{3}").unwrap();
        let (code, text) = answer(&root, command);
        assert_eq!(code, 1);
        assert!(
            text.starts_with("table sms: _delta_log/00000000000000000002.json is damaged: "),
            "{command}: {text}"
        );
        assert!(
            text.lines().count() == 1 && text.contains("restore the file"),
            "{command}: {text}"
        );
    }
}

#[test]
fn an_audit_shows_what_rewrites_ended() {
    let (_folder, root) = filled();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut table = Table::open(&root, spec()).await.unwrap();
        let index = SegmentIndex::load(&table).await.unwrap();
        let old: Vec<_> = index.iter().cloned().collect();
        let rest = segment(&table, 0, 0, 180).await;
        table
            .commit_rewrite(rewrite(&index, old[..2].to_vec(), vec![rest]))
            .await
            .unwrap();
    });
    let (code, text) = answer(&root, "audit sms");
    assert_eq!(code, 0);
    insta::assert_snapshot!(without_sizes(&text), @r"
    Audit of table sms at version 4
      read 300 = stored 300 + expired 0 + dead letters 0 in 4 commits, 4 of them seen
      of those stored, 20 were removed and 0 suppressed: 280 are left
      the table holds 280 records in 2 files, N bytes
      UNDELETED 2 files should be deleted and still exist, the first since 2026-09-21T15:13:20Z; `ebbtide sweep` deletes or says why not
    No error was found, but files that should be deleted still exist. The bytes of the files were not read: --bytes reads and checks them.
    ");
    let (_, json) = answer(&root, "audit sms --output json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["totals"]["removed"], &json["totals"]["suppressed"]),
        (&20.into(), &0.into())
    );
}

#[test]
fn a_missing_table_is_reported() {
    let (_folder, root) = root();
    let (code, text) = answer(&root, "show sms");
    assert_eq!(
        (code, text),
        (
            1,
            format!("there is no table sms under {}", root.folder().display())
        )
    );
}
