//! Properties of the Kafka client library as an operator sets them: which are refused, and under
//! which name each is accepted.

use super::*;

/// Checks a file whose Kafka properties are those lines, from line 6 on.
fn of_properties(properties: &[&str]) -> CheckedConfig {
    let lines: String = properties
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect();
    let text = format!(
        "policy: p.yaml\nroot: /data\nkafka:\n  bootstrap_servers: a:1\n  properties:\n{lines}"
    );
    parse(&text, &[])
}

#[test]
fn properties_that_break_a_guarantee_are_refused_with_line_and_fix() {
    for (properties, at, part) in [
        (&["enable.auto.commit: true"][..], "6:25", "leave it out"),
        (&["auto.commit.enable: false"], "6:25", "leave it out"),
        (
            &["client.id: x", "auto.offset.reset: latest"],
            "7:24",
            "nothing may be skipped",
        ),
        (&["group.id: x"], "6:15", "`kafka.group`"),
        (
            &["enable.auto.offset.store: true"],
            "6:31",
            "commits offsets with the data",
        ),
        (&["enable.partition.eof: true"], "6:27", "leave it out"),
        (
            &["isolation.level: read_uncommitted"],
            "6:22",
            "aborted transactions would be stored",
        ),
        (
            &["statistics.interval.ms: 0"],
            "6:29",
            "between 100 and 60000",
        ),
        (
            &["statistics.interval.ms: 600000"],
            "6:29",
            "between 100 and 60000",
        ),
        (&["acks: 1"], "6:11", "all replicas"),
        (&["request.required.acks: 0"], "6:28", "all replicas"),
        (&["enable.idempotence: false"], "6:25", "leave it out"),
        (&["transactional.id: x"], "6:23", "leave it out"),
        (&["retries: 0"], "6:14", "write 1 or more"),
        (&["max.in.flight: 100"], "6:20", "write 5 or less"),
        (&["linger.ms: 20000"], "6:16", "less than 10000"),
        (&["delivery.timeout.ms: 1000"], "6:26", "leave it out"),
        (
            &["delivery.report.only.error: true"],
            "6:33",
            "waited for without end",
        ),
        (
            &["enable.gapless.guarantee: true"],
            "6:31",
            "end the producer",
        ),
        (
            &["allow.auto.create.topics: true"],
            "6:31",
            "create the topics",
        ),
        (&["topic.blacklist: sms"], "6:22", "never be read"),
        (&["api.version.request: false"], "6:26", "aborted"),
        (&["test.mock.num.brokers: 3"], "6:28", "simulation"),
        (
            &["internal.termination.signal: 15"],
            "6:34",
            "stops this process",
        ),
        (
            &["queue.buffering.max.kbytes: 1"],
            "6:33",
            "write 524288 or more",
        ),
        (&["log_level: 7"], "6:16", "`log.level`"),
        (
            &["metadata.broker.list: b:2"],
            "4:22",
            "keep one of the two",
        ),
        (
            &["sasl.mechanism: PLAIN", "sasl.mechanisms: PLAIN"],
            "7:22",
            "set twice",
        ),
        (
            &["linger.ms: 1", "queue.buffering.max.ms: 1"],
            "7:29",
            "set twice",
        ),
        (&["group.instance.id: 'a b'"], "6:24", "letters, digits"),
        (
            &["receive.message.max.bytes: 1000"],
            "6:32",
            "write 2097152 or more",
        ),
        (
            &["heartbeat.interval.ms: 40000"],
            "6:28",
            "write 10000 or less",
        ),
        (&["session.timeout.ms: 2000"], "6:25", "write 9000 or more"),
        (
            &["session.timeout.ms: 9000", "heartbeat.interval.ms: 9000"],
            "7:28",
            "write 3000 or less",
        ),
        (
            &["max.poll.interval.ms: 10000"],
            "6:27",
            "write 30000 or more",
        ),
        (
            &["group.remote.assignor: uniform"],
            "6:28",
            "group.protocol: consumer",
        ),
        (
            &["group.protocol: consumer", "session.timeout.ms: 6000"],
            "7:25",
            "group.consumer.session.timeout.ms",
        ),
        (
            &["group.protocol: Consumer", "heartbeat.interval.ms: 600"],
            "7:28",
            "group.consumer.heartbeat",
        ),
        (
            &[
                "group.protocol: consumer",
                "partition.assignment.strategy: range",
            ],
            "7:36",
            "group.remote.assignor",
        ),
    ] {
        let checked = of_properties(properties);
        let found = lines(&checked.problems);
        assert!(checked.config.is_none(), "{properties:?} is accepted");
        assert!(
            found.contains(&format!("ebbtide.yaml:{at}: error: kafka.")),
            "{properties:?}: {found}"
        );
        assert!(found.contains(part), "{properties:?}: {found}");
    }
}

