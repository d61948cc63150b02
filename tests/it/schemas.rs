//! Schemas of real producers and registries: unusual ones, several in one topic, and ones that are
//! registered late.

mod late_schemas;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program;
use ebbtide_testkit::args;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::readers::ALL;
use ebbtide_testkit::registry_front::{Answers, RegistryFront};
use ebbtide_testkit::scene::{Scene, ScenePolicy, next_prefix};
use ebbtide_testkit::{Scratch, eventually, kafka, python, registry};

const POLICY: &str = r#"version: schemas-1
zone: Europe/Amsterdam
bucket: day
categories:
  phone_number: { term: pd:TelephoneNumber }
  traffic_data: { term: pd:CommunicationsMetadata }
  content: { term: pd:Communication }
products:
  sms:
    topics: [TOPIC]
    schema: sms.avsc
RECORDS    event_time: sent_at
    tenant: tenant
    jurisdiction: { country_of: recipient }
    subjects: { recipient: phone }
    fields: { id: traffic_data, tenant: none, sent_at: traffic_data, recipient: phone_number, body: content }
    end: remove
rules:
  - id: default
    products: [sms]
    keep: 6 months
    boundary: at_most
    bases: [eu-gdpr:A6-1-b]
    purposes: [dpv:ServiceProvision]
    source: the tests
"#;

fn records_line(records: &str) -> String {
    if records.is_empty() {
        String::new()
    } else {
        format!("    {records}\n")
    }
}

/// Returns the product's schema, with more keys and fields.
fn sms(more: &Value, fields: &[Value]) -> Value {
    let mut schema = json!({"type": "record", "name": "Sms", "namespace": "example.it", "fields": [
        {"name": "id", "type": "string"},
        {"name": "tenant", "type": "string"},
        {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "recipient", "type": "string"},
        {"name": "body", "type": ["null", "string"], "default": null},
    ]});
    schema
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    schema["fields"]
        .as_array_mut()
        .unwrap()
        .extend_from_slice(fields);
    schema
}

struct Stage {
    scene: Scene<'static>,
    front: RegistryFront,
}

impl Stage {
    /// Creates a topic of `partitions` for the product, whose policy has `records`.
    fn new(records: &str, partitions: u32) -> Self {
        let (scratch, prefix) = (Scratch::new(), next_prefix());
        let topic = format!("{prefix}.sms");
        let policy = scratch.join("policy.yaml");
        fs::write(
            &policy,
            POLICY
                .replace("TOPIC", &topic)
                .replace("RECORDS", &records_line(records)),
        )
        .unwrap();
        fs::write(scratch.join("sms.avsc"), sms(&json!({}), &[]).to_string()).unwrap();
        let front = RegistryFront::of(registry::shared().port());
        let policy = ScenePolicy {
            scratch,
            path: policy,
            topics: vec![topic],
            prefix,
            partitions,
        };
        Self {
            scene: Scene::with_policy(program(), kafka::shared(), front.base(), policy),
            front,
        }
    }

    /// Produces the messages of a plan. Returns the file of acknowledged messages, and the place of
    /// each message of the plan.
    fn produce(&self, plan: &[Value], name: &str) -> (PathBuf, Vec<Value>) {
        let file = |kind: &str| self.scene.scratch.join(format!("{name}-{kind}"));
        let (planned, acked, sent) = (file("plan.json"), file("acked.jsonl"), file("sent.jsonl"));
        fs::write(&planned, json!(plan).to_string()).unwrap();
        let servers = args![
            "--bootstrap",
            self.scene.kafka.bootstrap(),
            "--registry",
            registry::shared().base()
        ];
        let files = args![
            "--policy",
            self.scene.policy.display(),
            "--plan",
            planned.display(),
            "--out",
            acked.display(),
            "--sent",
            sent.display()
        ];
        python::run("framed.py", &[servers.to_vec(), files.to_vec()].concat());
        let sent = fs::read_to_string(sent).unwrap();
        (
            acked,
            sent.lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        )
    }

