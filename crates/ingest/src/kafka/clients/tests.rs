use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::*;
use ebbtide_config::ConfigInputs;

/// Returns a configuration with those properties, each a line of YAML.
fn config(properties: &[&str], variables: &[(&str, &str)]) -> Config {
    let lines: String = properties
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect();
    let text = format!(
        "policy: p.yaml\nroot: /data\nkafka:\n  bootstrap_servers: localhost:9092\n  properties:\n    client.id: x\n{lines}"
    );
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let checked = Config::parse(
        "e.yaml",
        &text,
        &ConfigInputs {
            variables,
            folder: PathBuf::new(),
        },
    );
    checked
        .config
        .unwrap_or_else(|| panic!("{:?}", checked.problems))
}

fn refused(properties: &[&str], variables: &[(&str, &str)]) -> String {
    refused_properties(&config(properties, variables))
        .iter()
        .map(|refused| format!("{refused}\n"))
        .collect()
}

const LANE: ClientRole = ClientRole::Lane {
    number: 3,
    queue_bytes: 8 << 20,
};
const ALL: [ClientRole; 4] = [
    LANE,
    ClientRole::Notices,
    ClientRole::DeadLetters,
    ClientRole::Admin,
];

fn values(properties: &[&str], role: ClientRole) -> BTreeMap<String, String> {
    client_config(&config(properties, &[]).kafka, role)
        .config_map()
        .iter()
        .map(|(k, v)| ((*k).into(), (*v).into()))
        .collect()
}

