//! Canaries: thousands of values that are stored nowhere else, planted in every personal field of
//! all products. Before they are due, `ebbtide residue` and an independent search find every one,
//! and no value that was not planted. After they are due and swept, both find none of them in any
//! byte, and still find every other one, compacted or not.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::swept::{compact, micros, sweep};
use ebbtide_testkit::{kafka, python, quoted, registry};

/// A planted value.
#[derive(Debug, Clone, Deserialize)]
struct Canary {
    value: String,
    product: String,
    column: String,
    category: String,
    /// The oracle's deadline in microseconds; none if it is open.
    expires: Option<i64>,
}

/// The fields that cannot have a canary: an enum has no unique values.
const ENUMS: [(&str, &str); 2] = [("consent", "act"), ("widget", "preferred_channel")];

/// Plants at least `values` values. Returns the file of acknowledged records, the values, and
/// values that no one produced.
fn plant(scene: &Scene<'_>, values: usize) -> (PathBuf, Vec<Canary>, Vec<String>) {
    let (out, strangers) = (
        scene.scratch.join("canaries.jsonl"),
        scene.scratch.join("strangers.txt"),
    );
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
    let strangers = fs::read_to_string(strangers)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    (out, planted, strangers)
}

/// Writes a file of values for both searches, outside the root.
fn file_of<'a>(scene: &Scene<'_>, values: impl Iterator<Item = &'a str>) -> PathBuf {
    let file = scene.scratch.join("values.txt");
    fs::write(
        &file,
        values.map(|value| format!("{value}\n")).collect::<String>(),
    )
    .unwrap();
    file
}

/// Returns the lines that `ebbtide residue` finds, its exit code, and all of its output.
fn residue(scene: &Scene<'_>, values: &Path) -> (BTreeSet<u64>, i32, String) {
    let output = Command::new(program())
        .args(["residue", "--output", "json", "--root"])
        .arg(&scene.root)
        .arg("--values")
        .arg(quoted(values))
        .output()
        .unwrap();
    // On a busy machine it reports its progress on stderr.
    let stdout = String::from_utf8(output.stdout).unwrap();
    let json: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("no JSON: {stdout}"));
    let said = stdout + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        json["unsearched"],
        serde_json::json!([]),
        "everything must be searched"
    );
    let found = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["line"].as_u64().unwrap());
    (found.collect(), output.status.code().unwrap(), said)
}

/// Returns the lines that the independent search finds.
fn independent(scene: &Scene<'_>, values: &Path) -> BTreeSet<u64> {
    let said = python::run(
        "search.py",
        args!["--root", scene.root.display(), "--values", values.display()],
    );
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        json["unread"],
        serde_json::json!([]),
        "everything must be read"
    );
    json["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_u64().unwrap())
        .collect()
}

/// Days ahead after which some deadlines of the shipped policy have passed: 90 days, 6, 12, 24
/// months, 5, 10 years.
const TIMES: [u64; 6] = [92, 190, 370, 740, 1830, 3655];

/// Asserts that both searches find exactly the canaries that are not deleted, and that `residue`
/// shows no value.
fn judge(scene: &Scene<'_>, canaries: &[Canary], is_deleted: impl Fn(&Canary) -> bool) {
    let file = file_of(scene, canaries.iter().map(|canary| canary.value.as_str()));
    let lines = canaries
        .iter()
        .zip(1..)
        .filter(|(canary, _)| !is_deleted(canary));
    let living: BTreeSet<u64> = lines.map(|(_, line)| line).collect();
    let judge = |who: &str, found: &BTreeSet<u64>| {
        let of = |line: &u64| &canaries[usize::try_from(*line).unwrap() - 1];
        let (left, lost): (Vec<_>, Vec<_>) = (
            found.difference(&living).map(of).take(10).collect(),
            living.difference(found).map(of).take(10).collect(),
        );
        assert!(
            left.is_empty() && lost.is_empty(),
            "{who}: still there: {left:#?}, deleted too early: {lost:#?}"
        );
    };
    let (found, code, said) = residue(scene, &file);
    judge("residue", &found);
    assert_eq!(code, 1, "something is found");
    let shown = canaries.iter().find(|canary| said.contains(&canary.value));
    assert!(shown.is_none(), "residue shows {shown:?}");
    judge("the independent search", &independent(scene, &file));
    // Searched alone, too: with many values, a filter that answers "maybe" has another weight.
    let due: Vec<&str> = canaries
        .iter()
        .filter(|canary| is_deleted(canary))
        .map(|canary| canary.value.as_str())
        .collect();
    if !due.is_empty() {
        let (found, code, said) = residue(scene, &file_of(scene, due.into_iter()));
        assert_eq!((found.len(), code), (0, 0), "{said}");
    }
}

