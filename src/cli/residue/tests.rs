use std::path::Path;

use clap::Parser;

use super::ResidueArgs;

#[derive(Parser)]
struct TestCli {
    #[command(flatten)]
    args: ResidueArgs,
}

/// Returns the exit code and the output of a search for `values` in the folder `root`.
fn answer(values: &str, root: &Path, more: &[&str]) -> (u8, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values).unwrap();
    let words = [
        "residue",
        "--values",
        file.path().to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
    ];
    let line = TestCli::parse_from(words.iter().chain(more));
    let outcome = line.args.run();
    let output = (outcome.out + &outcome.err).replace(root.to_str().unwrap(), "ROOT");
    let output = output.replace(file.path().to_str().unwrap(), "FILE");
    // The number of forms is covered by other tests.
    let line = |line: &str| match line.strip_prefix("Each value in all of its forms: ") {
        Some(_) => "Each value in all of its forms: COUNT\n".to_owned(),
        None => format!("{line}\n"),
    };
    (outcome.code, output.lines().map(line).collect())
}

fn planted() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tables")).unwrap();
    std::fs::write(
        folder.path().join("tables/.1.tmp"),
        "so +31612345678 and Ada@Example.net, ada@example.net",
    )
    .unwrap();
    std::fs::write(folder.path().join("tables/a.parquet"), "PAR1 half of one").unwrap();
    folder
}

#[test]
fn findings_are_listed_by_line_and_place_with_their_totals() {
    let folder = planted();
    let (code, text) = answer(
        "ada@example.net\nabsent\n0031612345678\n",
        folder.path(),
        &[],
    );
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @r"
    Searched 2 files under ROOT, 68 bytes, for 3 values
    Each value in all of its forms: COUNT
    values line 1: bytes: tables/.1.tmp, byte 20, 2 times
    values line 3: bytes: tables/.1.tmp, byte 4
    COULD NOT BE SEARCHED: tables/a.parquet: it is a Parquet file without its end, or none: only its bytes were searched, as they are
    Found 2 of 3 values, in 2 places; 1 part could not be searched.
    ");
    let (code, text) = answer(
        "ada@example.net\nabsent\n0031612345678\n",
        folder.path(),
        &["--limit", "1"],
    );
    assert_eq!(code, 1);
    assert!(
        text.contains("\n... and 1 more; --limit 2 lists them all\n"),
        "{text}"
    );
}

#[test]
fn an_incomplete_search_has_an_exit_code_of_its_own() {
    let folder = planted();
    let (code, text) = answer("absent\n", folder.path(), &[]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(text, @r"
    Searched 2 files under ROOT, 68 bytes, for 1 value
    Each value in all of its forms: COUNT
    COULD NOT BE SEARCHED: tables/a.parquet: it is a Parquet file without its end, or none: only its bytes were searched, as they are
    Nothing found, but 1 part could not be searched.
    ");
}

#[test]
fn clean_says_how_much_was_searched() {
    let folder = planted();
    std::fs::remove_file(folder.path().join("tables/a.parquet")).unwrap();
    let (code, text) = answer("absent\n", folder.path(), &[]);
    assert_eq!(code, 0);
    insta::assert_snapshot!(text, @r"
    Searched 1 file under ROOT, 52 bytes, for 1 value
    Each value in all of its forms: COUNT
    Clean: none of the values was found.
    ");
}

#[test]
fn the_result_comes_as_json_too() {
    let folder = planted();
    let (code, json) = answer(
        "absent\n+31 6 12345678",
        folder.path(),
        &["--output", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["verdict"]), (1, &"found".into()));
    let wanted = serde_json::json!({ "line": 2, "place": "bytes", "file": "tables/.1.tmp", "at": 4, "times": 1 });
    assert_eq!(json["findings"], serde_json::json!([wanted]));
    assert_eq!(json["unsearched"][0]["file"], "tables/a.parquet");
    let searched = &json["searched_for"];
    assert_eq!(
        (
            &searched["values"],
            &searched["repeated"],
            &searched["numbers"]
        ),
        (&2.into(), &0.into(), &1.into())
    );
}

#[test]
fn a_wrong_use_is_reported_without_the_value() {
    let folder = planted();
    let (code, text) = answer("absent\nabc", folder.path(), &[]);
    assert_eq!(code, 2);
    assert!(
        text.starts_with("error: FILE: line 2 has fewer than 4 bytes"),
        "{text}"
    );
    assert_eq!(
        answer("absent\nabc", folder.path(), &["--allow-short"]).0,
        2
    );
    let (code, text) = answer("absent", &folder.path().join("nowhere"), &[]);
    assert_eq!(
        (code, text.as_str()),
        (2, "error: there is nothing to search under ROOT\n")
    );
}

#[test]
fn a_list_as_a_spreadsheet_saves_it_is_searched_or_refused() {
    let folder = planted();
    std::fs::remove_file(folder.path().join("tables/a.parquet")).unwrap();
    for list in [
        "\u{feff}+31612345678\r\nabsent\r\n",
        "\"+31612345678\"\n",
        "absent\r+31612345678\r",
        "+31\u{a0}6\u{a0}1234\u{a0}5678",
    ] {
        assert_eq!(answer(list, folder.path(), &[]).0, 1, "{list:?}");
    }
    for list in ["absent;+31612345678\n", "absent\n3.16E+10\n", "abs\0ent\n"] {
        let (code, text) = answer(list, folder.path(), &[]);
        assert!(
            code == 2 && text.starts_with("error: FILE: line "),
            "{list:?}: {text}"
        );
    }
    let (code, text) = answer("absent\n\"absent\"\n", folder.path(), &[]);
    assert!(code == 0 && text.contains("for 1 value\n"), "{text}");
}
