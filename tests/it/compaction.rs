//! Compaction, as foreign readers see it: tables of few large segments have the same records as
//! those of many small ones.

use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::clock_ahead::living;
use ebbtide_testkit::readers::{ALL, WITH_SPARK};
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::swept::{HOUR, compact};
use ebbtide_testkit::{eventually, kafka, registry};

/// Returns the number of files that the tables list.
fn segments(scene: &Scene<'_>) -> u64 {
    let tables = std::fs::read_dir(scene.root.join("tables")).unwrap();
    let tables = tables.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let count = |table: String| {
        let said = program().run_ahead(
            0,
            args![
                "table",
                "audit",
                table,
                "--output",
                "json",
                "--root",
                scene.root.display()
            ],
        );
        let audit: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(audit["holds"], true, "{audit}");
        audit["segments"].as_u64().unwrap()
    };
    tables.map(count).sum()
}

#[test]
fn compacted_tables_are_read_back_row_for_row_by_foreign_readers() {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "voice", "email"],
        2,
    );
    scene.sections =
        "maintain:\n  orphan_age: 3650d\ncompact:\n  every: 500ms\n  late: 100ms\n".to_owned();
    // This test is not about the retention of the topics.
    scene.retention_check = "warn";
    let mut acked = Vec::new();
    let off = [
        ("EBBTIDE_COMPACT_ENABLED", "false"),
        ("EBBTIDE_SWEEP_ENABLED", "false"),
    ];
    let mut instance = scene.start("ebbtide", &off);
    instance.ready();
    for round in 0..4 {
        acked.push(
            scene
                .produce_of(round == 0, 900, 0, &format!("round {round}"))
                .finish(Duration::from_secs(60)),
        );
        scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    }
    instance.stop();
    let before = segments(&scene);
    scene.check(&acked, ALL);

    // Tomorrow, when all buckets are closed, an instance merges them without a command.
    let ahead = 30 * HOUR;
    let (name, value) = living(ahead);
    let mut instance = scene.start(
        "compacting",
        &[(name, &value), ("EBBTIDE_SWEEP_ENABLED", "false")],
    );
    eventually("small segments are merged", Duration::from_secs(60), || {
        (instance.metric("ebbtide_compactions_total") >= 3.0).then_some(())
    });
    instance.stop();
    // The command merges the rest.
    compact(&scene, ahead);

    let after = segments(&scene);
    assert!(after < before, "{before} segments became {after}");
    let said = program().run_ahead(
        0,
        args![
            "history",
            "sms",
            "--operation",
            "compact",
            "--output",
            "json",
            "--root",
            scene.root.display()
        ],
    );
    let history: Value = serde_json::from_str(&said.out).unwrap();
    assert!(
        !history["commits"].as_array().unwrap().is_empty(),
        "{history}"
    );
    scene.check(&acked, WITH_SPARK);
}
