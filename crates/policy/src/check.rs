//! Checks a policy as a whole: holes and clashes among its rules, subjects that expire before their
//! data, rules and categories that have no effect.
//!
//! Invariant: every kind of record that the rules distinguish is checked, and the kind that no rule
//! names. A rule that could not be read completely proves nothing here.

mod ends;

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{DraftProduct, DraftRule, PolicyDraft};
use super::model::{Jurisdiction, Rule};
use super::resolve::{RecordKinds, RuleMatch, RuleQuery, resolve};
use ebbtide_base::ids::{Category, Country};
use ebbtide_base::problem::Problems;

/// The rules whose matches could be read completely.
pub(super) struct CompleteRules<'d> {
    drafts: Vec<&'d DraftRule>,
    rules: Vec<Rule>,
    /// True if some rule was left out, so that an apparent hole may not be a hole.
    vague: bool,
}

/// One kind of record that the rules of a product distinguish.
#[derive(Debug, Clone, Copy)]
pub(super) struct NamedKind<'a> {
    country: Country,
    tenant: Option<&'a str>,
    named: bool,
    /// True if the product's jurisdiction can vary, and true if its tenant can, so that they are
    /// worth reporting.
    varies: (bool, bool),
}

impl NamedKind<'_> {
    /// Returns the part of the kind that rules name: ` in IT for tenant `acme``.
    fn named(&self) -> String {
        let country = if self.varies.0 && self.named {
            format!(" in {}", self.country)
        } else {
            String::new()
        };
        let tenant = self
            .tenant
            .filter(|_| self.varies.1)
            .map(|tenant| format!(" for tenant `{tenant}`"));
        country + &tenant.unwrap_or_default()
    }

    /// Returns the text of `named`, and adds that no rule names the rest if rules name other
    /// values.
    fn described(&self) -> String {
        let country = if self.varies.0 && !self.named {
            " in jurisdictions that no rule names"
        } else {
            ""
        };
        let tenant = if self.varies.1 && self.tenant.is_none() {
            " for tenants that no rule names"
        } else {
            ""
        };
        self.named() + country + tenant
    }
}

/// Adds the problems of the whole policy.
pub(super) fn check(draft: &PolicyDraft, problems: &mut Problems) {
    let drafts: Vec<&DraftRule> = draft.rules.iter().filter(|rule| !rule.vague).collect();
    let rules = drafts.iter().map(|draft| draft.rule.clone()).collect();
    let solid = CompleteRules {
        vague: drafts.len() < draft.rules.len(),
        drafts,
        rules,
    };
    let mut checks = ProductChecks {
        holds: BTreeSet::new(),
        ends: ends::SubjectEndCheck::new(draft, &solid.drafts),
    };
    for product in draft.products.iter().filter(|product| product.has_records) {
        let kinds = RecordKinds::new(&solid.rules, &product.key);
        if kinds.tenants.len() > usize::from(u16::MAX) {
            let at = solid.drafts.first().map(|rule| rule.at).unwrap_or_default();
            let what = format!(
                "the rules distinguish more than {} kinds of tenants",
                u16::MAX
            );
            problems.error(at, "rules", what, "give tenants of one agreement one rule");
            return;
        }
        check_product(product, &solid, &kinds, &mut checks, problems);
    }
    if !problems.any_error() {
        idle(draft, &solid, &checks.holds, problems);
    }
}

/// The results that the checks of all products share.
struct ProductChecks<'d> {
    /// The rules that apply to some kind of record, by their index.
    holds: BTreeSet<usize>,
    ends: ends::SubjectEndCheck<'d>,
}

