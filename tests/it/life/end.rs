//! The conditions that must be true at the end of a life, and at every look during it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::stage::Stage;
use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::python::run;
use ebbtide_testkit::quoted;

/// The most segments of a closed bucket and profile at a look: a few hours' commits that are not
/// compacted yet.
const MOST_SEGMENTS: u64 = 24;

/// Asks the judge about every acknowledged record, or only about the held ones. Returns its counts.
pub fn judge(stage: &Stage, (since, until): (i64, i64), held_only: bool) -> Value {
    let at = |name: &str| stage.scene.scratch.join(name).display().to_string();
    let mut arguments = args![
        "--root",
        stage.scene.root.display(),
        "--events",
        stage.events().display(),
        "--acked",
        stage.acked().display(),
        "--program",
        program().path().display(),
        "--since",
        since,
        "--until",
        until,
        "--due",
        at("due.txt"),
        "--living",
        at("living.txt")
    ]
    .to_vec();
    arguments.extend(held_only.then(|| "--held-only".to_owned()));
    serde_json::from_str(&run("life_judge.py", &arguments)).unwrap()
}

/// Asserts that at every look nothing was overdue and segments were few. Returns the looks.
pub fn looks(stage: &Stage) -> Vec<Value> {
    let lines = fs::read_to_string(stage.samples()).unwrap();
    let looks: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let stalls = looks.iter().filter(|look| look["stalled"] == true).count();
    assert!(
        stalls <= 3,
        "the machine stood still {stalls} times: nothing can be said"
    );
    for look in &looks {
        let context = format!("day {}: {look}", look["day"]);
        assert_eq!(
            look["overdue"],
            serde_json::json!({}),
            "overdue by an independent reckoning: {context}"
        );
        assert!(
            look["most"].as_u64().unwrap() <= MOST_SEGMENTS,
            "many segments: {context}"
        );
    }
    looks
}

/// Asserts that no byte contains a planted value that was due, and that the values that are not due
/// are found.
pub fn residue(stage: &Stage) {
    let (due, living) = (
        stage.scene.scratch.join("due.txt"),
        stage.scene.scratch.join("living.txt"),
    );
    let (left, said) = found(stage, &due);
    assert_eq!(left, [], "residue: {said}");
    // A person who withdrew consent is remembered for some time, in the control log only.
    let (left, said) = found(stage, &stage.scene.scratch.join("due.txt.remembered"));
    assert!(
        left.iter().all(|(_, file)| file.starts_with("_controls/")),
        "residue: {said}"
    );
    let (left, _) = found(stage, &living);
    let (left, count): (BTreeSet<u64>, usize) = (
        left.into_iter().map(|(line, _)| line).collect(),
        fs::read_to_string(&living).unwrap().lines().count(),
    );
    assert!(
        count > 100 && left.len() == count,
        "{} of {count} living values are found",
        left.len()
    );
    // A program that shares no code with Ebbtide searches the uncompressed bytes.
    let grep = Command::new("grep")
        .env("LC_ALL", "C")
        .arg("-rlaFf")
        .arg(&due)
        .arg(&stage.scene.root)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&grep.stdout),
        "",
        "values that were due stand in these files"
    );
}

/// Returns the findings, each a line of `values` and a file, and all output.
fn found(stage: &Stage, values: &Path) -> (Vec<(u64, String)>, String) {
    let said = stage.says(args![
        "residue",
        "--output",
        "json",
        "--root",
        stage.scene.root.display(),
        "--values",
        quoted(values).display()
    ]);
    let json: Value = serde_json::from_str(&said.out)
        .unwrap_or_else(|_| panic!("no JSON: {}{}", said.out, said.err));
    assert_eq!(
        json["unsearched"],
        serde_json::json!([]),
        "everything must be searched"
    );
    let finding = |finding: &Value| {
        (
            finding["line"].as_u64().unwrap(),
            finding["file"].as_str().unwrap().to_owned(),
        )
    };
    (
        json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(finding)
            .collect(),
        said.out,
    )
}
