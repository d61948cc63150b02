//! The tables as foreign readers see them after every kind of rewrite, and next to other engines
//! that write to them, clean them up and make their own checkpoints.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::clock_ahead::living;
use ebbtide_testkit::python::{interpreter, run, script};
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::swept::{HOUR, Swept, micros, past_the_hour, sweep};
use ebbtide_testkit::{eventually, kafka, readers, registry};

fn sections(grace: &str, checkpoint_every: u32, log_retention: &str) -> String {
    format!(
        "maintain:\n  readers_grace: {grace}\n  orphan_age: 3650d\n  checkpoint_every: {checkpoint_every}\n  \
         log_retention: {log_retention}\n"
    )
}

/// Stores SMS and calls of the last hours. Returns the scene and the file of acknowledged records.
fn filled() -> (Scene<'static>, PathBuf) {
    let mut scene = Scene::short(program(), kafka::shared(), registry::shared().base(), 2);
    scene.sections = sections("24h", 1000, "3650d");
    let acked = scene
        .produce(3000, 0, "foreign")
        .finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
    instance.stop();
    (scene, acked)
}

/// Readers that open a table and read it only later.
struct Patient(Child);

impl Patient {
    fn open(scene: &Scene<'_>, product: &str) -> Patient {
        let table = scene.root.join("tables").join(product);
        let mut command = Command::new(interpreter());
        command.arg("-B").arg(script("patient.py")).arg(table);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "open\n");
        Patient(child)
    }

    /// Lets them read the version that they opened. Asserts that they succeed.
    fn read(mut self) {
        self.0.stdin.take().unwrap().write_all(b"read\n").unwrap();
        let status = self.0.wait().unwrap();
        assert!(
            status.success(),
            "a reader of an older version failed within the grace"
        );
    }
}

#[test]
fn foreign_readers_read_every_rewrite_and_older_versions_within_the_grace() {
    let (mut scene, acked) = filled();
    let acked = [acked];
    let hold = |scene: &Scene<'_>, ahead: u64, line: &str| -> Value {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let arguments = [
            args![
                "hold",
                "--output",
                "json",
                "--config",
                scene.config().display()
            ]
            .to_vec(),
            words,
        ]
        .concat();
        let said = program().run_ahead(ahead, &arguments);
        assert_eq!(said.code, 0, "{line}: {}{}", said.out, said.err);
        serde_json::from_str(&said.out).unwrap()
    };
    let check = |scene: &Scene<'_>, since: i64, ahead: u64, held| {
        let at = (since, micros(ahead));
        let said = Swept {
            scene,
            acked: &acked,
            at,
            held,
            settled: false,
            readers: readers::WITH_SPARK,
        }
        .check();
        println!("{said}");
        said
    };

    // Columns are dropped by byte copy.
    let mut ahead = past_the_hour(HOUR);
    let patient = ["sms", "voice"].map(|product| Patient::open(&scene, product));
    let since = micros(ahead);
    let did = sweep(&scene, ahead);
    assert!(
        did["did"]["dropped"]["content"].as_u64().unwrap() > 0,
        "{did}"
    );
    patient.into_iter().for_each(Patient::read);
    check(&scene, since, ahead, None);

    // Held records are split off.
    let held = Some(("tenant-0003", micros(ahead)));
    let placed = hold(
        &scene,
        ahead,
        "place --case 1 --basis court-order --until 2100-01-01 --tenant tenant-0003",
    );
    ahead = past_the_hour(3 * HOUR);
    let patient = ["sms", "voice"].map(|product| Patient::open(&scene, product));
    let since = micros(ahead);
    let did = sweep(&scene, ahead);
    assert!(did["did"]["held"].as_u64().unwrap() > 0, "{did}");
    patient.into_iter().for_each(Patient::read);
    check(&scene, since, ahead, held);

    // SMS end as cells, calls by removal; held records stay.
    ahead = past_the_hour(8 * HOUR);
    let patient = ["sms", "voice"].map(|product| Patient::open(&scene, product));
    let since = micros(ahead);
    let did = sweep(&scene, ahead);
    assert!(
        did["did"]["cells"].as_u64().unwrap() > 0 && did["did"]["removed"].as_u64().unwrap() > 0,
        "{did}"
    );
    patient.into_iter().for_each(Patient::read);
    let counts = check(&scene, since, ahead, held);
    assert!(
        counts["voice"]["stand"].as_u64().unwrap() > 0,
        "the held ones stand: {counts}"
    );

    // After a release, the deferred records are deleted.
    let id = placed["id"].as_str().unwrap();
    hold(&scene, ahead, &format!("release {id}"));
    let patient = ["sms", "voice"].map(|product| Patient::open(&scene, product));
    let since = micros(ahead);
    sweep(&scene, ahead);
    patient.into_iter().for_each(Patient::read);
    let counts = check(&scene, since, ahead, None);
    assert_eq!(
        (&counts["sms"]["stand"], &counts["voice"]["stand"]),
        (&0.into(), &0.into())
    );

    // A checkpoint is written; then older entries of the log and replaced files are deleted.
    scene.sections = sections("0s", 1, "1h");
    let first = |product: &str| {
        scene
            .root
            .join("tables")
            .join(product)
            .join("_delta_log/00000000000000000000.json")
    };
    assert!(first("sms").exists());
    sweep(&scene, ahead);
    assert!(
        !first("sms").exists() && !first("voice").exists(),
        "the log is cleaned"
    );
    let at = (since, micros(ahead));
    Swept {
        scene: &scene,
        acked: &acked,
        at,
        held: None,
        settled: true,
        readers: readers::WITH_SPARK,
    }
    .check();
}

