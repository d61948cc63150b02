use proptest::prelude::*;
use proptest::sample::subsequence;

use super::super::tests::good;
use super::super::{Boundary, Policy, RetentionPeriod, Trigger};
use super::*;
use ebbtide_base::ids::RuleId;

const COUNTRIES: [&str; 4] = ["FR", "IT", "NL", "ZZ"];
const TENANTS: [&str; 3] = ["acme", "bond", "corp"];
pub(crate) const CATEGORIES: [&str; 3] = ["content", "phone_number", "traffic_data"];
const PRODUCTS: [&str; 2] = ["numbers", "sms"];

fn rule() -> impl Strategy<Value = Rule> {
    // Half of the lists are empty, which matches all.
    let some =
        |of: &'static [&'static str]| prop_oneof![Just(Vec::new()), subsequence(of, 1..=of.len())];
    (
        some(&PRODUCTS),
        some(&CATEGORIES),
        some(&COUNTRIES),
        some(&TENANTS),
        0_u32..4,
        any::<bool>(),
    )
        .prop_map(
            |(products, categories, jurisdictions, tenants, days, least)| Rule {
                id: RuleId::new("to-be-numbered").unwrap(),
                products: products
                    .into_iter()
                    .map(|text| text.parse().unwrap())
                    .collect(),
                categories: categories
                    .into_iter()
                    .map(|text| text.parse().unwrap())
                    .collect(),
                jurisdictions: jurisdictions
                    .into_iter()
                    .map(|text| text.parse().unwrap())
                    .collect(),
                tenants: tenants.into_iter().map(str::to_owned).collect(),
                keep: RetentionPeriod::Days(days),
                trigger: Trigger::Event,
                boundary: if least {
                    Boundary::AtLeast
                } else {
                    Boundary::AtMost
                },
                grace: RetentionPeriod::Hours(24),
                bases: vec!["eu-gdpr:A6-1-f".to_owned()],
                purposes: Vec::new(),
                source: None,
            },
        )
}

pub(crate) fn rules(most: usize) -> impl Strategy<Value = Vec<Rule>> {
    proptest::collection::vec(rule(), 0..=most).prop_map(|mut rules| {
        for (index, rule) in rules.iter_mut().enumerate() {
            rule.id = RuleId::new(&format!("rule-{index}")).unwrap();
        }
        rules
    })
}

/// Resolves by the definition of the policy language. Of the rules that match, those that name the
/// tenant come before those that do not. Among equals, those that name the jurisdiction come first;
/// then the category; then the product. `None` unless exactly one rule is left.
pub(crate) fn brute<'r>(
    rules: &'r [Rule],
    category: &str,
    country: &str,
    tenant: Option<&str>,
) -> Option<&'r Rule> {
    let mut left: Vec<&Rule> = Vec::new();
    for rule in rules {
        let product =
            rule.products.is_empty() || rule.products.iter().any(|of| of.as_str() == "sms");
        let category =
            rule.categories.is_empty() || rule.categories.iter().any(|of| of.as_str() == category);
        let country = rule.jurisdictions.is_empty()
            || rule.jurisdictions.iter().any(|of| of.as_str() == country);
        let tenant =
            rule.tenants.is_empty() || rule.tenants.iter().any(|of| Some(of.as_str()) == tenant);
        if product && category && country && tenant {
            left.push(rule);
        }
    }
    let dimensions: [fn(&Rule) -> bool; 4] = [
        |rule| !rule.tenants.is_empty(),
        |rule| !rule.jurisdictions.is_empty(),
        |rule| !rule.categories.is_empty(),
        |rule| !rule.products.is_empty(),
    ];
    for names in dimensions {
        if left.iter().any(|rule| names(rule)) {
            left.retain(|rule| names(rule));
        }
    }
    if left.len() == 1 { left.pop() } else { None }
}

pub(crate) fn records() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let tenants = TENANTS
        .iter()
        .map(|tenant| Some(*tenant))
        .chain([None, Some("unnamed")]);
    tenants.flat_map(|tenant| {
        COUNTRIES
            .iter()
            .chain(&["DE", "AA"])
            .map(move |country| (*country, tenant))
    })
}

