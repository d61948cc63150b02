//! Canaries: thousands of values that stand nowhere else, planted over every personal field of all products. While they live,
//! `ebbtide residue` and a search that shares nothing with it find every one, and neither finds what nobody planted.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::args;
use crate::support::ebbtide::program;
use crate::support::scene::Scene;
use crate::support::{kafka, python, registry};

/// A planted value.
#[derive(Debug, Clone, Deserialize)]
struct Canary {
    value: String,
    product: String,
    column: String,
    category: String,
    /// The oracle's deadline in microseconds; none while it is open.
    expires: Option<i64>,
}

/// The fields that a canary cannot stand in: an enum has no unique values.
const ENUMS: [(&str, &str); 2] = [("consent", "act"), ("widget", "preferred_channel")];

/// Plants at least `values` values; what was acknowledged, the values, and others that nobody produced.
fn plant(scene: &Scene<'_>, values: usize) -> (PathBuf, Vec<Canary>, Vec<String>) {
    let (out, strangers) = (scene.scratch.join("canaries.jsonl"), scene.scratch.join("strangers.txt"));
    let arguments = args![
        "--bootstrap",
        scene.kafka.bootstrap(),
        "--registry",
        registry::shared().base(),
        "--policy",
        scene.policy.display(),
        "--partitions",
        scene.partitions,
        "--values",
        values,
        "--out",
        out.display(),
        "--strangers",
        strangers.display()
    ];
    python::run("canaries.py", arguments);
    let lines = fs::read_to_string(&out).unwrap();
    let planted = lines.lines().flat_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        serde_json::from_value::<Vec<Canary>>(line["canaries"].clone()).unwrap()
    });
    let planted: Vec<Canary> = planted.collect();
    let strangers = fs::read_to_string(strangers).unwrap().lines().map(str::to_owned).collect();
    (out, planted, strangers)
}

/// A file of values for both searches, outside the root.
fn file_of<'a>(scene: &Scene<'_>, values: impl Iterator<Item = &'a str>) -> PathBuf {
    let file = scene.scratch.join("values.txt");
    fs::write(&file, values.map(|value| format!("{value}\n")).collect::<String>()).unwrap();
    file
}

/// The lines that `ebbtide residue` finds, its exit code, and all that it said.
fn residue(scene: &Scene<'_>, values: &Path) -> (BTreeSet<u64>, i32, String) {
    let output = Command::new(program())
        .args(["residue", "--output", "json", "--root"])
        .arg(&scene.root)
        .arg("--values")
        .arg(values)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    let json: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("no JSON: {said}"));
    assert_eq!(json["unsearched"], serde_json::json!([]), "everything must be searched");
    let found = json["findings"].as_array().unwrap().iter().map(|finding| finding["line"].as_u64().unwrap());
    (found.collect(), output.status.code().unwrap(), said)
}

/// The lines that the independent search finds.
fn independent(scene: &Scene<'_>, values: &Path) -> BTreeSet<u64> {
    let said = python::run("search.py", args!["--root", scene.root.display(), "--values", values.display()]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["unread"], serde_json::json!([]), "everything must be read");
    json["found"].as_array().unwrap().iter().map(|line| line.as_u64().unwrap()).collect()
}

/// Both searches find every canary but those that are `gone`, and of these none; neither tells a value.
fn judge(scene: &Scene<'_>, canaries: &[Canary], gone: impl Fn(&Canary) -> bool) {
    let (due, living): (Vec<&Canary>, Vec<&Canary>) = canaries.iter().partition(|canary| gone(canary));
    for (which, wanted) in [(&due, false), (&living, true)] {
        if which.is_empty() {
            continue;
        }
        let file = file_of(scene, which.iter().map(|canary| canary.value.as_str()));
        let (found, code, said) = residue(scene, &file);
        let all: BTreeSet<u64> = if wanted { (1..=which.len() as u64).collect() } else { BTreeSet::new() };
        let differ = |found: &BTreeSet<u64>| -> Vec<&Canary> {
            found.symmetric_difference(&all).map(|line| which[usize::try_from(*line).unwrap() - 1]).take(10).collect()
        };
        assert_eq!(found, all, "residue is wrong about {:?}", differ(&found));
        assert_eq!(code, i32::from(wanted), "the exit code of {} findings", found.len());
        let told = which.iter().find(|canary| said.contains(&canary.value));
        assert!(told.is_none(), "residue tells {told:?}");
        let found = independent(scene, &file);
        assert_eq!(found, all, "the independent search is wrong about {:?}", differ(&found));
    }
}

#[test]
fn every_planted_value_is_found_by_both_searches_while_it_lives_and_no_other_is() {
    let scene = Scene::new(kafka::shared(), registry::shared().base(), &[], 2);
    let (acked, canaries, strangers) = plant(&scene, 10_000);
    assert!(canaries.len() >= 10_000, "{}", canaries.len());
    every_personal_field_is_planted(&scene, &canaries);
    let mut ebbtide = scene.start("ebbtide", &[]);
    ebbtide.ready();
    scene.caught_up(Duration::from_secs(120), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    scene.check(&[acked], "duckdb");
    judge(&scene, &canaries, |_| false);

    let file = file_of(&scene, strangers.iter().map(String::as_str));
    let (found, code, said) = residue(&scene, &file);
    assert_eq!((found.len(), code), (0, 0), "{said}");
    assert_eq!(independent(&scene, &file), BTreeSet::new());
}

/// Some canary stands in every personal field of the policy, and some will be due while others stay open.
fn every_personal_field_is_planted(scene: &Scene<'_>, canaries: &[Canary]) {
    let planted: HashSet<(&str, &str, &str)> =
        canaries.iter().map(|c| (c.product.as_str(), c.column.as_str(), c.category.as_str())).collect();
    let fields = python::run("personal_fields.py", args!["--policy", scene.policy.display()]);
    let fields: Vec<[String; 3]> = serde_json::from_str(&fields).unwrap();
    assert!(fields.len() > 80, "{}", fields.len());
    let bare: Vec<_> = fields
        .iter()
        .filter(|[product, column, category]| {
            !planted.contains(&(product.as_str(), column.as_str(), category.as_str()))
        })
        .filter(|[product, column, _]| !ENUMS.contains(&(product.as_str(), column.as_str())))
        .collect();
    assert!(bare.is_empty(), "no canary stands in {bare:?}");
    assert!(canaries.iter().any(|canary| canary.expires.is_some()) && canaries.iter().any(|c| c.expires.is_none()));
}
