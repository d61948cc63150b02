//! Bad messages of many kinds between good ones: each is a dead letter with its code and its bytes,
//! and nowhere else.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::readers::ALL;
use ebbtide_testkit::scene::{Scene, ScenePolicy, next_prefix};
use ebbtide_testkit::{Scratch, kafka, python, registry, repo};

fn lines(path: &std::path::Path) -> Vec<Value> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn bad_input_is_a_dead_letter_by_its_code_and_its_neighbours_are_stored() {
    let (scratch, prefix) = (Scratch::new(), next_prefix());
    let topic = format!("{prefix}.probe");
    let policy = scratch.join("policy.yaml");
    let fixtures = repo().join("tests/fixtures");
    let schema = fixtures.join("probe.avsc").display().to_string();
    let text = fs::read_to_string(fixtures.join("probe.yaml")).unwrap();
    fs::write(
        &policy,
        text.replace("TOPIC", &topic).replace("SCHEMA", &schema),
    )
    .unwrap();
    let mut scene = Scene::with_policy(
        program(),
        kafka::shared(),
        registry::shared().base(),
        ScenePolicy {
            scratch,
            path: policy,
            topics: vec![topic],
            prefix,
            partitions: 1,
        },
    );
    // The log of every crate is searched for values of records.
    scene.log_level = "debug";
    let (acked, bad) = (
        scene.scratch.join("good.jsonl"),
        scene.scratch.join("bad.jsonl"),
    );
    let to = args![
        "--bootstrap",
        scene.kafka.bootstrap(),
        "--registry",
        scene.registry
    ]
    .to_vec();
    let files = args![
        "--policy",
        scene.policy.display(),
        "--out",
        acked.display(),
        "--bad",
        bad.display()
    ];
    python::run("bad_input.py", &[to, files.to_vec()].concat());
    let bad = lines(&bad);
    assert!(bad.len() >= 20, "{} kinds", bad.len());

    let mut ebbtide = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(300), &mut [&mut ebbtide.process]);
    let metrics = ebbtide.ask("/metrics").unwrap().1;
    ebbtide.stop();

    let (letters, _) = scene.dead_letters();
    let mut wrong = judge(&bad, &letters, &scene.topics[0]);
    wrong.extend(leaks(
        &lines(&acked),
        &[("log", &ebbtide.process.log()), ("metrics", &metrics)],
    ));
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let counts = scene.check(&[acked], ALL);
    assert_eq!(counts["stored"]["duckdb"], 2 * bad.len(), "{counts}");
}

/// Returns the errors in the dead letters of `bad`.
fn judge(bad: &[Value], letters: &[Value], topic: &str) -> Vec<String> {
    let place = |letter: &Value| {
        (
            letter["headers"]["ebbtide.partition"].clone(),
            letter["headers"]["ebbtide.offset"].clone(),
        )
    };
    let by_place: HashMap<_, _> = letters
        .iter()
        .map(|letter| (place(letter), letter))
        .collect();
    let mut wrong = Vec::new();
    for message in bad {
        let kind = message["kind"].as_str().unwrap();
        let at = (
            message["partition"].to_string().into(),
            message["offset"].to_string().into(),
        );
        let Some(letter) = by_place.get(&at) else {
            wrong.push(format!("{kind}: no dead letter"));
            continue;
        };
        let headers = &letter["headers"];
        if !message["codes"]
            .as_array()
            .unwrap()
            .contains(&headers["ebbtide.code"])
        {
            wrong.push(format!(
                "{kind}: code {}, not one of {}",
                headers["ebbtide.code"], message["codes"]
            ));
        }
        if headers["ebbtide.topic"] != topic || headers["ebbtide.timestamp"].is_null() {
            wrong.push(format!("{kind}: headers {headers}"));
        }
        if headers["trace"] != message["trace"]
            || letter["value"] != message["value"]
            || letter["key"].is_null()
        {
            wrong.push(format!(
                "{kind}: its bytes, key or own headers are not kept"
            ));
        }
    }
    if by_place.len() != bad.len() {
        wrong.push(format!(
            "{} dead letters for {} bad messages",
            by_place.len(),
            bad.len()
        ));
    }
    wrong
}

/// Returns the values of records that `texts` contain.
fn leaks(records: &[Value], texts: &[(&str, &str)]) -> Vec<String> {
    let mut values = BTreeSet::new();
    for line in records {
        for (column, value) in line["record"].as_object().into_iter().flatten() {
            // A status is one of two words, and a time identifies no one.
            if column != "status" && column != "at" {
                collect(value, &mut values);
            }
        }
    }
    values.extend(["marker-json-body", "marker-plain-text", "marker-left-over"].map(str::to_owned));
    assert!(values.len() > 100, "{} values to look for", values.len());
    let found = |(name, text): &(&str, &str)| -> Vec<String> {
        assert!(
            text.len() > 500,
            "the {name} is not what it should be: {text}"
        );
        values
            .iter()
            .filter(|value| text.contains(*value))
            .map(|v| format!("the {name} holds {v:?}"))
            .collect()
    };
    texts.iter().flat_map(found).collect()
}

/// Collects every text of a value that is too long to occur by chance.
fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if text.chars().count() >= 6 => {
            into.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
        Value::Object(entries) => entries.values().for_each(|item| collect(item, into)),
        _ => {}
    }
}
