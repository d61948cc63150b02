//! Reads the rules of a policy: what each matches, and the terms that then apply.
//!
//! Invariant: a rule whose match could not be read completely is marked, so that it causes no
//! further problem.

use super::super::draft::{DraftRule, PolicyDraft};
use super::super::model::{Boundary, RetentionPeriod, Rule, Trigger};
use super::columns::KeyPosition;
use super::period::keep;
use super::product::country;
use super::value_reader::{TextForm, ValueReader, did_you_mean};
use ebbtide_base::ids::{Category, Country, ProductKey, RuleId};
use ebbtide_base::yaml::{YamlNode, check_keys, join};

const KEYS: [&str; 12] = [
    "id",
    "products",
    "categories",
    "jurisdictions",
    "tenants",
    "keep",
    "trigger",
    "boundary",
    "grace",
    "bases",
    "purposes",
    "source",
];

const TRIGGERS: [(&str, Trigger); 3] = [
    ("event", Trigger::Event),
    ("contract_end", Trigger::ContractEnd),
    ("consent_withdrawn", Trigger::ConsentWithdrawn),
];

const BOUNDARIES: [(&str, Boundary); 2] = [
    ("at_most", Boundary::AtMost),
    ("at_least", Boundary::AtLeast),
];

/// Reads all rules into the draft.
pub(super) fn read_all(root: &YamlNode, draft: &mut PolicyDraft, reading: &mut ValueReader<'_>) {
    let example = "[{ id: default, keep: 6 months }]";
    let Some(node) = reading.need(root, "rules", "", example) else {
        return;
    };
    for (index, node) in reading.items(node, "rules", example).iter().enumerate() {
        let id = node
            .get("id")
            .and_then(YamlNode::text)
            .filter(|id| RuleId::new(id).is_ok());
        let path = id.map_or_else(|| format!("rules[{index}]"), |id| format!("rules.{id}"));
        let rule = read(node, &path, draft, reading);
        if let Some(before) = draft
            .rules
            .iter()
            .find(|before| id.is_some() && before.rule.id == rule.rule.id)
        {
            let what = format!(
                "the id `{}` is that of the rule in line {} too",
                rule.rule.id, before.at.line
            );
            reading
                .problems
                .error(rule.at, &path, what, "give each rule an id of its own");
        }
        draft.rules.push(rule);
    }
}

