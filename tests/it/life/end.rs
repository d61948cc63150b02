//! What must be true at the end of a life, and was at every look during it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::stage::Stage;
use crate::args;
use crate::support::ebbtide::program;
use crate::support::python::run;

/// The most segments that a closed bucket and profile may have at a look: a few hours' commits that compaction has not met yet.
const MOST_SEGMENTS: u64 = 24;

/// Asks the judge about every record that was acknowledged, or about the held ones alone; what it counted.
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
        program().display(),
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

/// Every look found nothing overdue, and segments few; the looks.
pub fn looks(stage: &Stage) -> Vec<Value> {
    let lines = fs::read_to_string(stage.samples()).unwrap();
    let looks: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let stalls = looks.iter().filter(|look| look["stalled"] == true).count();
    assert!(stalls <= 2, "the machine stood still {stalls} times: nothing can be said");
    for look in &looks {
        let told = format!("day {}: {look}", look["day"]);
        assert_eq!(look["overdue"], serde_json::json!({}), "overdue by an independent reckoning: {told}");
        assert!(look["most"].as_u64().unwrap() <= MOST_SEGMENTS, "many segments: {told}");
    }
    looks
}

/// No planted value that was due stands in any byte, and those that live are found.
pub fn residue(stage: &Stage) {
    let (due, living) = (stage.scene.scratch.join("due.txt"), stage.scene.scratch.join("living.txt"));
    let (found, said) = found(stage, &due);
    assert_eq!(found.len(), 0, "residue: {said}");
    let (found, _) = self::found(stage, &living);
    let count = fs::read_to_string(&living).unwrap().lines().count();
    assert!(count > 100 && found.len() == count, "{} of {count} living values are found", found.len());
    // Uncompressed bytes by a program that shares nothing with ours.
    let grep = Command::new("grep").env("LC_ALL", "C").arg("-rlaFf").arg(&due).arg(&stage.scene.root).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "", "values that were due stand in these files");
}

fn found(stage: &Stage, values: &Path) -> (BTreeSet<u64>, String) {
    let said = stage.says(args![
        "residue",
        "--output",
        "json",
        "--root",
        stage.scene.root.display(),
        "--values",
        values.display()
    ]);
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("no JSON: {}{}", said.out, said.err));
    assert_eq!(json["unsearched"], serde_json::json!([]), "everything must be searched");
    (json["findings"].as_array().unwrap().iter().map(|finding| finding["line"].as_u64().unwrap()).collect(), said.out)
}
