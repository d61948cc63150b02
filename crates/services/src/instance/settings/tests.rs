use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use ebbtide_config::ConfigInputs;

const SCHEMA: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "who", "type": "string"}]}"#;

/// Two products of three topics and two rules: the first rule is at line 15, the second at line 16.
const POLICY: &str = "version: '1'
zone: Europe/Amsterdam
categories:
  phone_number: { term: pd:TelephoneNumber }
products:
  calls: &calls
    topics: [calls.a, calls.b]
    schema: s.avsc
    event_time: at
    jurisdiction: NL
    fields: { at: none, who: phone_number }
    end: remove
  texts: { <<: 0, topics: [texts], schema: s.avsc, event_time: at, jurisdiction: NL, fields: { at: none, who: phone_number }, end: remove }
rules:
  - { id: usual, keep: 6 months, boundary: at_most, bases: [eu-gdpr:A6-1-b], source: t }
  - { id: short, products: [texts], categories: [phone_number], keep: 9 days, boundary: at_most, grace: GRACE, bases: [eu-gdpr:A6-1-b], source: t }
";

fn text(grace: &str) -> PolicyText {
    let yaml = POLICY
        .replace("GRACE", grace)
        .replace("&calls", "")
        .replace("<<: 0, ", "");
    PolicyText {
        yaml,
        schemas: BTreeMap::from([("s.avsc".to_owned(), SCHEMA.to_owned())]),
    }
}

