use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::ColumnClass;
use crate::resolve::tests::{CATEGORIES, brute, records, rules};
use crate::tests::{GOOD, good};
use crate::{PolicyText, Rule, SchemaSource, parse};
use ebbtide_base::ids::{Category, Country};

/// The schema of the good policy, with words replaced.
struct EditedSchema<'a>(&'a [(&'a str, &'a str)]);

impl SchemaSource for EditedSchema<'_> {
    fn load(&self, path: &str) -> Result<String, String> {
        let text = std::fs::read_to_string(format!("../../tests/policies/{path}"))
            .map_err(|error| error.to_string())?;
        Ok(replaced(&text, self.0))
    }
}

fn replaced(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "nothing to replace: {from}");
        text.replace(from, to)
    })
}

/// Returns the good policy in version 2, with words of it and of its schema replaced.
fn edited(words: &[(&str, &str)], schema: &[(&str, &str)]) -> (Policy, PolicyText) {
    let text = replaced(&GOOD.replace("version: \"1\"", "version: \"2\""), words);
    let checked = parse("new.yaml", &text, &EditedSchema(schema));
    let policy = checked
        .policy
        .unwrap_or_else(|| panic!("{:#?}", checked.problems));
    (policy, checked.text)
}

fn compared(words: &[(&str, &str)], schema: &[(&str, &str)]) -> (PolicyDiff, Vec<String>) {
    let (new, text) = edited(words, schema);
    let diff = diff(&good(), &new);
    let refused = diff
        .refused
        .iter()
        .map(|refusal| refusal.problem("new.yaml", &text).to_string())
        .collect();
    (diff, refused)
}

fn fields(diff: &PolicyDiff) -> &[FieldDiff] {
    &diff
        .products
        .iter()
        .find(|product| product.product.as_str() == "sms")
        .unwrap()
        .fields
}

fn changes(diff: &PolicyDiff) -> Vec<(String, TermChange)> {
    let terms = diff.products.iter().flat_map(|product| &product.terms);
    terms
        .map(|term| (term.category.to_string(), term.change))
        .collect()
}

#[test]
fn a_policy_changes_nothing_of_itself() {
    let (diff, refused) = compared(&[], &[]);
    assert!(refused.is_empty() && fields(&diff).is_empty() && changes(&diff).is_empty());
    assert_eq!((diff.from.as_str(), diff.to.as_str()), ("1", "2"));
}

#[test]
fn windows_are_reported_as_shorter_longer_or_reworded() {
    for (keep, wanted) in [
        ("keep: 20 days", TermChange::Shorter),
        ("keep: 31 days", TermChange::Longer),
        // One day in spring has 23 hours, one in autumn has 25.
        ("keep: 720 hours", TermChange::Mixed),
        ("keep: 1 month", TermChange::Mixed),
        ("keep: 2 months", TermChange::Longer),
        ("keep: 30 days\n    boundary: at_least", TermChange::Longer),
        (
            "keep: 30 days\n    trigger: consent_withdrawn",
            TermChange::Shorter,
        ),
        (
            "keep: 40 days\n    trigger: consent_withdrawn",
            TermChange::Mixed,
        ),
    ] {
        let (diff, refused) = compared(&[("keep: 30 days", keep)], &[]);
        assert_eq!(changes(&diff), [("content".to_owned(), wanted)], "{keep}");
        assert_eq!(refused, [""; 0], "{keep}: it has a basis");
    }
}

#[test]
fn stored_data_is_kept_longer_only_by_a_rule_that_names_a_basis() {
    let longer = (
        "keep: 30 days\n    bases: [eu-gdpr:A6-1-b]",
        "keep: 3 months",
    );
    let (_, refused) = compared(&[longer], &[]);
    insta::assert_snapshot!("no_basis", refused.join("\n"));
    let shorter = ("keep: 30 days\n    bases: [eu-gdpr:A6-1-b]", "keep: 3 days");
    assert_eq!(
        compared(&[shorter], &[]).1,
        [""; 0],
        "to keep less needs no basis"
    );
    let moved = [
        ("body: content", "body: traffic_data"),
        ("bases: [eu-gdpr:A6-1-f]", "purposes: [care]"),
    ];
    let (_, refused) = compared(&moved, &[]);
    assert_eq!(
        refused.len(),
        1,
        "a field that moves to a category of a longer window is lengthened: {refused:?}"
    );
    assert!(
        refused[0].contains("rules.default: it keeps content of the stored records longer"),
        "{refused:?}"
    );
}