/// Advances the clock, sweeps the data that is due, and searches for every canary with both
/// searches.
fn swept_away(scene: &mut Scene<'_>, canaries: &[Canary]) {
    scene.sections =
        "maintain:\n  readers_grace: 0s\n  orphan_age: 3650d\n  log_retention: 3650d\n".to_owned();
    let mut due_before = 0;
    // Tomorrow all buckets are closed. From then on, the sweeps read compacted segments.
    let did = compact(scene, 2 * 24 * 3600);
    assert!(did["merges"].as_u64().unwrap() > 0, "{did}");
    judge(scene, canaries, |_| false);
    for days in TIMES {
        let began = Instant::now();
        let ahead = days * 24 * 3600;
        let did = sweep(scene, ahead);
        let now = micros(ahead);
        let is_due = |canary: &Canary| canary.expires.is_some_and(|at| at <= now);
        judge(scene, canaries, is_due);
        scene.audit();
        let count = canaries.iter().filter(|canary| is_due(canary)).count();
        assert!(count > due_before, "by day {days} more is due than before");
        due_before = count;
        // The rest of each bucket may be merged. The next sweep deletes the files that were
        // replaced.
        compact(scene, ahead);
        println!(
            "day {days}: {count} of {} deleted, after {:?}: {did}",
            canaries.len(),
            began.elapsed()
        );
    }
    let dated = canaries
        .iter()
        .filter(|canary| canary.expires.is_some())
        .count();
    assert_eq!(due_before, dated, "every canary with a deadline is deleted");
}

#[test]
fn planted_values_are_found_while_stored_and_in_no_byte_after_the_sweep() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &[],
        2,
    );
    let (acked, canaries, strangers) = plant(&scene, 10_000);
    assert!(canaries.len() >= 10_000, "{}", canaries.len());
    every_personal_field_is_planted(&scene, &canaries);
    let mut ebbtide = scene.start("ebbtide", &[]);
    ebbtide.ready();
    scene.caught_up(Duration::from_secs(300), &mut [&mut ebbtide.process]);
    // More records in the same buckets, in a commit of their own: buckets of one commit have
    // nothing to merge.
    let beside = scene
        .produce(2000, 0, "beside")
        .finish(Duration::from_secs(60));
    scene.caught_up(Duration::from_secs(300), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    scene.check(&[acked, beside], "duckdb");
    judge(&scene, &canaries, |_| false);

    let file = file_of(&scene, strangers.iter().map(String::as_str));
    let (found, code, said) = residue(&scene, &file);
    assert_eq!((found.len(), code), (0, 0), "{said}");
    assert_eq!(independent(&scene, &file), BTreeSet::new());

    swept_away(&mut scene, &canaries);
}

/// Asserts that every personal field of the policy has a canary, and that some canaries will be due
/// and others stay open.
fn every_personal_field_is_planted(scene: &Scene<'_>, canaries: &[Canary]) {
    let planted: HashSet<(&str, &str, &str)> = canaries
        .iter()
        .map(|c| (c.product.as_str(), c.column.as_str(), c.category.as_str()))
        .collect();
    let fields = python::run(
        "personal_fields.py",
        args!["--policy", scene.policy.display()],
    );
    let fields: Vec<[String; 3]> = serde_json::from_str(&fields).unwrap();
    assert!(fields.len() > 80, "{}", fields.len());
    let bare: Vec<_> = fields
        .iter()
        .filter(|[product, column, category]| {
            !planted.contains(&(product.as_str(), column.as_str(), category.as_str()))
        })
        .filter(|[product, column, _]| !ENUMS.contains(&(product.as_str(), column.as_str())))
        .collect();
    assert!(bare.is_empty(), "no canary is in {bare:?}");
    assert!(
        canaries.iter().any(|canary| canary.expires.is_some())
            && canaries.iter().any(|c| c.expires.is_none())
    );
}