#[test]
fn properties_that_agree_with_ebbtide_are_accepted_by_any_of_their_names() {
    for (property, name) in [
        ("isolation.level: read_committed", "isolation.level"),
        ("request.required.acks: all", "acks"),
        ("enable.partition.eof: false", "enable.partition.eof"),
        (
            "max.partition.fetch.bytes: 2000000",
            "fetch.message.max.bytes",
        ),
        ("sasl.mechanisms: PLAIN", "sasl.mechanism"),
        ("group.protocol: consumer", "group.protocol"),
        ("group.instance.id: pod-1", "group.instance.id"),
        ("session.timeout.ms: 45000", "session.timeout.ms"),
    ] {
        let config = of_properties(&[property])
            .config
            .unwrap_or_else(|| panic!("{property} is refused"));
        assert!(config.kafka.properties.contains_key(name), "{property}");
        assert_eq!(
            config
                .origins
                .of(&format!("kafka.properties.{name}"))
                .to_string(),
            "ebbtide.yaml:6"
        );
    }
}

#[test]
fn a_list_of_servers_is_hosts_and_ports() {
    for (servers, wrong) in [
        ("a:1,b:2", None),
        ("a", None),
        ("[::1]:9092, SASL_SSL://b:2", None),
        ("a:1,,b:2", Some(2)),
        ("a:x", Some(1)),
        ("a:1,b:70000", Some(2)),
        ("http://a:1/path", Some(1)),
        ("::1:9092", Some(1)),
    ] {
        let text = format!("policy: p\nroot: r\nkafka:\n  bootstrap_servers: '{servers}'\n");
        let found = lines(&parse(&text, &[]).problems);
        let expected = wrong.map(|at| {
            format!("ebbtide.yaml:4:22: error: kafka.bootstrap_servers: server {at} of the list")
        });
        assert!(
            expected.map_or(found.is_empty(), |expected| found.starts_with(&expected)),
            "{servers}: {found}"
        );
    }
}

#[test]
fn a_variable_replaces_every_spelling_of_its_property_in_the_file() {
    let text = "policy: p\nroot: r\nkafka: { properties: { metadata.broker.list: 'a:1', sasl.mechanisms: PLAIN } }\n";
    let variables = [
        ("EBBTIDE_KAFKA_BOOTSTRAP_SERVERS", "b:2"),
        ("EBBTIDE_KAFKA_PROPERTIES_SASL_MECHANISM", "SCRAM-SHA-512"),
    ];
    let config = good(text, &variables);
    assert_eq!(config.kafka.properties["bootstrap.servers"].expose(), "b:2");
    assert_eq!(
        config.kafka.properties["sasl.mechanism"].expose(),
        "SCRAM-SHA-512"
    );
    assert_eq!(config.kafka.properties.len(), 2);
}

#[test]
fn the_name_of_a_group_has_no_hidden_characters() {
    for group in ["' ebbtide'", "'ebbtide '", "\"a\\tb\"", "\"a\\nb\""] {
        let found = bad(
            &format!("policy: p\nroot: r\nkafka:\n  bootstrap_servers: a:1\n  group: {group}\n"),
            &[],
        );
        assert!(
            found.starts_with("ebbtide.yaml:5:10: error: kafka.group: "),
            "{group}: {found}"
        );
    }
}
