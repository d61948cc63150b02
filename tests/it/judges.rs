//! Tests of the judges: the comparison with what was produced must refuse lost, repeated, changed
//! and unknown records, and the audit must refuse a table whose file is missing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{kafka, python, registry};

/// Returns what the comparison says of the scene's tables if `lines` had been acknowledged.
fn verdict(scene: &Scene<'_>, lines: &[Value]) -> String {
    let acked = scene.scratch.join("tampered.jsonl");
    fs::write(
        &acked,
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
    .unwrap();
    let dead = scene.dead_letters().1;
    let arguments = args![
        "--root",
        scene.root.display(),
        "--policy",
        scene.policy.display(),
        "--acked",
        acked.display(),
        "--dead",
        dead.display(),
        "--readers",
        "duckdb"
    ];
    String::from_utf8(python::try_run("compare.py", arguments).stderr).unwrap()
}

#[test]
fn comparison_fails_on_lost_repeated_changed_and_unknown_records() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    let acked = scene
        .produce(100, 0, "judged")
        .finish(Duration::from_secs(60));
    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let lines: Vec<Value> = fs::read_to_string(acked)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(verdict(&scene, &lines), "");
    let good = lines
        .iter()
        .position(|line| !line["record"].is_null())
        .unwrap();

    let mut changed = lines.clone();
    changed[good]["record"]["route"] = "another".into();
    assert!(verdict(&scene, &changed).contains("route is"));
    let mut lost = lines.clone();
    lost.push(lines[good].clone());
    lost.last_mut().unwrap()["offset"] = 1_000_000.into();
    assert!(verdict(&scene, &lost).contains("LOST"));
    let mut fewer = lines.clone();
    fewer.remove(good);
    assert!(verdict(&scene, &fewer).contains("no producer sent this"));

    let table = scene.root.join("tables/sms");
    python::run("double_a_row.py", args![table.display()]);
    assert!(verdict(&scene, &lines).contains("is stored 2 times"));
}

#[test]
fn audit_fails_on_a_table_with_a_missing_file() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    scene
        .produce(50, 0, "audited")
        .finish(Duration::from_secs(60));
    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    scene.audit();
    let files = walkdir::WalkDir::new(scene.root.join("tables/sms"))
        .into_iter()
        .filter_map(Result::ok);
    let is_data = |path: &Path| {
        path.extension().is_some_and(|e| e == "parquet")
            && !path.to_string_lossy().contains("_delta")
    };
    let file = files
        .map(|entry| entry.into_path())
        .find(|path| is_data(path))
        .unwrap();
    fs::remove_file(file).unwrap();
    let audit = Command::new(program())
        .args(["table", "audit", "sms", "--root"])
        .arg(&scene.root)
        .output()
        .unwrap();
    assert_eq!(
        audit.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&audit.stdout)
    );
}
