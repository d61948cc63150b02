//! Tests of the configuration as an operator uses it: the shipped file, every kind of mistake,
//! variables and secrets.

use std::collections::BTreeSet;
use std::time::Duration;

use url::Url;

use super::*;

mod properties;

const SHIPPED: &str = include_str!("../../../config/ebbtide.yaml");
const LEAST: &str = "policy: p.yaml\nroot: /data\nkafka: { bootstrap_servers: 'a:1' }\n";

fn around(variables: &[(&str, &str)]) -> ConfigInputs {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ConfigInputs {
        variables,
        folder: PathBuf::from("/etc/ebbtide"),
    }
}

fn parse(text: &str, variables: &[(&str, &str)]) -> CheckedConfig {
    Config::parse("ebbtide.yaml", text, &around(variables))
}

fn good(text: &str, variables: &[(&str, &str)]) -> Config {
    let checked = parse(text, variables);
    checked
        .config
        .unwrap_or_else(|| panic!("{}", lines(&checked.problems)))
}

fn bad(text: &str, variables: &[(&str, &str)]) -> String {
    let checked = parse(text, variables);
    assert!(checked.config.is_none(), "accepted");
    lines(&checked.problems)
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

/// Returns the shipped file with every setting that is off switched on, except `basic`, which
/// `bearer` excludes.
fn all_on() -> String {
    let on = |line: &str| match line.trim_start().strip_prefix('#') {
        Some(rest)
            if rest.starts_with(|c: char| c.is_ascii_lowercase()) && !rest.starts_with("basic") =>
        {
            line.replacen('#', "", 1)
        }
        _ => line.to_owned(),
    };
    SHIPPED.lines().map(|line| on(line) + "\n").collect()
}

#[test]
fn the_shipped_file_is_valid_and_has_the_defaults() {
    let shipped = parse(SHIPPED, &[]);
    assert_eq!(lines(&shipped.problems), "");
    let config = shipped.config.unwrap();
    assert_eq!(config.policy, Path::new("/etc/ebbtide/policy.yaml"));
    assert_eq!(config.root, "/etc/ebbtide/../data");
    assert_eq!(config.ingest.memory, 512 << 20);
    assert_eq!(config.ingest.commit_bytes, 128 << 20);
    assert_eq!(config.ingest.commit_age, Duration::from_secs(10));
    assert_eq!(config.kafka.retention_check, RetentionCheck::Refuse);
}

#[test]
fn every_known_key_is_in_the_shipped_file() {
    let text = all_on() + "    basic: { user: u, password: p }\n";
    // `basic` must be next to the registry's other keys.
    let text = text.replace("    basic: { user: u, password: p }\n", "");
    let text = text.replace(
        "    bearer:",
        "    basic: { user: u, password: p }\n    bearer:",
    );
    let tree = yaml::parse(&text).unwrap();
    let mut found = BTreeSet::new();
    for key in keys() {
        let mut node = Some(&tree);
        for step in key.split('.') {
            node = node.and_then(|node| node.get(step));
        }
        assert!(
            node.is_some(),
            "config/ebbtide.yaml does not explain `{key}`"
        );
        found.insert(key);
    }
    assert_eq!(found.len(), keys().len(), "a key is declared twice");
}

#[test]
fn the_defaults_that_the_shipped_file_names_are_the_defaults() {
    let variables = [("REGISTRY_TOKEN", "t")];
    let text = all_on().replace("{ file: /run/secrets/kafka }", "hunter2");
    let text = text
        .replace("{ file: /run/secrets/store-id }", "id")
        .replace("{ file: /run/secrets/store-key }", "key");
    let on = good(&text, &variables);
    let off = good(SHIPPED, &[]);
    let tail = |config: &Config| {
        let shown = config.to_string();
        let lanes = format!("lanes: {}", config.ingest.lanes);
        shown[shown.find("ingest:").unwrap()..].replace(&lanes, "lanes: N")
    };
    assert_eq!(tail(&on), tail(&off));
    assert_eq!(on.kafka.group, off.kafka.group);
    assert_eq!(on.kafka.dead_letter_topic, off.kafka.dead_letter_topic);
    assert_eq!(on.kafka.retention_check, off.kafka.retention_check);
    let registry = on.schemas.registry.unwrap();
    assert_eq!(registry.timeout, Duration::from_secs(10));
    assert_eq!(registry.unknown_schema_wait, Duration::from_secs(30));
}

#[test]
fn all_mistakes_are_reported_in_one_run_with_position_and_fix() {
    let text = "polizy: p.yaml\n\
                root: ''\n\
                kafka:\n  \
                  grop: x\n  \
                  retention_check: maybe\n  \
                  dead_letter_topic: 'a b'\n  \
                  properties: { group.id: x, auto.offset.reset: latest, sasl.password: [1] }\n\
                schemas:\n  \
                  registry: { url: 'http://me:hunter2@reg', bearer: hunter2, basic: { user: me } }\n\
                ingest:\n  \
                  memory: 512MB\n  \
                  commit_age: ten\n  \
                  lanes: 0\n  \
                  commit_bytes: 600MiB\n\
                maintain: { checkpoint_every: 0, orphan_age: 1s }\n\
                http: { listen: localhost }\n\
                log: { format: xml, level: loud }\n";
    let errors = bad(text, &[]);
    assert!(!errors.contains("hunter2"));
    insta::assert_snapshot!(errors, @r#"
    ebbtide.yaml:1:1: error: policy: `policy` is missing; name the policy's file: policy: policy.yaml
    ebbtide.yaml:1:1: error: polizy: unknown key `polizy`; did you mean `policy`?
    ebbtide.yaml:2:7: error: root: the value is empty; write one, or leave the key out
    ebbtide.yaml:4:3: error: kafka.bootstrap_servers: no broker is named; name the brokers: kafka: { bootstrap_servers: localhost:9092 }
    ebbtide.yaml:4:3: error: kafka.grop: unknown key `grop`; did you mean `group`?
    ebbtide.yaml:5:20: error: kafka.retention_check: "maybe" is not known here; write refuse or warn
    ebbtide.yaml:6:22: error: kafka.dead_letter_topic: "a b" is not a topic; Kafka allows letters, digits, `.`, `_` and `-`, 249 at most
    ebbtide.yaml:7:27: error: kafka.properties.group.id: Ebbtide sets `group.id`; write the group as `kafka.group`
    ebbtide.yaml:7:49: error: kafka.properties.auto.offset.reset: a partition starts where its table ends, and nothing may be skipped; leave it out
    ebbtide.yaml:7:72: error: kafka.properties.sasl.password: expected a value, found a list; write one, or leave the key out
    ebbtide.yaml:9:20: error: schemas.registry.url: the URL holds credentials; write them under `basic`
    ebbtide.yaml:9:53: error: schemas.registry.bearer: `basic` and `bearer` are both set; keep one of the two
    ebbtide.yaml:9:69: error: schemas.registry.basic.password: `password` is missing; write { file: PATH } or { env: NAME }
    ebbtide.yaml:11:11: error: ingest.memory: "512MB" is not an amount of bytes; write a whole number and B, KiB, MiB or GiB: 512MiB
    ebbtide.yaml:12:15: error: ingest.commit_age: "ten" is not a duration; write a whole number and ms, s, m, h or d: 10s, 5m, 24h
    ebbtide.yaml:13:10: error: ingest.lanes: the value is out of its range; write one between 1 and 256
    ebbtide.yaml:14:17: error: ingest.commit_bytes: 600MiB is more than half of ingest.memory; write at most 256MiB
    ebbtide.yaml:15:31: error: maintain.checkpoint_every: the value is out of its range; write one between 1 and 100000
    ebbtide.yaml:15:46: error: maintain.orphan_age: the value is out of its range; write one between 1h and 3650d
    ebbtide.yaml:16:17: error: http.listen: "localhost" is not an address and port; write ADDRESS:PORT: 0.0.0.0:9464, [::]:9464
    ebbtide.yaml:17:16: error: log.format: "xml" is not known here; write text or json
    ebbtide.yaml:17:28: error: log.level: "loud" is not a log level; write off, error, warn, info, debug or trace, and target=level parts after it
    "#);
}

#[test]
fn a_text_that_is_no_yaml_or_no_mapping_is_a_problem_and_not_a_crash() {
    insta::assert_snapshot!(bad("policy: [", &[]), @"ebbtide.yaml:2:1: error: while parsing a node, did not find expected node content; correct the YAML");
    insta::assert_snapshot!(bad("- policy", &[]), @r#"
    ebbtide.yaml:1:1: error: expected a mapping, found a list; write one of the keys policy, root, store, kafka, notices, schemas, ingest, maintain, sweep, compact, http, log
    ebbtide.yaml:1:1: error: kafka.bootstrap_servers: no broker is named; name the brokers: kafka: { bootstrap_servers: localhost:9092 }
    ebbtide.yaml:1:1: error: policy: `policy` is missing; name the policy's file: policy: policy.yaml
    ebbtide.yaml:1:1: error: root: `root` is missing; say where the tables are: root: /var/lib/ebbtide
    "#);
    insta::assert_snapshot!(bad("", &[]), @r#"
    ebbtide.yaml:1:1: error: expected a mapping, found nothing; write one of the keys policy, root, store, kafka, notices, schemas, ingest, maintain, sweep, compact, http, log
    ebbtide.yaml:1:1: error: kafka.bootstrap_servers: no broker is named; name the brokers: kafka: { bootstrap_servers: localhost:9092 }
    ebbtide.yaml:1:1: error: policy: `policy` is missing; name the policy's file: policy: policy.yaml
    ebbtide.yaml:1:1: error: root: `root` is missing; say where the tables are: root: /var/lib/ebbtide
    "#);
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let checked = Config::load(Path::new("/nowhere/ebbtide.yaml"));
    assert!(checked.config.is_none());
    assert!(
        lines(&checked.problems).starts_with("/nowhere/ebbtide.yaml:0:0: error: cannot be read: ")
    );
}

#[test]
fn variables_win_over_the_file_and_reach_sections_that_it_lacks() {
    let config = good(
        LEAST,
        &[
            ("EBBTIDE_INGEST_MEMORY", "256MiB"),
            ("EBBTIDE_SCHEMAS_REGISTRY_URL", "https://reg:1"),
            ("EBBTIDE_SCHEMAS_REGISTRY_BASIC_USER", "me"),
            ("EBBTIDE_SCHEMAS_REGISTRY_BASIC_PASSWORD", "hunter2"),
            ("EBBTIDE_KAFKA_PROPERTIES_SASL_PASSWORD", "hunter2"),
            ("EBBTIDE_KAFKA_PROPERTIES_BOOTSTRAP_SERVERS", "b:2"),
            ("EBBTIDE_ROOT", "tables"),
            ("PATH", "/bin"),
        ],
    );
    assert_eq!(config.ingest.memory, 256 << 20);
    assert_eq!(
        config.ingest.commit_bytes,
        64 << 20,
        "it follows the memory"
    );
    assert_eq!(config.kafka.properties["bootstrap.servers"].expose(), "b:2");
    assert_eq!(config.kafka.properties["sasl.password"].expose(), "hunter2");
    assert_eq!(config.root, "/etc/ebbtide/tables");
    assert!(matches!(
        config.schemas.registry.as_ref().unwrap().auth,
        RegistryAuth::Basic { .. }
    ));
    assert!(!format!("{config:?}{config}").contains("hunter2"));
}

#[test]
fn either_spelling_of_the_servers_replaces_the_other_one_of_the_file() {
    let text = "policy: p\nroot: r\nkafka: { properties: { bootstrap.servers: 'a:1' } }\n";
    let config = good(text, &[("EBBTIDE_KAFKA_BOOTSTRAP_SERVERS", "b:2")]);
    assert_eq!(config.kafka.properties["bootstrap.servers"].expose(), "b:2");
}

#[test]
fn a_mistyped_variable_is_refused_and_a_bad_value_names_its_variable() {
    let errors = bad(
        LEAST,
        &[
            ("EBBTIDE_INGEST_MEMROY", "1GiB"),
            ("EBBTIDE_INGEST_LANES", "many"),
        ],
    );
    insta::assert_snapshot!(errors, @r#"
    ebbtide.yaml:0:0: error: unknown variable `EBBTIDE_INGEST_MEMROY`; did you mean `EBBTIDE_INGEST_MEMORY`?
    EBBTIDE_INGEST_LANES:0:0: error: ingest.lanes: "many" is not a whole number; write digits alone
    "#);
}

#[test]
fn service_variables_of_kubernetes_do_not_prevent_the_start() {
    good(
        LEAST,
        &[
            ("EBBTIDE_SERVICE_HOST", "10.0.0.1"),
            ("EBBTIDE_SERVICE_PORT", "9464"),
            ("EBBTIDE_SERVICE_PORT_METRICS", "9464"),
            ("EBBTIDE_PORT", "tcp://10.0.0.1:9464"),
            ("EBBTIDE_PORT_9464_TCP", "tcp://10.0.0.1:9464"),
            ("EBBTIDE_PORT_9464_TCP_ADDR", "10.0.0.1"),
        ],
    );
}

#[test]
fn a_secret_comes_from_a_file_or_a_variable_and_is_never_formatted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "from-file\n").unwrap();
    let text = format!(
        "{LEAST}schemas: {{ registry: {{ url: 'https://r', bearer: {{ env: EBBTIDE_TOKEN }} }} }}\n"
    )
    .replace(
        "'a:1' }",
        "'a:1', properties: { sasl.password: { file: password }, client.id: me } }",
    );
    let mut around = around(&[("EBBTIDE_TOKEN", "from-env")]);
    around.folder = folder.path().to_path_buf();
    let config = Config::parse("ebbtide.yaml", &text, &around)
        .config
        .unwrap();
    assert_eq!(
        config.kafka.properties["sasl.password"].expose(),
        "from-file"
    );
    match &config.schemas.registry.as_ref().unwrap().auth {
        RegistryAuth::Bearer(token) => assert_eq!(token.expose(), "from-env"),
        other => panic!("{other:?}"),
    }
    let shown = format!("{config} {config:?} {config:#?}");
    assert!(!shown.contains("from-file") && !shown.contains("from-env"));
    assert!(
        shown.contains("client.id: \"me\""),
        "what is no secret is shown"
    );
}

#[test]
fn a_missing_secret_is_reported_with_the_place_it_should_be_in() {
    let text = format!(
        "{LEAST}schemas: {{ registry: {{ url: 'https://r', bearer: {{ env: NOT_SET }} }} }}\n"
    )
    .replace(
        "'a:1' }",
        "'a:1', properties: { sasl.password: { file: gone, env: BOTH } } }",
    );
    insta::assert_snapshot!(bad(&text, &[]), @r#"
    ebbtide.yaml:3:65: error: kafka.properties.sasl.password: a secret comes from exactly one place; write { file: PATH } or { env: NAME }
    ebbtide.yaml:4:50: error: schemas.registry.bearer: the secret's variable `NOT_SET` is not set; write { file: PATH } or { env: NAME }
    "#);
}

#[test]
fn credentials_over_plain_http_are_warned_of() {
    let text = format!("{LEAST}schemas: {{ registry: {{ url: 'http://r', bearer: x }} }}\n");
    let checked = parse(&text, &[]);
    assert!(checked.config.is_some());
    insta::assert_snapshot!(lines(&checked.problems), @"ebbtide.yaml:4:29: warning: schemas.registry.url: the credentials travel unencrypted; use https");
}

#[test]
fn the_shown_configuration_reads_back_as_the_same() {
    let config = good(SHIPPED, &[]);
    let again = good(&config.to_string(), &[]);
    assert_eq!(again.to_string(), config.to_string());
}

#[test]
fn a_lane_must_hold_some_of_the_largest_messages() {
    let errors = bad(LEAST, &[("EBBTIDE_INGEST_LANES", "256")]);
    insta::assert_snapshot!(errors, @"ebbtide.yaml:0:0: error: ingest.max_message_bytes: 1MiB is more than an eighth of a lane's memory, which is 512MiB shared by 256; lower it, or raise `memory`, or lower `lanes`");
    let few = good(LEAST, &[("EBBTIDE_INGEST_MEMORY", "32MiB")]);
    assert_eq!(
        few.ingest.lanes, 1,
        "the lanes follow the memory where they are not written"
    );
}

#[test]
fn the_readmes_first_configuration_is_good() {
    let readme = include_str!("../../../README.md");
    let text = readme
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let text = text
        .replace("{ file: /run/secrets/kafka }", "x")
        .replace("{ file: /run/secrets/registry }", "x");
    let checked = parse(&text, &[]);
    assert_eq!(lines(&checked.problems), "");
}

#[test]
fn a_registry_may_be_a_list_of_servers_each_of_which_is_checked() {
    let of = |url: &str| format!("{LEAST}schemas: {{ registry: {{ url: '{url}' }} }}\n");
    let config = good(&of("http://a:8081, https://b:8081/base"), &[]);
    let urls: Vec<String> = config
        .schemas
        .registry
        .as_ref()
        .unwrap()
        .urls
        .iter()
        .map(Url::to_string)
        .collect();
    assert_eq!(urls, ["http://a:8081/", "https://b:8081/base"]);
    assert_eq!(
        good(&config.to_string(), &[]).to_string(),
        config.to_string()
    );
    for wrong in [
        "http://a:8081,",
        "http://a:8081,b:8081",
        "http://a,http://me:x@b",
        "http://a,ftp://b",
    ] {
        let found = bad(&of(wrong), &[]);
        assert!(
            found.starts_with("ebbtide.yaml:4:29: error: schemas.registry.url: "),
            "{wrong}: {found}"
        );
    }
}

#[test]
fn library_lines_about_damage_that_ebbtide_reports_are_off_by_default() {
    let filter = |text: &str| {
        good(text, &[])
            .log
            .level
            .parse::<tracing_subscriber::filter::Targets>()
            .unwrap()
    };
    let (usual, own) = (
        filter(LEAST),
        filter(&format!(
            "{LEAST}log: {{ level: 'info,buoyant_kernel=error' }}\n"
        )),
    );
    for target in [
        "buoyant_kernel",
        "buoyant_kernel::log_segment",
        "buoyant_kernel_engine::json",
    ] {
        assert!(
            !usual.would_enable(target, &tracing::Level::ERROR),
            "{target}"
        );
        assert!(own.would_enable(target, &tracing::Level::ERROR), "{target}");
    }
    assert!(usual.would_enable("ebbtide::store", &tracing::Level::INFO));
}
