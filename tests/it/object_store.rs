//! The program with its tables in a real object store: what comes from Kafka lands there, what is due goes from there, and
//! other engines read it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::args;
use crate::support::python::{interpreter, script};
use crate::support::scene::Scene;
use crate::support::swept::{Said, ebbtide};
use crate::support::{eventually, kafka, minio, registry};

const HOUR: u64 = 3600;
const PRODUCTS: [&str; 2] = ["sms", "voice"];

/// A scene whose root is in the bucket.
fn scene() -> Scene<'static> {
    let store = minio::shared();
    let mut scene = Scene::short(kafka::shared(), registry::shared().base(), 2);
    scene.root = store.place().into();
    scene.sections = format!("maintain:\n  readers_grace: 1s\n  checkpoint_every: 3\n{}", store.section());
    scene
}

fn asked(scene: &Scene<'_>, ahead: u64, words: &[String]) -> Said {
    ebbtide(ahead, &[words, args!["--config", scene.config().display()]].concat())
}

fn well(said: Said) -> String {
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(!said.err.contains(minio::KEY), "a secret is told: {}", said.err);
    said.out
}

/// Whether the tables are committed to the ends of all partitions.
fn caught_up(scene: &Scene<'_>) -> bool {
    let mut next = BTreeSet::new();
    for product in PRODUCTS {
        let seen = asked(scene, 0, args!["table", "show", product, "--output", "json"]);
        let Ok(seen) = serde_json::from_str::<Value>(&seen.out) else { return false };
        for partition in seen["partitions"].as_array().into_iter().flatten() {
            let (topic, number) = (partition["topic"].as_str().unwrap(), partition["partition"].as_u64().unwrap());
            next.insert((topic.to_owned(), usize::try_from(number).unwrap(), partition["next"].as_i64().unwrap()));
        }
    }
    let ends = scene.kafka.ends(&scene.topics);
    let mut ends =
        ends.iter().flat_map(|(topic, ends)| ends.iter().enumerate().map(move |(at, end)| (topic, at, *end)));
    ends.all(|(topic, partition, end)| next.contains(&(topic.clone(), partition, end)))
}

/// Other engines read, row for row, what was acknowledged.
fn compared(scene: &Scene<'_>, acked: &Path) {
    let (_, dead) = scene.dead_letters();
    let store = minio::shared();
    let compared = Command::new(interpreter())
        .arg("-B")
        .arg(script("compare.py"))
        .args(args![
            "--root",
            scene.root.display(),
            "--policy",
            scene.policy.display(),
            "--readers",
            "deltalake,polars"
        ])
        .args(args!["--acked", acked.display(), "--dead", dead.display()])
        .env("AWS_ENDPOINT_URL", store.endpoint())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", minio::KEY)
        .env("AWS_SECRET_ACCESS_KEY", minio::KEY)
        .output()
        .unwrap();
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
}

#[test]
fn records_land_in_a_bucket_exactly_once_and_what_is_due_goes_from_every_object() {
    let scene = scene();
    let mut producer = scene.produce(4000, 800, "bucket");
    // Killed while it commits.
    let mut killed = scene.start("killed", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    killed.ready();
    std::thread::sleep(Duration::from_secs(3));
    killed.process.kill();
    let acked = producer.finish(Duration::from_secs(60));
    let mut instance = scene.start("ebbtide", &[("EBBTIDE_SWEEP_ENABLED", "false")]);
    eventually("all is committed", Duration::from_secs(90), || {
        assert!(instance.process.ended().is_none(), "ebbtide ended:\n{}", instance.process.tail());
        caught_up(&scene).then_some(())
    });
    instance.stop();
    compared(&scene, &acked);
    PRODUCTS.iter().for_each(|product| drop(well(asked(&scene, 0, args!["table", "audit", product]))));

    let lines = std::fs::read_to_string(&acked).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let bodies = lines.filter_map(|line| line["record"]["body"].as_str().map(str::to_owned));
    let bodies: BTreeSet<String> = bodies.filter(|body| body.len() >= 20 && !body.contains('\n')).take(300).collect();
    assert!(bodies.len() > 50);
    let values = scene.scratch.join("values");
    std::fs::write(&values, bodies.into_iter().collect::<Vec<_>>().join("\n")).unwrap();
    let search = args!["residue", "--values", values.display()];
    assert_eq!(asked(&scene, 0, search).code, 1, "nothing is found of what is stored");

    // Whoever is told of the bucket by the configuration alone reaches it as that says.
    well(asked(&scene, 0, args!["compact", "--dry-run"]));
    well(asked(&scene, 0, args!["compact"]));
    well(asked(&scene, 0, args!["contract", "list"]));
    well(asked(&scene, 12 * HOUR, args!["sweep"]));
    // Once more, when the readers of what was replaced have had their second.
    std::thread::sleep(Duration::from_secs(2));
    well(asked(&scene, 12 * HOUR + 60, args!["sweep"]));
    well(asked(&scene, 0, search));
    PRODUCTS.iter().for_each(|product| drop(well(asked(&scene, 0, args!["table", "audit", product]))));
}
