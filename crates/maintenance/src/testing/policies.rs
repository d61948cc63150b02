//! The policy and the schema of the small product.

use ebbtide_policy::{CheckedPolicy, Policy, SchemaSource, parse};

/// The schema of its records.
pub const SCHEMA: &str = r#"{"type": "record", "name": "Sms", "fields": [
    {"name": "recipient", "type": ["null", "string"]},
    {"name": "body", "type": ["null", "string"]},
    {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "customer_id", "type": ["null", "string"]},
    {"name": "status", "type": ["null", "string"]},
    {"name": "segments", "type": "int"}
]}"#;

struct OneSchema<'s>(&'s str);

impl SchemaSource for OneSchema<'_> {
    fn load(&self, _: &str) -> Result<String, String> {
        Ok(self.0.to_owned())
    }
}

/// Returns a policy in UTC: content is kept for 7 days, phone numbers and with them the record for
/// 30.
pub fn policy_text(end: &str) -> String {
    policy_text_of(end, "keep: 7 days, trigger: event")
}

/// Returns the same policy with another retention period and trigger of content.
pub fn policy_text_of(end: &str, content: &str) -> String {
    format!(
        "version: test-1\nzone: UTC\nbucket: day\ncategories:\n  phone_number: {{ term: pd:TelephoneNumber }}\n  \
         content: {{ term: pd:Communication }}\nproducts:\n  sms:\n    topics: [traffic.sms]\n    schema: sms.avsc\n    \
         event_time: sent_at\n    tenant: customer_id\n    subjects: {{ recipient: phone }}\n    \
         jurisdiction: {{ country_of: recipient }}\n    fields:\n      recipient: phone_number\n      body: content\n      \
         sent_at: phone_number\n      customer_id: none\n      status: none\n      segments: none\n    end: {end}\nrules:\n  \
         - {{ id: long, products: [sms], keep: 30 days, trigger: event, boundary: at_most, grace: 6 hours, \
         bases: [eu-gdpr:A6-1-b], purposes: [dpv:ServiceProvision], source: tests }}\n  \
         - {{ id: short, products: [sms], categories: [content], {content}, boundary: at_most, \
         grace: 6 hours, bases: [eu-gdpr:A6-1-b], purposes: [dpv:ServiceProvision], source: tests }}\n"
    )
}

/// Returns the same policy, parsed.
pub fn policy(end: &str) -> Policy {
    read(&policy_text(end)).policy.unwrap()
}

/// Parses a policy with the shared schema.
pub fn read(text: &str) -> CheckedPolicy {
    read_with(text, SCHEMA)
}

/// Parses a policy with another schema.
pub fn read_with(text: &str, schema: &str) -> CheckedPolicy {
    let checked = parse("policy.yaml", text, &OneSchema(schema));
    assert!(checked.policy.is_some(), "{:?}", checked.problems);
    checked
}

/// Parses the policy with another version and other rules, each with its id, what it matches and
/// how long it keeps.
pub fn with_rules(version: &str, rules: &[String]) -> CheckedPolicy {
    let text = policy_text("remove").replace("version: test-1", &format!("version: \"{version}\""));
    let rules: String = rules
        .iter()
        .map(|rule| format!("  - {{ {rule} }}\n"))
        .collect();
    parse(
        "policy.yaml",
        &format!("{}rules:\n{rules}", text.split_once("rules:\n").unwrap().0),
        &OneSchema(SCHEMA),
    )
}

/// The end of records as cells of at least three people.
pub const ANONYMIZE: &str =
    "{ anonymize: { k: 3, of: recipient, cell: [customer_id, status], sum: [segments] } }";