/// Returns the problems of those settings, each a line of the file from line 4 on, under that
/// grace.
fn problems(settings: &str, grace: &str, variables: &[(&str, &str)]) -> String {
    let text = text(grace);
    let checked = text.checked("p.yaml");
    let policy = checked
        .policy
        .unwrap_or_else(|| panic!("{:?}", checked.problems));
    let yaml = format!(
        "policy: p.yaml\nroot: /data\nkafka: {{ bootstrap_servers: 'localhost:9092' }}\n{settings}"
    );
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let checked = Config::parse(
        "e.yaml",
        &yaml,
        &ConfigInputs {
            variables,
            folder: PathBuf::new(),
        },
    );
    let config = checked
        .config
        .unwrap_or_else(|| panic!("{:?}", checked.problems));
    let found = check_settings(
        &config,
        PolicyInUse {
            policy: &policy,
            text: &text,
        },
    );
    found.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn defaults_fit_the_usual_grace_a_short_one_needs_a_short_readers_grace() {
    assert_eq!(problems("", "24 hours", &[]), "");
    assert_eq!(
        problems(
            "maintain: { readers_grace: 39m, orphan_age: 1h }\n",
            "1 hour",
            &[]
        ),
        ""
    );
    insta::assert_snapshot!(problems("", "1 hour", &[]), @"
    e.yaml:1:1: error: maintain.readers_grace: data that is due may stay for 1h 21m (sweep.takeover 10m + sweep.every 1m + maintain.readers_grace 1h + the clean-up 10m), and rule `short` (p.yaml:16) allows a grace of 1 hour; write 39m or less, or a longer grace there
    e.yaml:1:1: warning: maintain.orphan_age: after a crash, data of an unfinished commit may stay for 6h, and rule `short` (p.yaml:16) allows a grace of 1 hour; write 1h or less, longer than any commit takes
    ");
}

#[test]
fn waits_longer_than_the_shortest_grace_are_refused_with_a_fix() {
    for (settings, grace, expected) in [
        (
            "maintain: { readers_grace: 30d }\n",
            "24 hours",
            &[(
                "e.yaml:4:28",
                "maintain.readers_grace",
                "30d 21m",
                "usual` (p.yaml:15)",
                "23h",
            )][..],
        ),
        (
            "sweep:\n  every: 24h\n  takeover: 24h\n",
            "24 hours",
            &[
                (
                    "e.yaml:6:13",
                    "sweep.takeover",
                    "2d 1h 10m",
                    "usual` (p.yaml:15)",
                    "11h",
                ),
                (
                    "e.yaml:5:10",
                    "sweep.every",
                    "2d 1h 10m",
                    "usual` (p.yaml:15)",
                    "11h",
                ),
            ],
        ),
        (
            "sweep:\n  every: 8h\n  takeover: 8h\nmaintain:\n  readers_grace: 8h\n",
            "24 hours",
            &[
                (
                    "e.yaml:6:13",
                    "sweep.takeover",
                    "1d 10m",
                    "usual` (p.yaml:15)",
                    "7h",
                ),
                (
                    "e.yaml:5:10",
                    "sweep.every",
                    "1d 10m",
                    "usual` (p.yaml:15)",
                    "7h",
                ),
                (
                    "e.yaml:8:18",
                    "maintain.readers_grace",
                    "1d 10m",
                    "usual` (p.yaml:15)",
                    "7h",
                ),
            ],
        ),
        (
            "sweep: { clock_settle: 5h }\n",
            "6 hours",
            &[(
                "e.yaml:4:24",
                "sweep.clock_settle",
                "6h 11m",
                "short` (p.yaml:16)",
                "4h",
            )],
        ),
        (
            "ingest: { commit_age: 24h }\n",
            "1 day",
            &[(
                "e.yaml:4:23",
                "ingest.commit_age",
                "1d 1h 11m",
                "short` (p.yaml:16)",
                "21h",
            )],
        ),
        (
            "maintain: { readers_grace: 2d }\n",
            "2 days",
            &[(
                "e.yaml:4:28",
                "maintain.readers_grace",
                "2d 21m",
                "usual` (p.yaml:15)",
                "23h",
            )],
        ),
    ] {
        let found = problems(settings, grace, &[]);
        for ((at, key, sum, rule, value), line) in expected.iter().zip(found.lines()) {
            assert!(
                line.starts_with(&format!(
                    "{at}: error: {key}: data that is due may stay for {sum} ("
                )),
                "{found}"
            );
            assert!(
                line.contains(&format!("rule `{rule} allows a grace of ")),
                "{found}"
            );
            assert!(
                line.contains(&format!("; write {value} or less")),
                "{found}"
            );
        }
        assert_eq!(found.lines().count(), expected.len(), "{found}");
    }
}

#[test]
fn a_refused_value_is_good_once_it_is_what_the_fix_says() {
    for (settings, grace) in [
        ("maintain: { readers_grace: 30d }\n", "24 hours"),
        (
            "sweep: { clock_settle: 9h, takeover: 9h }\nmaintain: { readers_grace: 9h }\n",
            "2 hours",
        ),
    ] {
        let mut settings = settings.to_owned();
        for _ in 0..3 {
            let found = problems(&settings, grace, &[]);
            for line in found.lines().filter(|line| line.contains("error: ")) {
                let key = line
                    .split("error: ")
                    .nth(1)
                    .unwrap()
                    .split(':')
                    .next()
                    .unwrap()
                    .rsplit('.')
                    .next()
                    .unwrap();
                let value = line
                    .split("; write ")
                    .nth(1)
                    .unwrap()
                    .split(' ')
                    .next()
                    .unwrap();
                let old = settings
                    .split(&format!("{key}: "))
                    .nth(1)
                    .unwrap_or_default();
                let old = old.split([',', ' ', '\n']).next().unwrap().to_owned();
                settings = settings.replace(&format!("{key}: {old}"), &format!("{key}: {value}"));
            }
        }
        assert!(
            !problems(&settings, grace, &[]).contains("error"),
            "{settings}"
        );
    }
}

#[test]
fn an_instance_that_does_not_sweep_answers_for_the_readers_grace_alone() {
    let settings = "sweep: { enabled: false, every: 24h, takeover: 24h }\n";
    assert_eq!(problems(settings, "24 hours", &[]), "");
    let found = problems(
        "sweep: { enabled: false }\nmaintain: { readers_grace: 24h }\n",
        "24 hours",
        &[],
    );
    assert!(
        found.starts_with("e.yaml:5:28: error: maintain.readers_grace: "),
        "{found}"
    );
}

#[test]
fn a_variable_is_named_in_the_place_of_a_line() {
    let found = problems("", "24 hours", &[("EBBTIDE_MAINTAIN_READERS_GRACE", "25h")]);
    assert!(
        found.starts_with("EBBTIDE_MAINTAIN_READERS_GRACE:0:0: error: maintain.readers_grace: "),
        "{found}"
    );
    assert!(found.contains("(p.yaml:15)"), "{found}");
}

#[test]
fn a_topic_of_two_uses_is_refused_with_both_places() {
    const DEAD_LETTERS: &str = "EBBTIDE_KAFKA_DEAD_LETTER_TOPIC";
    let found: String = [
        ("", &[(DEAD_LETTERS, "calls.b")][..]),
        ("notices: { contracts: texts }\n", &[]),
        ("notices:\n  contracts: both\n  consents: both\n", &[]),
        ("notices: { consents: ebbtide.dead-letters }\n", &[]),
        ("notices: { contracts: ebbtide.consent-withdrawn, consents: ebbtide.consent-withdrawn }\n", &[]),
    ]
    .map(|(settings, variables)| problems(settings, "24 hours", variables))
    .concat();
    insta::assert_snapshot!(found, @"
    EBBTIDE_KAFKA_DEAD_LETTER_TOPIC:0:0: error: kafka.dead_letter_topic: topic `calls.b` is also a source of product calls (p.yaml:7); write a topic of its own, such as ebbtide.dead-letters
    e.yaml:4:23: error: notices.contracts: topic `texts` is also a source of product texts (p.yaml:13); write a topic of its own, such as ebbtide.contract-ended
    e.yaml:6:13: error: notices.consents: topic `both` is also the topic of ended contracts (`notices.contracts`, e.yaml:5); write a topic of its own, such as ebbtide.consent-withdrawn
    e.yaml:4:22: error: notices.consents: topic `ebbtide.dead-letters` is also the topic of dead letters (`kafka.dead_letter_topic`, e.yaml:3); write a topic of its own, such as ebbtide.consent-withdrawn
    e.yaml:4:60: error: notices.consents: topic `ebbtide.consent-withdrawn` is also the topic of ended contracts (`notices.contracts`, e.yaml:4); write a topic of its own, such as ebbtide.consent-withdrawn-2
    ");
}

#[test]
fn topics_of_one_use_each_are_good() {
    assert_eq!(
        problems(
            "notices: { contracts: ended, consents: withdrawn }\n",
            "24 hours",
            &[]
        ),
        ""
    );
}

#[test]
fn a_group_that_is_named_like_one_of_notices_is_warned_of() {
    let found = problems(
        "",
        "24 hours",
        &[("EBBTIDE_KAFKA_GROUP", "ebbtide-notices")],
    );
    assert!(
        found.contains(
            "warning: kafka.group: an instance with `kafka.group: ebbtide` reads its notices"
        ),
        "{found}"
    );
}

#[test]
fn the_operations_port_is_none_of_a_server_on_this_machine() {
    for (listen, settings, taken) in [
        ("127.0.0.1:9092", "", true),
        (
            "0.0.0.0:8081",
            "schemas: { registry: { url: 'http://localhost:8081' } }\n",
            true,
        ),
        (
            "[::]:8081",
            "schemas: { registry: { url: 'http://[::1]:8081/x' } }\n",
            true,
        ),
        (
            "127.0.0.1:9000",
            "store: { endpoint: 'https://127.0.0.1:9000' }\n",
            true,
        ),
        ("127.0.0.1:9464", "", false),
        (
            "0.0.0.0:8081",
            "schemas: { registry: { url: 'http://registry:8081' } }\n",
            false,
        ),
        ("10.0.0.7:9092", "", false),
    ] {
        let found = problems(settings, "24 hours", &[("EBBTIDE_HTTP_LISTEN", listen)]);
        assert_eq!(
            found.contains("error: http.listen: "),
            taken,
            "{listen} {settings}: {found}"
        );
    }
}
