//! A file that cannot be deleted: everything else is deleted, and every report shows that it still
//! exists.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::clock_ahead::living;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, kafka, registry};

/// Returns the files of rows of a product.
fn files(scene: &Scene<'_>, product: &str) -> Vec<PathBuf> {
    let table = walkdir::WalkDir::new(scene.root.join("tables").join(product));
    let all = table.into_iter().map(|entry| entry.unwrap().into_path());
    all.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "parquet")
    })
    .collect()
}

fn attribute(sign: &str, file: &Path) -> bool {
    Command::new("chattr")
        .arg(sign)
        .arg(file)
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Keeps a file immutable until it is dropped.
struct Immutable(PathBuf);

impl Drop for Immutable {
    fn drop(&mut self) {
        attribute("-i", &self.0);
    }
}

#[test]
fn immutable_segment_is_reported_until_it_is_deleted() {
    let mut scene = Scene::short(program(), kafka::shared(), registry::shared().base(), 1);
    scene.sections =
        "maintain:\n  readers_grace: 1s\n  orphan_age: 3650d\nsweep:\n  every: 500ms\n".to_owned();
    scene
        .produce(400, 0, "immutable")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.stop();
    let before = files(&scene, "sms");
    let kept = before[0].clone();
    if !attribute("+i", &kept) {
        eprintln!(
            "SKIPPED: this file system or user cannot make {} immutable (chattr +i)",
            kept.display()
        );
        return;
    }
    let immutable = Immutable(kept.clone());

    // All of the data is due in twelve hours.
    let ahead = 12 * 3600;
    let (name, value) = living(ahead);
    let mut instance = scene.start("sweeping", &[(name, &value)]);
    let reason = eventually(
        "the instance says that a file stays",
        Duration::from_secs(90),
        || {
            assert!(
                instance.process.ended().is_none(),
                "ebbtide ended:\n{}",
                instance.process.tail()
            );
            let (status, body) = instance.ask("/readyz")?;
            let body: Value = serde_json::from_str(&body).ok()?;
            let trouble = body["troubles"]
                .as_array()?
                .iter()
                .find(|trouble| trouble["part"] == "files/sms")?;
            assert_eq!(status, 503);
            Some(trouble["reason"].as_str()?.to_owned())
        },
    );
    assert!(
        reason.starts_with("1 file of sms should be deleted and still exist"),
        "{reason}"
    );
    assert_eq!(instance.metric("ebbtide_unlink_overdue_files"), 1.0);
    assert!(instance.metric("ebbtide_unlink_failures_total") >= 1.0);
    eventually(
        "every other file is deleted",
        Duration::from_secs(60),
        || {
            before
                .iter()
                .all(|file| *file == kept || !file.exists())
                .then_some(())
        },
    );

    // An instance that does not sweep counts the file too, and so do the commands.
    let mut other = scene.start(
        "other",
        &[(name, &value), ("EBBTIDE_SWEEP_ENABLED", "false")],
    );
    eventually(
        "another instance counts it",
        Duration::from_secs(60),
        || {
            assert!(
                other.process.ended().is_none(),
                "ebbtide ended:\n{}",
                other.process.tail()
            );
            (other.metric("ebbtide_unlink_overdue_files") == 1.0).then_some(())
        },
    );
    other.stop();
    let config = scene.config();
    let swept = program().run_ahead(ahead + 60, args!["sweep", "--config", config.display()]);
    assert_eq!(swept.code, 1, "{}{}", swept.out, swept.err);
    let name = kept.file_name().unwrap().to_str().unwrap();
    assert!(
        swept.out.contains("1 file could not be deleted") && swept.out.contains(name),
        "{}",
        swept.out
    );
    for command in ["show", "audit"] {
        let said = program().run_ahead(
            ahead + 60,
            args!["table", command, "sms", "--config", config.display()],
        );
        assert!(
            said.out.contains("UNDELETED 1 file should be deleted"),
            "{command}: {}",
            said.out
        );
    }

    drop(immutable);
    eventually("the file is deleted", Duration::from_secs(60), || {
        (!kept.exists()).then_some(())
    });
    eventually(
        "the instance is ready again",
        Duration::from_secs(60),
        || (instance.metric("ebbtide_unlink_overdue_files") == 0.0).then_some(()),
    );
    instance.ready();
    instance.stop();
    assert_eq!(
        program()
            .run_ahead(ahead + 120, args!["sweep", "--config", config.display()])
            .code,
        0
    );
}