#[test]
fn fields_are_added_removed_renamed_and_reclassified() {
    let personal = |category: &str| ColumnClass::Personal(category.parse().unwrap());
    let (diff, refused) = compared(&[("      labels: none\n", "")], &[]);
    let removed = FieldDiff::Removed {
        column: "labels".to_owned(),
        class: ColumnClass::NotPersonal,
    };
    assert_eq!((fields(&diff), refused), (&[removed][..], Vec::new()));

    let (diff, _) = compared(
        &[("      body: content\n", "      body: traffic_data\n")],
        &[],
    );
    let column = "body".to_owned();
    let moved = FieldDiff::Reclassified {
        column,
        from: personal("content"),
        to: personal("traffic_data"),
    };
    assert_eq!(fields(&diff), [moved]);
    assert_eq!(
        changes(&diff),
        [("content".to_owned(), TermChange::Removed)]
    );

    let alias = (
        "\"name\": \"body\"",
        "\"name\": \"text\", \"aliases\": [\"body\"]",
    );
    let (diff, refused) = compared(
        &[("      body: content\n", "      text: content\n")],
        &[alias],
    );
    let renamed = FieldDiff::Renamed {
        from: "body".to_owned(),
        to: "text".to_owned(),
    };
    assert_eq!((fields(&diff), refused), (&[renamed][..], Vec::new()));
    assert!(changes(&diff).is_empty());

    let (diff, _) = compared(
        &[("      body: content\n", "      text: content\n")],
        &[("\"name\": \"body\"", "\"name\": \"text\"")],
    );
    assert_eq!(
        fields(&diff).len(),
        2,
        "without an alias it is another field"
    );
}

