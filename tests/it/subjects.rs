//! Numbers in the spellings of telephony systems and spreadsheets, against real Kafka: one person
//! is found and held in all of them, and values that remain text are counted.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::scene::{Scene, ScenePolicy, next_prefix};
use ebbtide_testkit::{Scratch, eventually, kafka, python, registry, repo};

/// Spellings of +31 6 12345678.
const ONE: [&str; 12] = [
    "+31612345678",
    "tel:+31-6-1234-5678",
    "tel:0612345678;phone-context=+31",
    "\"Ann\" <sip:+31612345678@ims.example.net;user=phone>",
    "sips:%2B31612345678:pw@example.net:5061",
    "+31612345678;npdi;rn=+31999",
    "'+31 (0)6\u{a0}12\u{2011}34\u{2009}56 78",
    "=\"31612345678\"",
    "31612345678.0",
    "3.1612345678E10",
    "\u{ff0b}\u{ff13}\u{ff11}612345678",
    "06-12345678",
];

/// Other numbers, and values that are not numbers: a short code, a name, a truncated numeral, an
/// extension.
const OTHERS: [&str; 6] = [
    "+31687654321",
    "30500",
    "EbbBank",
    "3.16123E+10",
    "sip:1001@pbx.example.net",
    "+3212345678",
];

#[test]
fn one_number_is_found_and_held_in_every_spelling_and_text_is_counted() {
    let (scratch, prefix) = (Scratch::new(), next_prefix());
    let topic = format!("{prefix}.probe");
    let policy = scratch.join("policy.yaml");
    let fixtures = repo().join("tests/fixtures");
    let schema = fixtures.join("probe.avsc").display().to_string();
    let text = fs::read_to_string(fixtures.join("probe.yaml")).unwrap();
    let text = text.replace("TOPIC", &topic).replace("SCHEMA", &schema);
    let home = "    subjects: { recipient: phone }\n    default_country: NL\n";
    fs::write(
        &policy,
        text.replace("    subjects: { recipient: phone }\n", home),
    )
    .unwrap();
    let recipients = scratch.join("recipients.json");
    fs::write(
        &recipients,
        serde_json::to_string(&[&ONE[..], &OTHERS[..]].concat()).unwrap(),
    )
    .unwrap();
    let scene = Scene::with_policy(
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
        "--recipients",
        recipients.display()
    ];
    python::run("spellings.py", &[to, files.to_vec()].concat());
    let mut instance = scene.start("ebbtide", &[]);
    scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);

    let series = "ebbtide_unparsed_subjects_total{product=\"probe\"} ";
    eventually(
        "what stays text is counted",
        Duration::from_secs(30),
        || {
            let metrics = instance.ask("/metrics").unwrap().1;
            metrics
                .lines()
                .find_map(|line| line.strip_prefix(series))
                .filter(|count| *count == "4")
                .map(drop)
        },
    );
    instance.stop();

    let config = scene.config();
    let found = |subject: &str| {
        let said = program().run_ahead(
            0,
            args![
                "find",
                "--subject",
                subject,
                "--output",
                "json",
                "--config",
                config.display()
            ],
        );
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        serde_json::from_str::<Value>(&said.out).unwrap()["records"]
            .as_array()
            .unwrap()
            .len()
    };
    for subject in [
        "phone:+31612345678",
        "phone:tel:+31-6-1234-5678",
        "phone:0612345678",
    ] {
        assert_eq!(found(subject), ONE.len(), "{subject}");
    }
    assert_eq!(
        (
            found("phone:+31687654321"),
            found("phone:30500"),
            found("phone:EbbBank")
        ),
        (1, 1, 1)
    );
}
