//! `ebbtide find` on tables that ingest wrote, compared with DuckDB's reading of the same tables.

use std::time::Duration;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::python::run;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{kafka, registry};

#[test]
fn everybodys_records_are_found_as_duckdb_reads_them() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms", "voice", "email"],
        2,
    );
    scene
        .produce(4000, 0, "found")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.stop();
    let (config, root) = (scene.config(), scene.root.join("tables"));
    let said = run(
        "find.py",
        args![
            "--program",
            program().path().display(),
            "--config",
            config.display(),
            "--tables",
            root.display()
        ],
    );
    let counts: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(
        counts["people"].as_u64() > Some(15) && counts["records"].as_u64() > Some(30),
        "{counts}"
    );
}