#[test]
fn with_other_engines_nothing_is_lost_or_left_and_the_audit_reports_them() {
    let (mut scene, acked) = filled();
    let acked = [acked];
    let engine = |scene: &Scene<'_>, what: &str| {
        let table = scene.root.join("tables/sms");
        let said = run("engine.py", args![what, table.display()]);
        serde_json::from_str::<Value>(&said).unwrap()
    };
    let check = |scene: &Scene<'_>, since: i64, ahead: u64, settled| {
        let at = (since, micros(ahead));
        // Without Spark: this engine writes the colons of an hour unescaped, and Spark takes them
        // for a scheme.
        let counts = Swept {
            scene,
            acked: &acked,
            at,
            held: None,
            settled,
            readers: readers::ALL,
        }
        .check();
        println!("{counts}");
    };

    let appended = engine(&scene, "append")["files"].clone();
    assert_eq!(appended.as_array().unwrap().len(), 1);
    let mut ahead = past_the_hour(HOUR);
    let since = micros(ahead);
    sweep(&scene, ahead);
    check(&scene, since, ahead, false);

    engine(&scene, "checkpoint");
    ahead = past_the_hour(2 * HOUR);
    let since = micros(ahead);
    sweep(&scene, ahead);
    check(&scene, since, ahead, false);

    // Deletes replaced files before the readers' grace is over. Ebbtide finds them missing and
    // continues.
    let vacuumed = engine(&scene, "vacuum");
    assert!(vacuumed["deleted"].as_u64().unwrap() > 0, "{vacuumed}");
    ahead = past_the_hour(4 * HOUR);
    let since = micros(ahead);
    sweep(&scene, ahead);
    check(&scene, since, ahead, false);

    // A running instance reports that there is a file that it does not sweep.
    let (name, value) = living(ahead);
    let mut instance = scene.start("ebbtide", &[(name, &value)]);
    eventually("the unswept file shows", Duration::from_secs(90), || {
        (instance.metric("ebbtide_unswept_files") == 1.0).then_some(())
    });
    instance.stop();

    engine(&scene, "checkpoint");
    // The entries stay: only the entry of another engine shows how many rows it added, and the
    // audit needs it.
    scene.sections = sections("0s", 1, "3650d");
    ahead = past_the_hour(9 * HOUR);
    let since = micros(ahead);
    sweep(&scene, ahead);
    sweep(&scene, ahead);
    check(&scene, since, ahead, true);
    let file = scene
        .root
        .join("tables/sms")
        .join(appended[0].as_str().unwrap());
    assert!(
        file.exists(),
        "what another engine appended is never deleted"
    );
    let audit = program().run_ahead(
        0,
        args![
            "table",
            "audit",
            "sms",
            "--output",
            "json",
            "--root",
            scene.root.display()
        ],
    );
    let audit: Value = serde_json::from_str(&audit.out).unwrap();
    assert_eq!(
        (&audit["holds"], &audit["foreign_rows"]),
        (&true.into(), &5.into()),
        "{audit}"
    );
}