#[test]
fn a_wrong_property_is_found_by_itself_and_no_secret_is_quoted() {
    let properties = [
        "security.protocol: { env: MODE }",
        "session.timeout.ms: soon",
        "sasl.passwrod: hunter2",
    ];
    let found = refused(&properties, &[("MODE", "hunter2")]);
    assert!(!found.contains("hunter2"), "{found}");
    insta::assert_snapshot!(found, @r#"
    kafka.properties.sasl.passwrod: No such configuration property: "sasl.passwrod"
    kafka.properties.security.protocol: its value is refused
    kafka.properties.session.timeout.ms: Invalid value for configuration property "session.timeout.ms"
    "#);
}

#[test]
fn properties_that_conflict_are_found_in_the_client_that_has_both() {
    for (properties, name, part) in [
        (
            &["ssl.ca.location: /nowhere/ca.pem", "security.protocol: ssl"][..],
            "ssl.ca.location",
            "ssl.ca.location",
        ),
        (
            &["partition.assignment.strategy: 'cooperative-sticky,range'"],
            "partition.assignment.strategy",
            "consumer",
        ),
        (
            &[
                "reconnect.backoff.ms: 5000",
                "reconnect.backoff.max.ms: 100",
            ],
            "reconnect.backoff.max.ms",
            "must be >=",
        ),
        (
            &["queue.buffering.backpressure.threshold: 7"],
            "queue.buffering.backpressure.threshold",
            "dead letters",
        ),
        (
            &["fetch.max.bytes: 1000"],
            "fetch.max.bytes",
            "message.max.bytes",
        ),
    ] {
        let found = refused(properties, &[]);
        assert!(
            found.starts_with(&format!("kafka.properties.{name}: ")) && found.contains(part),
            "{properties:?}: {found}"
        );
    }
}

#[test]
fn valid_properties_are_accepted_in_either_group_protocol() {
    for properties in [
        &[][..],
        &["group.protocol: consumer"],
        &[
            "group.protocol: consumer",
            "group.remote.assignor: range",
            "max.poll.interval.ms: 20000",
        ],
        &[
            "group.protocol: classic",
            "session.timeout.ms: 10000",
            "partition.assignment.strategy: cooperative-sticky",
        ],
        &[
            "receive.message.max.bytes: 2097152",
            "fetch.wait.max.ms: 50",
            "linger.ms: 0.5",
            "compression.type: zstd",
        ],
        &[
            "group.instance.id: pod-1",
            "statistics.interval.ms: 1000",
            "acks: all",
            "isolation.level: read_committed",
        ],
    ] {
        assert_eq!(refused(properties, &[]), "", "{properties:?}");
    }
}

#[test]
fn the_consumer_protocol_gets_no_default_of_the_classic_one() {
    let classic = values(&[], LANE);
    assert_eq!(
        (
            classic["session.timeout.ms"].as_str(),
            classic["partition.assignment.strategy"].as_str()
        ),
        ("30000", "roundrobin")
    );
    for role in [LANE, ClientRole::Notices] {
        let new = values(&["group.protocol: consumer"], role);
        for name in [
            "session.timeout.ms",
            "partition.assignment.strategy",
            "heartbeat.interval.ms",
        ] {
            assert!(!new.contains_key(name), "{role:?} {name}");
        }
        assert_eq!(new["group.protocol"], "consumer");
    }
}

#[test]
fn consumers_look_for_new_topics_every_ten_seconds_unless_the_operator_decides() {
    const INTERVAL: &str = "topic.metadata.refresh.interval.ms";
    for role in [LANE, ClientRole::Notices] {
        assert_eq!(values(&[], role)[INTERVAL], "10000", "{role:?}");
        let chosen = values(&["topic.metadata.refresh.interval.ms: 60000"], role);
        assert_eq!(chosen[INTERVAL], "60000", "{role:?}");
    }
}

#[test]
fn age_of_metadata_is_limited_to_the_longest_that_the_client_can_count() {
    const AGE: &str = "metadata.max.age.ms";
    let cases: [(&[&str], Option<&str>); 5] = [
        (&["topic.metadata.refresh.interval.ms: 715827"], None),
        (
            &["topic.metadata.refresh.interval.ms: 715828"],
            Some("2147483"),
        ),
        (&["topic.metadata.refresh.interval.ms: -1"], None),
        (&["metadata.max.age.ms: 2147483"], Some("2147483")),
        (&["metadata.max.age.ms: 86400000"], Some("2147483")),
    ];
    for (properties, expected) in cases {
        for role in ALL {
            let found = values(properties, role);
            assert_eq!(
                found.get(AGE).map(String::as_str),
                expected,
                "{properties:?} {role:?}"
            );
        }
    }
}

#[test]
fn each_member_of_a_group_has_an_id_of_its_own() {
    let id = ["group.instance.id: pod-1"];
    let other = ClientRole::Lane {
        number: 0,
        queue_bytes: 1,
    };
    let ids: Vec<_> = [LANE, other, ClientRole::Notices]
        .map(|role| values(&id, role)["group.instance.id"].clone())
        .into();
    assert_eq!(ids, ["pod-1-lane-3", "pod-1-lane-0", "pod-1-notices"]);
    for role in [ClientRole::DeadLetters, ClientRole::Admin] {
        assert!(
            !values(&id, role).contains_key("group.instance.id"),
            "{role:?}"
        );
    }
}

#[test]
fn a_client_gets_no_property_that_it_does_not_use() {
    let given = [
        "security.protocol: plaintext",
        "fetch.min.bytes: 1",
        "max.partition.fetch.bytes: 2000000",
        "queued.min.messages: 10",
        "linger.ms: 1",
        "compression.codec: zstd",
        "heartbeat.interval.ms: 1000",
        "check.crcs: true",
        "retries: 3",
    ];
    for role in ALL {
        let names = values(&given, role);
        let is_consumer = matches!(role, ClientRole::Lane { .. } | ClientRole::Notices);
        for (name, expected) in [
            ("security.protocol", true),
            ("bootstrap.servers", true),
            ("client.id", true),
            ("fetch.min.bytes", is_consumer),
            ("fetch.message.max.bytes", is_consumer),
            ("check.crcs", is_consumer),
            ("queued.min.messages", role == LANE),
            ("linger.ms", role == ClientRole::DeadLetters),
            ("compression.type", role == ClientRole::DeadLetters),
            ("retries", role == ClientRole::DeadLetters),
        ] {
            assert_eq!(names.contains_key(name), expected, "{role:?} {name}");
        }
    }
}

/// Records the library's messages about properties that a client does not use.
#[derive(Clone, Default)]
struct Complaints(Arc<Mutex<Vec<String>>>);

impl ClientContext for Complaints {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "CONFWARN" && !message.contains("bootstrap.servers") {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
}

impl ConsumerContext for Complaints {}

impl ProducerContext for Complaints {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, (): ()) {}
}

#[test]
fn the_library_has_no_complaint_about_the_properties_of_any_client() {
    let consumers = "fetch.min.bytes: 1, check.crcs: true, max.poll.interval.ms: 400000, fetch.error.backoff.ms: 100";
    let producers =
        "linger.ms: 1, retries: 9, batch.size: 1000, partitioner: random, request.timeout.ms: 5000";
    let lines: Vec<&str> = consumers.split(", ").chain(producers.split(", ")).collect();
    let config = config(&lines, &[]);
    for role in [LANE, ClientRole::Notices, ClientRole::DeadLetters] {
        let mut client = client_config(&config.kafka, role);
        client.remove("bootstrap.servers");
        client.remove("group.id");
        let complaints = Complaints::default();
        if role == ClientRole::DeadLetters {
            drop(
                client
                    .create_with_context::<_, BaseProducer<_>>(complaints.clone())
                    .unwrap(),
            );
        } else {
            drop(
                client
                    .create_with_context::<_, BaseConsumer<_>>(complaints.clone())
                    .unwrap(),
            );
        }
        assert_eq!(
            *complaints.0.lock().unwrap(),
            Vec::<String>::new(),
            "{role:?}"
        );
    }
}

#[test]
fn a_clients_own_complaint_would_quote_the_secret() {
    let mut config = client_config(&config(&["sasl.passwrod: hunter2"], &[]).kafka, LANE);
    let complaint = config
        .set("group.id", "g")
        .create_native_config()
        .err()
        .map(|error| error.to_string());
    assert!(
        complaint.is_some_and(|complaint| complaint.contains("hunter2")),
        "the check is no longer needed"
    );
}
