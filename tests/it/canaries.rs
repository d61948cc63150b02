//! Canaries: thousands of values that stand nowhere else, planted over every personal field of all products. While they live,
//! `ebbtide residue` and a search that shares nothing with it find every one, and neither finds what nobody planted. Once they are
//! due and were swept, neither finds any of them in any byte, while every other is still found, compacted or not.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::args;
use crate::support::ebbtide::program;
use crate::support::scene::Scene;
use crate::support::swept::{compact, micros, sweep};
use crate::support::{kafka, python, quoted, registry};

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
        .arg(quoted(values))
        .output()
        .unwrap();
    // On a busy machine it tells its progress, on stderr.
    let told = String::from_utf8(output.stdout).unwrap();
    let json: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("no JSON: {told}"));
    let said = told + &String::from_utf8(output.stderr).unwrap();
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

/// Days ahead by which some of the shipped policy's deadlines have passed: of 90 days, 6, 12 and 24 months, 5 and 10 years.
const TIMES: [u64; 6] = [92, 190, 370, 740, 1830, 3655];

/// Both searches find every canary but those that are `gone`, and of these none; neither tells a value.
fn judge(scene: &Scene<'_>, canaries: &[Canary], gone: impl Fn(&Canary) -> bool) {
    let file = file_of(scene, canaries.iter().map(|canary| canary.value.as_str()));
    let lines = canaries.iter().zip(1..).filter(|(canary, _)| !gone(canary));
    let living: BTreeSet<u64> = lines.map(|(_, line)| line).collect();
    let judge = |who: &str, found: &BTreeSet<u64>| {
        let of = |line: &u64| &canaries[usize::try_from(*line).unwrap() - 1];
        let (left, lost): (Vec<_>, Vec<_>) =
            (found.difference(&living).map(of).take(10).collect(), living.difference(found).map(of).take(10).collect());
        assert!(left.is_empty() && lost.is_empty(), "{who}: still there: {left:#?}, gone too early: {lost:#?}");
    };
    let (found, code, said) = residue(scene, &file);
    judge("residue", &found);
    assert_eq!(code, 1, "something is found");
    let told = canaries.iter().find(|canary| said.contains(&canary.value));
    assert!(told.is_none(), "residue tells {told:?}");
    judge("the independent search", &independent(scene, &file));
    // By themselves too: among many values a filter that says "maybe" weighs otherwise.
    let due: Vec<&str> = canaries.iter().filter(|canary| gone(canary)).map(|canary| canary.value.as_str()).collect();
    if !due.is_empty() {
        let (found, code, said) = residue(scene, &file_of(scene, due.into_iter()));
        assert_eq!((found.len(), code), (0, 0), "{said}");
    }
}

/// Time goes on, what is due is swept, and both searches are asked about every canary.
fn swept_away(scene: &mut Scene<'_>, canaries: &[Canary]) {
    scene.sections = "maintain:\n  readers_grace: 0s\n  orphan_age: 3650d\n  log_retention: 3650d\n".to_owned();
    let mut gone_before = 0;
    // Tomorrow all buckets are closed: from here on the sweeps meet what was compacted.
    let did = compact(scene, 2 * 24 * 3600);
    assert!(did["merges"].as_u64().unwrap() > 0, "{did}");
    judge(scene, canaries, |_| false);
    for days in TIMES {
        let began = Instant::now();
        let ahead = days * 24 * 3600;
        let did = sweep(scene, ahead);
        let now = micros(ahead);
        let gone = |canary: &Canary| canary.expires.is_some_and(|at| at <= now);
        judge(scene, canaries, gone);
        scene.audit();
        let count = canaries.iter().filter(|canary| gone(canary)).count();
        assert!(count > gone_before, "by day {days} more is due than before");
        gone_before = count;
        // What is left of each bucket may become one; the next sweep unlinks what it was before.
        compact(scene, ahead);
        println!("day {days}: {count} of {} gone, after {:?}: {did}", canaries.len(), began.elapsed());
    }
    let dated = canaries.iter().filter(|canary| canary.expires.is_some()).count();
    assert_eq!(gone_before, dated, "every canary with a deadline is gone");
}

#[test]
fn every_planted_value_is_found_by_both_searches_while_it_lives_and_not_in_any_byte_once_it_was_swept() {
    let mut scene = Scene::new(kafka::shared(), registry::shared().base(), &[], 2);
    let (acked, canaries, strangers) = plant(&scene, 10_000);
    assert!(canaries.len() >= 10_000, "{}", canaries.len());
    every_personal_field_is_planted(&scene, &canaries);
    let mut ebbtide = scene.start("ebbtide", &[]);
    ebbtide.ready();
    scene.caught_up(Duration::from_secs(120), &mut [&mut ebbtide.process]);
    // More in the same buckets, committed for itself: of one commit each nothing could become one.
    let beside = scene.produce(2000, 0, "beside").finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(120), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    scene.check(&[acked, beside], "duckdb");
    judge(&scene, &canaries, |_| false);

    let file = file_of(&scene, strangers.iter().map(String::as_str));
    let (found, code, said) = residue(&scene, &file);
    assert_eq!((found.len(), code), (0, 0), "{said}");
    assert_eq!(independent(&scene, &file), BTreeSet::new());

    swept_away(&mut scene, &canaries);
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