fn check_product<'d>(
    product: &'d DraftProduct,
    solid: &CompleteRules<'_>,
    kinds: &RecordKinds,
    checks: &mut ProductChecks<'d>,
    problems: &mut Problems,
) {
    let mut holes: BTreeMap<&Category, NamedKind<'_>> = BTreeMap::new();
    let mut clashes: BTreeMap<(usize, usize), (&Category, NamedKind<'_>)> = BTreeMap::new();
    for kind in kinds_of(product, kinds) {
        let mut terms: BTreeMap<&Category, usize> = BTreeMap::new();
        for category in product.personal.keys() {
            let NamedKind {
                country, tenant, ..
            } = kind;
            match resolve(
                &solid.rules,
                RuleQuery {
                    product: &product.key,
                    category,
                    country,
                    tenant,
                },
            ) {
                RuleMatch::Rule(rule) => {
                    checks.holds.insert(rule);
                    terms.insert(category, rule);
                }
                RuleMatch::Hole => {
                    holes.entry(category).or_insert(kind);
                }
                RuleMatch::Clash(a, b) => {
                    clashes.entry((a, b)).or_insert((category, kind));
                }
            }
        }
        if terms.len() == product.personal.len() {
            checks.ends.check(product, &terms, kind, problems);
        }
    }
    for (category, kind) in holes.into_iter().filter(|_| !solid.vague) {
        let Some((column, at)) = product.personal.get(category) else {
            continue;
        };
        let what = format!(
            "no rule says how long `{category}` is kept{}",
            kind.described()
        );
        let help = format!(
            "add a rule that matches product `{}` and category `{category}` there, or widen one",
            product.key
        );
        problems.error(
            *at,
            &format!("products.{}.fields.{column}", product.key),
            what,
            help,
        );
    }
    for ((a, b), (category, kind)) in clashes {
        let (first, second) = (solid.drafts[a], solid.drafts[b]);
        let what = format!(
            "it is as specific as `{}` (line {}), and both match `{category}` of `{}`{}",
            first.rule.id,
            first.at.line,
            product.key,
            kind.named()
        );
        let help = "narrow one, or name in one of them what is more specific: a tenant, then a jurisdiction, a category, a product";
        problems.error(second.at, &format!("rules.{}", second.rule.id), what, help);
    }
}

/// Returns every possible kind of record of `product`.
fn kinds_of<'k>(product: &DraftProduct, kinds: &'k RecordKinds) -> Vec<NamedKind<'k>> {
    let (fixed, varies) = match product.jurisdiction {
        Some(Jurisdiction::Fixed(country)) => (vec![(country, true)], false),
        Some(Jurisdiction::Unknown) => (vec![(Country::UNKNOWN, false)], false),
        _ => (Vec::new(), kinds.countries.len() > 1),
    };
    let countries = if fixed.is_empty() {
        kinds
            .countries
            .iter()
            .enumerate()
            .map(|(class, country)| (*country, class > 0))
            .collect()
    } else {
        fixed
    };
    let tenants = if product.has_tenant {
        kinds.tenants.as_slice()
    } else {
        &kinds.tenants[..1]
    };
    let varies = (varies, tenants.len() > 1);
    let all = tenants
        .iter()
        .flat_map(|tenant| countries.iter().map(move |country| (tenant, *country)));
    all.map(|(tenant, (country, named))| NamedKind {
        country,
        tenant: tenant.as_deref(),
        named,
        varies,
    })
    .collect()
}

/// Warns of rules and categories that have no effect, and of products in which no subject can be
/// found.
fn idle(
    draft: &PolicyDraft,
    solid: &CompleteRules<'_>,
    holds: &BTreeSet<usize>,
    problems: &mut Problems,
) {
    for (_, rule) in solid
        .drafts
        .iter()
        .enumerate()
        .filter(|(index, _)| !holds.contains(index))
    {
        let what =
            "this rule holds for no record: nothing matches it, or more specific ones always win";
        problems.warning(
            rule.at,
            &format!("rules.{}", rule.rule.id),
            what,
            "take it out, or look at what it matches",
        );
    }
    let used: BTreeSet<&Category> = draft
        .products
        .iter()
        .flat_map(|product| product.personal.keys())
        .collect();
    for (category, of) in draft
        .categories
        .iter()
        .filter(|(category, _)| !used.contains(category))
    {
        let what = "no field is of this category";
        problems.warning(
            of.at,
            &format!("categories.{category}"),
            what,
            "take it out, or classify a field with it",
        );
    }
    for product in draft.products.iter().filter(|product| product.has_records) {
        let first = product.personal.values().map(|(_, at)| *at).min();
        if let Some(at) = first.filter(|_| {
            product
                .subjects
                .as_ref()
                .is_none_or(|(of, _)| of.is_empty())
        }) {
            let what = "its fields are personal and it names no subject, so the data of a subject cannot be found in it";
            let help =
                "write `subjects: { <column>: phone }`, or whichever column names the person";
            problems.warning(at, &format!("products.{}", product.key), what, help);
        }
    }
}