    /// Asserts that each message of the plan that should be a dead letter is one, under its code
    /// and with its reason, and that no other message is.
    fn assert_letters(&self, plan: &[Value], sent: &[Value]) {
        let (letters, _) = self.scene.dead_letters();
        let mut found: Vec<(i64, i64, String, String)> = letters
            .iter()
            .map(|letter| {
                let text = |key: &str| letter["headers"][key].as_str().unwrap().to_owned();
                let number = |key: &str| text(key).parse().unwrap();
                (
                    number("ebbtide.partition"),
                    number("ebbtide.offset"),
                    text("ebbtide.code"),
                    text("ebbtide.reason"),
                )
            })
            .collect();
        found.sort();
        let wanted = sent.iter().filter_map(|sent| {
            let message = &plan[usize::try_from(sent["number"].as_u64()?).ok()?];
            let code = message["expect"]
                .as_str()
                .filter(|expect| !matches!(*expect, "stored" | "skipped"))?;
            Some((
                sent["partition"].as_i64()?,
                sent["offset"].as_i64()?,
                code,
                message["reason"].as_str().unwrap_or(""),
            ))
        });
        let mut wanted: Vec<_> = wanted.collect();
        wanted.sort_unstable();
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for ((partition, offset, code, reason), wanted) in found.iter().zip(wanted) {
            assert_eq!(
                (*partition, *offset, code.as_str()),
                (wanted.0, wanted.1, wanted.2),
                "{reason}"
            );
            assert!(
                reason.contains(wanted.3),
                "{reason:?} says nothing of {:?}",
                wanted.3
            );
        }
    }
}

/// Returns a message under a schema that only the front has.
fn own(answers: &mut Answers, schema: Value, tail: &str) -> Value {
    let id = 900_000 + u32::try_from(answers.own.len()).unwrap();
    answers.own.insert(id, schema.to_string());
    json!({ "id": id, "tail": tail, "expect": "stored" })
}