/// Returns the rules as the text of a policy file.
fn written(rules: &[Rule]) -> String {
    let list = |key: &str, of: Vec<&str>| match of.is_empty() {
        true => String::new(),
        false => format!("    {key}: [{}]\n", of.join(", ")),
    };
    let rules = rules.iter().map(|rule| {
        format!(
            "  - id: {}\n    keep: {}\n    boundary: {}\n",
            rule.id, rule.keep, rule.boundary
        ) + &list(
            "products",
            rule.products.iter().map(ProductKey::as_str).collect(),
        ) + &list(
            "categories",
            rule.categories.iter().map(Category::as_str).collect(),
        ) + &list(
            "jurisdictions",
            rule.jurisdictions.iter().map(Country::as_str).collect(),
        ) + &list("tenants", rule.tenants.iter().map(String::as_str).collect())
    });
    rules.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_fast_resolver_answers_as_brute_force_does(rules in rules(9)) {
        let sms = ProductKey::new("sms").unwrap();
        let policy = Policy { rules, ..good() };
        let resolver = Resolver::new(&policy, &sms).unwrap();
        for (country, tenant) in records() {
            let profile = resolver.profile(country.parse().unwrap(), resolver.tenant_class(tenant));
            let fast: Vec<_> = profile.terms.iter().map(|term| (term.category.as_str(), term.rule.as_ref().unwrap().as_str())).collect();
            let slow: Vec<_> = CATEGORIES
                .iter()
                .filter_map(|category| Some((*category, brute(&policy.rules, category, country, tenant)?.id.as_str())))
                .collect();
            prop_assert_eq!(fast, slow, "{} {:?}", country, tenant);
        }
    }

    #[test]
    fn the_check_refuses_exactly_the_rules_that_leave_some_record_without_one(rules in rules(4)) {
        let file = super::super::tests::GOOD.split("rules:\n").next().unwrap().replace(
            "anonymize: { k: 11, of: recipient, cell: [customer, recipient_country, status], sum: [segments] }", "remove",
        ).replace("end:\n      remove", "end: remove");
        let text = format!("{file}rules:\n  - {{ id: default, keep: 1 day }}\n{}", written(&rules));
        let mut all = vec![Rule { id: RuleId::new("default").unwrap(), ..any_rule() }];
        all.extend(rules);
        let sound = records().all(|(country, tenant)| {
            CATEGORIES.iter().all(|category| brute(&all, category, country, tenant).is_some())
        });
        let checked = super::super::tests::parsed(&text);
        prop_assert_eq!(checked.policy.is_some(), sound, "{}\n{:#?}", text, checked.problems);
    }
}

fn any_rule() -> Rule {
    Rule {
        id: RuleId::new("any").unwrap(),
        products: Vec::new(),
        categories: Vec::new(),
        jurisdictions: Vec::new(),
        tenants: Vec::new(),
        keep: RetentionPeriod::Days(1),
        trigger: Trigger::Event,
        boundary: Boundary::AtMost,
        grace: RetentionPeriod::Hours(24),
        bases: Vec::new(),
        purposes: Vec::new(),
        source: None,
    }
}

#[test]
fn tenants_that_no_rule_distinguishes_share_one_class() {
    let named = |tenants: &[&str]| Rule {
        tenants: tenants.iter().map(|text| (*text).to_owned()).collect(),
        ..any_rule()
    };
    let policy = Policy {
        rules: vec![
            any_rule(),
            named(&["acme", "bond", "corp"]),
            named(&["corp"]),
        ],
        ..good()
    };
    let resolver = Resolver::new(&policy, &ProductKey::new("sms").unwrap()).unwrap();
    assert_eq!(
        resolver.tenant_class(Some("acme")),
        resolver.tenant_class(Some("bond"))
    );
    assert_ne!(
        resolver.tenant_class(Some("acme")),
        resolver.tenant_class(Some("corp"))
    );
    assert_eq!(resolver.tenant_class(Some("unnamed")), TenantClass(0));
    assert_eq!(resolver.tenant_class(None), TenantClass(0));
}

#[test]
fn a_product_without_records_has_nothing_to_resolve() {
    assert!(Resolver::new(&good(), &ProductKey::new("numbers").unwrap()).is_none());
    assert!(Resolver::new(&good(), &ProductKey::new("unheard_of").unwrap()).is_none());
}