#[test]
fn changes_that_stored_rows_cannot_follow_are_refused_with_a_fix() {
    let mut all = Vec::new();
    for (words, schema) in [
        (vec![("zone: Europe/Amsterdam", "zone: UTC")], vec![]),
        (
            vec![(
                "zone: Europe/Amsterdam",
                "zone: Europe/Amsterdam\nbucket: hour",
            )],
            vec![],
        ),
        (
            vec![(
                "{ country_of: recipient }\n    subjects",
                "{ country_of: sender_number }\n    subjects",
            )],
            vec![],
        ),
        (
            vec![("    tenant: customer\n", "    tenant: status\n")],
            vec![],
        ),
        (
            vec![("      body: content\n", "      body: none\n")],
            vec![],
        ),
        (
            vec![
                ("      status: none\n", "      status: content\n"),
                (", status]", "]"),
            ],
            vec![],
        ),
        (
            vec![(
                "sent_hour: { hour_of: sent_at }",
                "sent_hour: { country_of: sender_number }",
            )],
            vec![],
        ),
        (
            vec![(
                "recipient: phone }",
                "recipient: phone, sender_name: phone }",
            )],
            vec![],
        ),
    ] {
        let (_, refused) = compared(&words, &schema);
        assert_eq!(refused.len(), 1, "{words:?}: {refused:#?}");
        all.extend(refused);
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn wall_clocks_of_stored_rows_keep_their_zone_and_never_become_instants() {
    let (instant, wall) = ("timestamp-millis", "local-timestamp-millis");
    let zoned = |zone: &str| {
        let words = format!("event_time: sent_at\n    event_time_zone: {zone}");
        edited(
            &[("event_time: sent_at", words.as_str())],
            &[(instant, wall)],
        )
        .0
    };
    let refused = |old: &Policy, new: &Policy| {
        diff(
            old,
            &Policy {
                version: "3".parse().unwrap(),
                ..new.clone()
            },
        )
        .refused
        .into_iter()
        .map(|refusal| refusal.what)
        .collect::<Vec<_>>()
    };
    let (kolkata, amsterdam) = (zoned("Asia/Kolkata"), zoned("Europe/Amsterdam"));
    // Both store instants.
    assert_eq!(refused(&kolkata, &edited(&[], &[]).0), [""; 0]);
    assert_eq!(refused(&edited(&[], &[]).0, &kolkata), [""; 0]);
    let what = refused(&kolkata, &amsterdam);
    assert!(
        what.len() == 1 && what[0].contains("by the clocks of Asia/Kolkata"),
        "{what:?}"
    );
    // A field that is stored as received.
    let field = "{\"name\": \"status\", \"type\": \"string\"}";
    let of = |kind: &str| {
        format!(
            "{{\"name\": \"status\", \"type\": {{\"type\": \"long\", \"logicalType\": \"{kind}\"}}}}"
        )
    };
    let words = [(", status]", "]")];
    let (walls, instants) = (
        edited(&words, &[(field, &of(wall))]).0,
        edited(&words, &[(field, &of(instant))]).0,
    );
    let what = refused(&walls, &instants);
    assert!(
        what.iter()
            .any(|what| what == "`status` is stored as wall-clock times and would be instants"),
        "{what:?}"
    );
}

#[test]
fn one_version_is_one_text() {
    let mut other = good();
    other.digest = PolicyText::default().digest();
    let refused = diff(&good(), &other).refused;
    assert_eq!(refused.len(), 1);
    assert!(
        refused[0]
            .what
            .contains("another policy has the version `1` already")
    );
}

#[test]
fn added_or_removed_product_is_reported_with_all_its_terms() {
    let mut without = good();
    without.products.remove(&"sms".parse().unwrap()).unwrap();
    let removal = diff(&good(), &without);
    assert_eq!(
        removal
            .products
            .iter()
            .map(|product| product.what)
            .collect::<Vec<_>>(),
        [ProductPresence::Removed]
    );
    assert!(
        changes(&removal)
            .iter()
            .all(|(_, change)| *change == TermChange::Removed)
    );
    let come = diff(&without, &good());
    assert_eq!(come.products[0].what, ProductPresence::Added);
    assert!(
        come.refused.is_empty(),
        "what was never stored is not lengthened"
    );
}

/// Returns true if the diff reports a change of that category for records of that country and
/// tenant.
fn tells(
    diff: &PolicyDiff,
    rules: &[&Rule],
    (category, country, tenant): (&str, &str, Option<&str>),
) -> bool {
    let mine = || {
        rules.iter().filter(|rule| {
            rule.products.is_empty() || rule.products.iter().any(|of| of.as_str() == "sms")
        })
    };
    let countries: BTreeSet<Country> = mine()
        .flat_map(|rule| rule.jurisdictions.iter().copied())
        .collect();
    let tenants: BTreeSet<&str> = mine()
        .flat_map(|rule| rule.tenants.iter().map(String::as_str))
        .collect();
    let (category, country): (Category, Country) =
        (category.parse().unwrap(), country.parse().unwrap());
    let named = tenant.filter(|tenant| tenants.contains(tenant));
    let sms = diff
        .products
        .iter()
        .find(|product| product.product.as_str() == "sms")
        .unwrap();
    let mut terms = sms.terms.iter().filter(|term| {
        let of_country = match countries.contains(&country) {
            true => term.jurisdictions.contains(&country),
            false => term.jurisdictions.is_empty(),
        };
        let of_tenant = match named {
            Some(tenant) => term.tenants.iter().any(|of| of == tenant),
            None => term.tenants.is_empty(),
        };
        term.category == category && of_country && of_tenant
    });
    let found = terms.next().is_some();
    assert!(terms.next().is_none(), "one answer for one record");
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn record_keeps_its_terms_exactly_where_both_policies_resolve_it_alike(
        before in rules(6),
        after in rules(6),
    ) {
        let terms = |rules: &[Rule], category: &str, country: &str, tenant: Option<&str>| {
            brute(rules, category, country, tenant).map(|rule| (rule.keep, rule.trigger, rule.boundary))
        };
        let old = Policy { rules: before.clone(), ..good() };
        let new = Policy { rules: after.clone(), ..good() };
        let diff = diff(&old, &new);
        let both: Vec<&Rule> = before.iter().chain(&after).collect();
        for category in CATEGORIES {
            for (country, tenant) in records() {
                let same = terms(&before, category, country, tenant) == terms(&after, category, country, tenant);
                prop_assert_eq!(tells(&diff, &both, (category, country, tenant)), !same, "{} {} {:?}", category, country, tenant);
            }
        }
    }
}
