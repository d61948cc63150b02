//! `ebbtide sweep` as operators run it: it reports what it cannot do, and continues with the rest.

use std::fs;
use std::time::Duration;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{kafka, registry};

#[test]
fn a_sweep_names_an_unreadable_segment_and_sweeps_its_neighbours() {
    let mut scene = Scene::short(program(), kafka::shared(), registry::shared().base(), 1);
    scene.sections = "maintain:\n  orphan_age: 3650d\n".to_owned();
    scene
        .produce(400, 0, "damaged")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.stop();
    let mut files = walkdir::WalkDir::new(scene.root.join("tables/sms"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path());
    let segment = files
        .find(|path| path.to_string_lossy().contains("profile=") && path.is_file())
        .unwrap();
    fs::write(&segment, "damaged").unwrap();

    let ahead = 12 * 3600;
    let said = program().run_ahead(ahead, args!["sweep", "--config", scene.config().display()]);
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    assert!(
        said.out.contains("failed; the log says why\n"),
        "{}",
        said.out
    );
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(
        said.err.contains("a sweep failed") && said.err.contains(name),
        "{}",
        said.err
    );

    // The rest is in the bucket and profile of that segment, and ends with it.
    let due = program().run_ahead(
        ahead,
        args![
            "sweep",
            "--dry-run",
            "--output",
            "json",
            "--config",
            scene.config().display()
        ],
    );
    let due: serde_json::Value = serde_json::from_str(&due.out).unwrap();
    assert_eq!(due["works"].as_array().unwrap().len(), 1, "{due}");
}