fn read(
    node: &YamlNode,
    path: &str,
    draft: &PolicyDraft,
    reading: &mut ValueReader<'_>,
) -> DraftRule {
    check_keys(node, &KEYS, path, reading.problems);
    let id = reading.need(node, "id", path, "telecom-default");
    let id =
        id.and_then(|node| reading.parsed::<RuleId>(node, &join(path, "id"), "telecom-default"));
    let mut list = Lists {
        node,
        path,
        vague: !matches!(node.value, ebbtide_base::yaml::YamlValue::Map(_)),
    };
    let products: Vec<&str> = draft
        .products
        .iter()
        .map(|product| product.key.as_str())
        .collect();
    let products = list.read("products", reading, |item, path, reading| {
        let found = item
            .text()
            .and_then(|text| ProductKey::new(text).ok())
            .filter(|key| products.contains(&key.as_str()));
        let names = KnownNames {
            what: "product",
            names: &products,
        };
        known(item, path, names, found, reading)
    });
    let categories: Vec<&str> = draft.categories.keys().map(Category::as_str).collect();
    let categories = list.read("categories", reading, |item, path, reading| {
        let found = item
            .text()
            .and_then(|text| Category::new(text).ok())
            .filter(|of| categories.contains(&of.as_str()));
        let names = KnownNames {
            what: "category",
            names: &categories,
        };
        known(item, path, names, found, reading)
    });
    let jurisdictions: Vec<Country> = list.read("jurisdictions", reading, |item, path, reading| {
        let text = reading.text(item, path, "NL")?;
        country(text, KeyPosition { at: item.at, path }, reading)
    });
    let tenants = list.read("tenants", reading, |item, path, reading| {
        reading.words(item, path, 256).map(str::to_owned)
    });
    let vague = list.vague;
    let window = reading.need(node, "keep", path, "6 months");
    let window = window.and_then(|node| duration(node, &join(path, "keep"), reading));
    let (trigger, boundary) = (
        reading
            .maybe(node, "trigger")
            .map(|node| reading.one_of(node, &join(path, "trigger"), &TRIGGERS)),
        reading
            .maybe(node, "boundary")
            .map(|node| reading.one_of(node, &join(path, "boundary"), &BOUNDARIES)),
    );
    if let (Some(Some(Trigger::ConsentWithdrawn)), Some(Some(Boundary::AtLeast))) =
        (trigger, boundary)
    {
        let at = node.get("boundary").map_or(node.at, |node| node.at);
        let what = "a minimum cannot be over when consent is withdrawn";
        reading.problems.error(
            at,
            &join(path, "boundary"),
            what,
            "write `at_most`, or another trigger",
        );
    }
    let broken = window.is_none() || trigger == Some(None) || boundary == Some(None);
    let rule = Rule {
        id: id.unwrap_or_else(unnamed),
        products,
        categories,
        jurisdictions,
        tenants,
        keep: window.unwrap_or(RetentionPeriod::Days(0)),
        trigger: trigger.flatten().unwrap_or(Trigger::Event),
        boundary: boundary.flatten().unwrap_or(Boundary::AtMost),
        grace: grace(node, path, reading),
        bases: bases(node, path, reading),
        purposes: purposes(node, path, reading),
        source: reading
            .maybe(node, "source")
            .and_then(|node| reading.words(node, &join(path, "source"), 500))
            .map(str::to_owned),
    };
    let at = node.entry("id").map_or(node.at, |entry| entry.at);
    DraftRule {
        rule,
        at,
        vague,
        broken,
    }
}

/// Returns the id for a rule whose own id was refused. No policy with it is ever returned.
#[allow(clippy::unwrap_used, reason = "a literal that parses")]
fn unnamed() -> RuleId {
    RuleId::new("unnamed").unwrap()
}

/// The lists that say what a rule matches.
struct Lists<'n> {
    node: &'n YamlNode,
    path: &'n str,
    vague: bool,
}

impl Lists<'_> {
    fn read<T: PartialEq>(
        &mut self,
        key: &str,
        reading: &mut ValueReader<'_>,
        mut item: impl FnMut(&YamlNode, &str, &mut ValueReader<'_>) -> Option<T>,
    ) -> Vec<T> {
        let mut found: Vec<T> = Vec::new();
        let Some(node) = self.node.get(key) else {
            return found;
        };
        let path = join(self.path, key);
        let items = reading.items(node, &path, "[one, another]");
        if items.is_empty() {
            self.vague = true;
            if node.list().is_some() {
                reading.problems.error(
                    node.at,
                    &path,
                    "an empty list matches nothing",
                    "leave the key out to match all",
                );
            }
        }
        for node in items {
            match item(node, &path, reading) {
                None => self.vague = true,
                Some(value) if found.contains(&value) => {
                    let what = format!("`{}` is listed twice", node.text().unwrap_or_default());
                    reading.problems.error(node.at, &path, what, "list it once");
                }
                Some(value) => found.push(value),
            }
        }
        found
    }
}

/// The names of one kind that the policy declares.
struct KnownNames<'k> {
    /// The kind: `product`.
    what: &'k str,
    names: &'k [&'k str],
}

fn known<T>(
    item: &YamlNode,
    path: &str,
    known: KnownNames<'_>,
    found: Option<T>,
    reading: &mut ValueReader<'_>,
) -> Option<T> {
    let KnownNames { what, names } = known;
    let text = reading.text(item, path, names.first().copied().unwrap_or("sms"))?;
    if found.is_none() {
        reading.problems.error(
            item.at,
            path,
            format!("there is no {what} `{text}`"),
            did_you_mean(text, names),
        );
    }
    found
}

