//! The rules of the repository that neither Cargo nor clippy holds: layers, short files with a head
//! comment, no path of one machine.

mod layers;

use std::path::{Path, PathBuf};

fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every file below `folder` of the repository whose name ends with `suffix`: path from the
/// repository, text.
fn files(folder: &str, suffix: &str) -> Vec<(String, String)> {
    let found = walkdir::WalkDir::new(repo().join(folder))
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok);
    let named = found
        .map(|entry| entry.into_path())
        .filter(|p| p.is_file() && p.to_string_lossy().ends_with(suffix));
    named.filter_map(read).collect()
}

fn read(path: PathBuf) -> Option<(String, String)> {
    let text = std::fs::read_to_string(&path).ok()?;
    let short = path
        .strip_prefix(repo())
        .ok()?
        .to_string_lossy()
        .into_owned();
    Some((short, text))
}

#[test]
fn every_file_is_under_500_lines_and_says_what_it_is() {
    let mut wrong = Vec::new();
    for folder in ["src", "crates", "tests", "benches"] {
        for (path, text) in files(folder, ".rs").into_iter().chain(files(folder, ".py")) {
            let head = if path.ends_with(".rs") {
                "//! "
            } else {
                "\"\"\""
            };
            // The tests of a module, in its `tests.rs`, are described by the module.
            let described = path.ends_with("tests.rs") || text.starts_with(head);
            if !described {
                wrong.push(format!(
                    "{path}:1: no head comment: say what lives here, what it promises, what it must never do"
                ));
            }
            let lines = text.lines().count();
            if lines >= 500 {
                wrong.push(format!(
                    "{path}: {lines} lines: a file has fewer than 500; split it by what it does"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    // Built here, so that this file does not contain such a path itself.
    let homes = ["work", "root", "home", "Users"].map(|home| format!("/{home}/"));
    let folders = [
        "src", "crates", "tests", "benches", "docs", "config", "schemas", "tools", ".ci",
    ];
    let tops = [
        "Makefile",
        "README.md",
        "CONTRIBUTING.md",
        "Cargo.toml",
        "clippy.toml",
        "rustfmt.toml",
    ];
    let all = folders
        .iter()
        .flat_map(|f| files(f, ""))
        .chain(tops.iter().filter_map(|t| read(repo().join(t))));
    let mut wrong = Vec::new();
    for (path, text) in all {
        for (at, line) in text.lines().enumerate() {
            if homes.iter().any(|home| names_a_place(line, home)) {
                wrong.push(format!("{path}:{}: a path of one machine", at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns true if `line` contains `home` as the start of an absolute path that a name follows.
fn names_a_place(line: &str, home: &str) -> bool {
    line.match_indices(home).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + home.len()..].chars().next();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '}' | '/' | '.' | '_' | '-'))
            && after.is_some_and(|c| c.is_ascii_lowercase() || c == '.')
    })
}

#[test]
fn path_of_a_machine_is_distinguished_from_part_of_another_path() {
    let home = format!("/{}/", "work");
    assert!(names_a_place(&format!("see {home}notes"), &home));
    assert!(!names_a_place(
        &format!("$HOME{home}notes ./a{home}b"),
        &home.replace("work", "root")
    ));
    assert!(!names_a_place(&format!("./a{home}b"), &home));
}