#[test]
fn producers_schemas_are_read_where_their_bytes_can_be() {
    let stage = Stage::new("", 1);
    let mut answers = Answers::default();
    let mut plan = Vec::new();
    for space in [
        "my-team.sms",
        "com.example.Gateway$Messages",
        "2nd.v1",
        "пример.Sms",
        "",
    ] {
        plan.push(own(
            &mut answers,
            sms(&json!({ "namespace": space }), &[]),
            "",
        ));
    }
    for (field, tail) in [
        (json!({"name": "straße", "type": "string"}), "0261"),
        (
            json!({"name": "cell-id", "type": {"type": "string", "logicalType": "uuid"}}),
            "06612f62",
        ),
        (
            json!({"name": "gen", "type": {"type": "enum", "name": "Gen", "symbols": ["4G", "5G SA"], "default": "6G"}}),
            "02",
        ),
        (
            json!({"name": "x", "type": {"type": "fixed", "name": "X", "size": 2, "logicalType": "decimal", "precision": 99}, "default": 7}),
            "0102",
        ),
        (
            json!({"name": "reply_to", "type": ["null", "Sms"], "doc": 3, "order": "none"}),
            "00",
        ),
        (json!({"name": "later", "type": ["null", "Nowhere"]}), "00"),
    ] {
        plan.push(own(&mut answers, sms(&json!({}), &[field]), tail));
    }
    let mut broken = own(
        &mut answers,
        sms(&json!({}), &[json!({"name": "later", "type": "Nowhere"})]),
        "00",
    );
    broken["expect"] = json!("incompatible_schema");
    broken["reason"] = json!("`Nowhere` is not defined");
    plan.extend([broken.clone(), broken]);
    // The product reads a text, whatever type the writer gives it.
    let mut uuid = sms(&json!({}), &[]);
    uuid["fields"][0]["type"] = json!({"type": "string", "logicalType": "uuid"});
    let mut message = own(&mut answers, uuid, "");
    message["set"] = json!({ "id": "not-a-uuid-17" });
    plan.push(message);
    // References, in the real registry.
    let topic = stage.scene.topics[0].clone();
    let fixed = json!({"type": "fixed", "name": "Hash", "namespace": "example.shared", "size": 2});
    let party = json!({"type": "record", "name": "Party", "namespace": "example.shared", "fields": [{"name": "hash", "type": "Hash"}]});
    let link = |name: &str| json!({ "name": format!("example.shared.{name}"), "subject": format!("{topic}/{name}"), "version": 1 });
    let one = |name: &str, schema: Value, references: Value| json!({ "subject": format!("{topic}%2F{name}"), "schema": schema, "references": references });
    let root = sms(
        &json!({}),
        &[json!({"name": "party", "type": "example.shared.Party"})],
    );
    plan.push(json!({ "tail": "0a0b", "expect": "stored", "register": [
        one("Hash", fixed, json!([])),
        one("Party", party, json!([link("Hash")])),
        one("Sms", root, json!([link("Party")])),
    ]}));
    stage.front.set(answers);
    let (acked, sent) = stage.produce(&plan, "odd");
    let mut ebbtide = stage.scene.start("ebbtide", &[]);
    stage
        .scene
        .caught_up(Duration::from_secs(90), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    stage.assert_letters(&plan, &sent);
    stage.scene.check(&[acked], ALL);
    let log = ebbtide.process.log();
    assert_eq!(
        log.matches("`Nowhere` is not defined").count(),
        2,
        "one line for each of two schemas:\n{log}"
    );
}

/// Returns three SMS, two receipts, a null and an SMS as one object, under schemas of their own and
/// under a union.
fn mixed(topic: &str, receipt: &str) -> Vec<Value> {
    let kind = |schema: &Value, name: &str| json!([{ "subject": format!("{topic}-{name}"), "schema": schema }]);
    let own = sms(&json!({}), &[]);
    let other = sms(
        &json!({ "name": "SmsReceipt" }),
        &[json!({"name": "handset", "type": "string"})],
    );
    let old = sms(
        &json!({ "name": "TextMessage", "namespace": "example.old" }),
        &[],
    );
    let union = json!([own, other, "null"]);
    let reason =
        "the writer's record `example.it.SmsReceipt` is not the product's `example.it.Sms`";
    let refused = |message: Value| {
        let mut message = message;
        message["expect"] = json!(receipt);
        message["reason"] = json!(reason);
        message
    };
    vec![
        json!({ "register": kind(&own, "sms"), "expect": "stored" }),
        refused(json!({ "register": kind(&other, "receipt"), "tail": "0278" })),
        json!({ "register": kind(&union, "both"), "head": "00", "expect": "stored" }),
        refused(json!({ "register": kind(&union, "both"), "head": "02", "tail": "0278" })),
        json!({ "register": kind(&union, "both"), "head": "04", "expect": "incompatible_schema" }),
        json!({ "register": kind(&old, "old"), "expect": "OLD" }),
        json!({ "frame": "single", "writer": own, "expect": "stored" }),
    ]
}

fn play(records: &str, receipt: &str, old: &str) -> (u64, Value) {
    let stage = Stage::new(records, 1);
    let mut plan = mixed(&stage.scene.topics[0], receipt);
    plan[5]["expect"] = json!(old);
    let (acked, sent) = stage.produce(&plan, "mixed");
    let mut ebbtide = stage.scene.start("ebbtide", &[]);
    stage
        .scene
        .caught_up(Duration::from_secs(90), &mut [&mut ebbtide.process]);
    // Records are counted after their commit can be read.
    eventually("all records are counted", Duration::from_secs(60), || {
        (ebbtide.metric("ebbtide_records_total") >= plan.len() as f64).then_some(())
    });
    let metrics = ebbtide.ask("/metrics").unwrap().1;
    ebbtide.stop();
    stage.assert_letters(&plan, &sent);
    let counts = stage.scene.check(&[acked], ALL);
    let skipped = metrics.lines().find_map(|line| {
        line.strip_prefix(r#"ebbtide_records_total{outcome="skipped",product="sms"} "#)
    });
    (skipped.unwrap().parse().unwrap(), counts)
}

#[test]
fn records_of_other_names_are_dead_letters_where_the_policy_says_nothing() {
    let (skipped, counts) = play("", "incompatible_schema", "incompatible_schema");
    assert_eq!(
        (skipped, counts["stored"]["duckdb"].as_u64()),
        (0, Some(3)),
        "{counts}"
    );
}

#[test]
fn records_of_other_names_are_skipped_and_counted_if_the_policy_says() {
    let (skipped, counts) = play("records: { others: skip }", "skipped", "skipped");
    assert_eq!(
        (skipped, counts["stored"]["duckdb"].as_u64()),
        (3, Some(3)),
        "{counts}"
    );
}

#[test]
fn records_that_the_policy_lists_are_the_products() {
    let records = "records: { names: [Sms, example.old.TextMessage], others: skip }";
    let (skipped, counts) = play(records, "skipped", "stored");
    assert_eq!(
        (skipped, counts["stored"]["duckdb"].as_u64()),
        (2, Some(4)),
        "{counts}"
    );
}