fn duration(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> Option<RetentionPeriod> {
    let text = reading.text(node, path, "6 months")?;
    match keep(text) {
        Ok(keep) => Some(keep),
        Err(help) => {
            reading
                .problems
                .error(node.at, path, format!("`{text}` is no duration"), help);
            None
        }
    }
}

fn grace(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> RetentionPeriod {
    const USUAL: RetentionPeriod = RetentionPeriod::Hours(24);
    let Some(node) = reading.maybe(node, "grace") else {
        return USUAL;
    };
    let path = join(path, "grace");
    match duration(node, &path, reading) {
        Some(RetentionPeriod::Hours(0) | RetentionPeriod::Days(0) | RetentionPeriod::Months(0)) => {
            let what = "without a grace every deadline is missed by the time that a sweep takes";
            reading.problems.error(
                node.at,
                &path,
                what,
                "write at least `1 hour`; `24 hours` is usual",
            );
            USUAL
        }
        grace => grace.unwrap_or(USUAL),
    }
}

fn bases(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> Vec<String> {
    let Some(list) = reading.maybe(node, "bases") else {
        if node.entries().is_empty() {
            return Vec::new();
        }
        let what = "no legal basis is given";
        let at = node.entry("id").map_or(node.at, |entry| entry.at);
        reading.problems.warning(
            at,
            path,
            what,
            "write `bases: [eu-gdpr:A6-1-c]`, or another that holds",
        );
        return Vec::new();
    };
    let path = join(path, "bases");
    let form = TextForm {
        what: "a legal basis by the W3C Data Privacy Vocabulary",
        example: "eu-gdpr:A6-1-c",
    };
    let items = reading.items(list, &path, "[eu-gdpr:A6-1-c]");
    items
        .iter()
        .filter_map(|item| {
            reading
                .shaped(item, &path, form, is_basis)
                .map(str::to_owned)
        })
        .collect()
}

fn purposes(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> Vec<String> {
    let Some(list) = reading.maybe(node, "purposes") else {
        return Vec::new();
    };
    let path = join(path, "purposes");
    let form = TextForm {
        what: "a purpose",
        example: "dpv:ServiceProvision",
    };
    let items = reading.items(list, &path, "[dpv:ServiceProvision]");
    items
        .iter()
        .filter_map(|item| {
            reading
                .shaped(item, &path, form, is_purpose)
                .map(str::to_owned)
        })
        .collect()
}

/// Returns true for `prefix:Term`. With the prefix `eu-gdpr` the term must be a possible basis: a
/// letter of article 6(1) or 9(2), also with DPV's finer divisions.
fn is_basis(text: &str) -> bool {
    let Some((prefix, term)) = text.split_once(':') else {
        return false;
    };
    let ends = |rest: &str, last: char| {
        let mut rest = rest.chars();
        rest.next()
            .is_some_and(|letter| ('a'..=last).contains(&letter))
            && matches!(rest.next(), None | Some('-'))
    };
    is_dashed(prefix)
        && is_dashed(term)
        && match prefix {
            "eu-gdpr" => {
                term.strip_prefix("A6-1-")
                    .is_some_and(|rest| ends(rest, 'f'))
                    || term
                        .strip_prefix("A9-2-")
                        .is_some_and(|rest| ends(rest, 'j'))
            }
            _ => true,
        }
}

/// Returns true for a word of the author's own (`service-integrity`), or `prefix:Term`.
fn is_purpose(text: &str) -> bool {
    match text.split_once(':') {
        None => is_dashed(text),
        Some((prefix, term)) => is_dashed(prefix) && is_dashed(term),
    }
}

fn is_dashed(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
