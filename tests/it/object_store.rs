//! The program with its tables in a real object store: records from Kafka are stored there, expired
//! data is deleted there, and other engines read it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::ProcessOutput;
use ebbtide_testkit::args;
use ebbtide_testkit::azurite::Azurite;
use ebbtide_testkit::bucket::BucketSettings;
use ebbtide_testkit::clock_ahead::living;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::python::{interpreter, script};
use ebbtide_testkit::scene::{KILLED_IN_BETWEEN, Scene};
use ebbtide_testkit::swept::HOUR;
use ebbtide_testkit::{eventually, kafka, minio, quoted, registry};

const PRODUCTS: [&str; 2] = ["sms", "voice"];

/// A scene whose tables are in a bucket.
struct Stage {
    scene: Scene<'static>,
    bucket: BucketSettings,
}

impl Stage {
    fn new(bucket: BucketSettings) -> Self {
        let mut scene = Scene::short(program(), kafka::shared(), registry::shared().base(), 2);
        scene.root = bucket.place.clone().into();
        scene.sections = format!(
            "maintain:\n  readers_grace: 1s\n  checkpoint_every: 3\n{}",
            bucket.section
        );
        Self { scene, bucket }
    }

    /// Starts an instance that does not sweep.
    fn start(&self, name: &str) -> Ebbtide {
        let given = self
            .bucket
            .environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        self.scene.start(
            name,
            &given
                .chain([("EBBTIDE_SWEEP_ENABLED", "false")])
                .collect::<Vec<_>>(),
        )
    }

    fn asked(&self, ahead: u64, words: &[String]) -> ProcessOutput {
        let given = self
            .bucket
            .environment
            .iter()
            .map(|(name, value)| (*name, value.clone()));
        program().run_with(
            given.chain([living(ahead)]),
            &[words, args!["--config", self.scene.config().display()]].concat(),
        )
    }

    /// Runs a subcommand that must succeed. Returns its output.
    fn well(&self, ahead: u64, words: &[String]) -> String {
        let said = self.asked(ahead, words);
        assert_eq!(said.code, 0, "{words:?}: {}{}", said.out, said.err);
        assert!(
            !said.err.contains(self.bucket.secret),
            "a secret is shown: {}",
            said.err
        );
        said.out
    }

    fn audited(&self) {
        PRODUCTS
            .iter()
            .for_each(|product| drop(self.well(0, args!["table", "audit", product])));
    }

    /// Returns true if the tables are committed to the ends of all partitions.
    fn caught_up(&self) -> bool {
        let mut next = BTreeSet::new();
        for product in PRODUCTS {
            let seen = self.asked(0, args!["table", "show", product, "--output", "json"]);
            let Ok(seen) = serde_json::from_str::<Value>(&seen.out) else {
                return false;
            };
            for partition in seen["partitions"].as_array().into_iter().flatten() {
                let (topic, number) = (
                    partition["topic"].as_str().unwrap(),
                    partition["partition"].as_u64().unwrap(),
                );
                next.insert((
                    topic.to_owned(),
                    usize::try_from(number).unwrap(),
                    partition["next"].as_i64().unwrap(),
                ));
            }
        }
        let ends = self.scene.kafka.ends(&self.scene.topics);
        let mut ends = ends.iter().flat_map(|(topic, ends)| {
            ends.iter()
                .enumerate()
                .map(move |(at, end)| (topic, at, *end))
        });
        ends.all(|(topic, partition, end)| next.contains(&(topic.clone(), partition, end)))
    }

    /// Asserts that other engines read, row for row, the acknowledged records.
    fn compared(&self, acked: &Path, readers: &str) {
        let (scene, (_, dead)) = (&self.scene, self.scene.dead_letters());
        let (root, policy) = (scene.root.display(), scene.policy.display());
        let compared = Command::new(interpreter())
            .arg("-B")
            .arg(script("compare.py"))
            .args(args![
                "--root",
                root,
                "--policy",
                policy,
                "--readers",
                readers
            ])
            .args(args!["--acked", acked.display(), "--dead", dead.display()])
            .envs(
                self.bucket
                    .readers
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            )
            .output()
            .unwrap();
        assert!(
            compared.status.success(),
            "{}",
            String::from_utf8_lossy(&compared.stderr)
        );
    }
}

/// Asserts that records are stored exactly once, that other engines read them, and that expired
/// data leaves every object.
fn land_and_go(bucket: BucketSettings, readers: &str) {
    let stage = Stage::new(bucket);
    let mut producer = stage.scene.produce(4000, 800, "bucket");
    // Killed while it commits.
    let mut killed = stage.start("killed");
    killed.ready();
    std::thread::sleep(Duration::from_secs(3));
    killed.process.kill();
    let acked = producer.finish(Duration::from_secs(60));
    let mut instance = stage.start("ebbtide");
    eventually("all is committed", KILLED_IN_BETWEEN, || {
        assert!(
            instance.process.ended().is_none(),
            "ebbtide ended:\n{}",
            instance.process.tail()
        );
        stage.caught_up().then_some(())
    });
    instance.stop();
    stage.compared(&acked, readers);
    stage.audited();

    let lines = std::fs::read_to_string(&acked).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let bodies = lines.filter_map(|line| line["record"]["body"].as_str().map(str::to_owned));
    let bodies: BTreeSet<String> = bodies
        .filter(|body| body.len() >= 20 && !body.contains('\n'))
        .take(300)
        .collect();
    assert!(bodies.len() > 50);
    let values = stage.scene.scratch.join("values");
    std::fs::write(&values, bodies.into_iter().collect::<Vec<_>>().join("\n")).unwrap();
    let search = args!["residue", "--values", quoted(&values).display()];
    assert_eq!(
        stage.asked(0, search).code,
        1,
        "nothing is found of what is stored"
    );

    // A command that finds the bucket only in the configuration reaches it with the configuration's
    // settings.
    stage.well(0, args!["compact", "--dry-run"]);
    stage.well(0, args!["compact"]);
    stage.well(0, args!["contract", "list"]);
    stage.well(12 * HOUR, args!["sweep"]);
    // Again, after the readers' grace of one second for the replaced files.
    std::thread::sleep(Duration::from_secs(2));
    stage.well(12 * HOUR + 60, args!["sweep"]);
    stage.well(0, search);
    stage.audited();
}

#[test]
fn bucket_stores_records_exactly_once_and_due_data_is_in_no_object() {
    land_and_go(minio::shared().bucket(), "deltalake,polars");
}

#[test]
#[ignore = "needs npm: make clouds"]
fn so_they_do_in_the_emulator_of_azure() {
    let azure = Azurite::start();
    land_and_go(azure.bucket(), "deltalake,polars");
}
