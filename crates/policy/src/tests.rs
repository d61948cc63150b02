use std::path::Path;

use proptest::prelude::*;

use super::*;
use ebbtide_base::problem::Severity;
use ebbtide_base::yaml::{YamlNode, YamlValue};

pub(super) const GOOD: &str = include_str!("../../../tests/policies/good.yaml");

struct Folder(&'static str);

impl SchemaSource for Folder {
    fn load(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(Path::new(self.0).join(path)).map_err(|error| error.to_string())
    }
}

pub(super) fn parsed(text: &str) -> CheckedPolicy {
    parse("policy.yaml", text, &Folder("../../tests/policies"))
}

pub(super) fn good() -> Policy {
    parsed(GOOD).policy.expect("the good policy is good")
}

fn shipped() -> (String, Policy) {
    let text = std::fs::read_to_string("../../config/policy.yaml").unwrap();
    let checked = parse("policy.yaml", &text, &Folder("../../config"));
    (text, checked.policy.expect("the shipped policy is good"))
}

#[test]
fn omitted_key_has_its_default() {
    let policy = good();
    assert_eq!(policy.bucket, ebbtide_base::ids::BucketUnit::Day);
    let rule = &policy.rules[0];
    assert_eq!(
        (rule.trigger, rule.boundary, rule.grace),
        (Trigger::Event, Boundary::AtMost, RetentionPeriod::Hours(24))
    );
    assert!(rule.products.is_empty() && rule.tenants.is_empty());
}

#[test]
fn records_of_other_names_are_dead_letters_unless_skipped_by_policy() {
    let others = |records: &str| {
        let policy = parsed(&GOOD.replace("topics: [sms]", &format!("topics: [sms]\n{records}")))
            .policy
            .unwrap();
        policy
            .products
            .values()
            .find_map(|product| Some(product.records.as_ref()?.others))
            .unwrap()
    };
    assert_eq!(others(""), OtherRecords::DeadLetter);
    assert_eq!(
        others("    records: { names: [Message] }"),
        OtherRecords::DeadLetter
    );
    assert_eq!(
        others("    records: { others: dead_letter }"),
        OtherRecords::DeadLetter
    );
    assert_eq!(others("    records: { others: skip }"), OtherRecords::Skip);
}

#[test]
fn every_record_of_the_shipped_policy_has_a_profile_of_all_its_categories() {
    let (_, policy) = shipped();
    assert_eq!(policy.products.len(), 14);
    for (key, product) in policy
        .products
        .iter()
        .filter(|(_, product)| product.records.is_some())
    {
        let resolver = Resolver::new(&policy, key).unwrap();
        let fields = &product.records.as_ref().unwrap().fields;
        let categories: std::collections::BTreeSet<_> =
            fields.values().filter_map(ColumnClass::category).collect();
        for country in (0..ebbtide_base::ids::Country::INDEXES)
            .filter_map(ebbtide_base::ids::Country::of_index)
        {
            for tenant in [
                None,
                Some("tenant-0001"),
                Some("tenant-0002"),
                Some("another"),
            ] {
                let profile = resolver.profile(country, resolver.tenant_class(tenant));
                assert!(
                    profile
                        .terms
                        .iter()
                        .map(|term| &term.category)
                        .eq(categories.iter().copied()),
                    "{key} {country}"
                );
            }
        }
    }
}

/// Converts a node in the way an editor's YAML reader does: whole numbers become numbers.
fn as_json(node: &YamlNode) -> serde_json::Value {
    match &node.value {
        YamlValue::Text(text) => text
            .parse::<u64>()
            .map_or_else(|_| text.as_str().into(), Into::into),
        YamlValue::Null => serde_json::Value::Null,
        YamlValue::List(items) => items.iter().map(as_json).collect(),
        YamlValue::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), as_json(&entry.value)))
            .collect(),
    }
}

#[test]
fn the_json_schema_takes_the_shipped_policy_and_refuses_what_is_malformed() {
    let schema: serde_json::Value = serde_json::from_str(JSON_SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults = |text: &str| -> Vec<String> {
        let json = as_json(&ebbtide_base::yaml::parse(text).unwrap());
        validator
            .iter_errors(&json)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect()
    };
    let listed = GOOD.replace(
        "topics: [sms]",
        "topics: [sms]\n    records: { names: [Message], others: skip }",
    );
    for text in [shipped().0.as_str(), GOOD, &listed] {
        assert_eq!(faults(text), [""; 0]);
    }
    for name in [
        "unknown_keys",
        "bad_values",
        "columns",
        "tags",
        "rules",
        "cells",
        "topics",
        "a_list",
        "empty",
        "record_names",
    ] {
        let text = std::fs::read_to_string(format!("../../tests/policies/{name}.yaml")).unwrap();
        assert!(!faults(&text).is_empty(), "{name}");
    }
}

/// Applies one edit to a text, of the kinds that people make.
fn edited(text: &str, (kind, at, word): (u8, usize, &str)) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = at % lines.len();
    match kind {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => lines.swap(at, 0),
        3 => lines[at] = format!("  {}", lines[at]),
        4 => lines[at] = lines[at].split(": ").next().unwrap_or_default().to_owned() + ": " + word,
        _ => {
            let middle = lines[at]
                .char_indices()
                .nth(lines[at].chars().count() / 2)
                .map_or(0, |(index, _)| index);
            lines[at].insert_str(middle, word);
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_policy_is_reported_in_place_and_never_breaks_the_check(
        edits in proptest::collection::vec((0_u8..6, any::<usize>(), "[]\\[{}a-z:,#&*!|> '\"-]{0,6}|none|\\PC{0,4}|-?[0-9]{1,12} (days|months)"), 1..4),
    ) {
        let text = edits.iter().fold(GOOD.to_owned(), |text, (kind, at, word)| edited(&text, (*kind, *at, word)));
        let checked = parsed(&text);
        let errors = checked.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        prop_assert_eq!(checked.policy.is_none(), errors > 0);
        for problem in &checked.problems {
            prop_assert!(problem.at.line >= 1 && problem.at.line <= text.lines().count() + 1, "{}", problem);
            prop_assert!(problem.at.column >= 1, "{}", problem);
            prop_assert!(!problem.what.is_empty() && !problem.what.ends_with('.'), "{}", problem);
            prop_assert!(!problem.help.is_empty() && !problem.help.ends_with('.'), "{}", problem);
        }
        if let Some(policy) = checked.policy {
            for key in policy.products.keys() {
                let _ = Resolver::new(&policy, key);
            }
        }
    }
}
