//! Finds the rule that applies: the most specific of those that match.
//!
//! Invariant: each category of each record has one answer: a rule, or the hole or the clash.
//! Specificity compares tenant, jurisdiction, category and product, in that order. The number of
//! values that a rule lists does not change its specificity.

use std::collections::HashMap;
use std::sync::Arc;

use super::model::{ColumnClass, Policy, Rule};
use super::profile::{Profile, RetentionTerm};
use ebbtide_base::ids::{Category, Country, ProductKey, RuleId};

/// A class of tenants that no rule distinguishes. Class 0 contains the tenants that no rule of the
/// product names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TenantClass(pub u16);

/// One category of one kind of record, for which the rule is to be found.
#[derive(Debug, Clone, Copy)]
pub struct RuleQuery<'a> {
    /// The product.
    pub product: &'a ProductKey,
    /// The category.
    pub category: &'a Category,
    /// The jurisdiction; `ZZ` if it is unknown.
    pub country: Country,
    /// The tenant, if the record has one.
    pub tenant: Option<&'a str>,
}

/// The answer to a question, by indexes into the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleMatch {
    /// This rule applies.
    Rule(usize),
    /// No rule matches.
    Hole,
    /// These two rules match and neither is more specific. There may be more such rules.
    Clash(usize, usize),
}

impl Rule {
    /// Returns true if the rule matches.
    #[must_use]
    pub fn matches(&self, asked: RuleQuery<'_>) -> bool {
        all_or(&self.products, asked.product)
            && all_or(&self.categories, asked.category)
            && all_or(&self.jurisdictions, &asked.country)
            && (self.tenants.is_empty()
                || asked
                    .tenant
                    .is_some_and(|tenant| self.tenants.iter().any(|of| of == tenant)))
    }

    /// Returns the specificity. Of two rules that match, the one with the larger number applies.
    #[must_use]
    pub fn specificity(&self) -> u8 {
        u8::from(!self.tenants.is_empty()) << 3
            | u8::from(!self.jurisdictions.is_empty()) << 2
            | u8::from(!self.categories.is_empty()) << 1
            | u8::from(!self.products.is_empty())
    }
}

fn all_or<T: PartialEq>(named: &[T], value: &T) -> bool {
    named.is_empty() || named.contains(value)
}

/// Finds the rule that applies.
#[must_use]
pub fn resolve(rules: &[Rule], asked: RuleQuery<'_>) -> RuleMatch {
    let mut best: Option<(u8, usize)> = None;
    let mut rival = None;
    for (index, rule) in rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.matches(asked))
    {
        let specificity = rule.specificity();
        match best {
            Some((most, _)) if specificity < most => {}
            Some((most, _)) if specificity == most => rival = rival.or(Some(index)),
            _ => (best, rival) = (Some((specificity, index)), None),
        }
    }
    match (best, rival) {
        (None, _) => RuleMatch::Hole,
        (Some((_, rule)), None) => RuleMatch::Rule(rule),
        (Some((_, rule)), Some(rival)) => RuleMatch::Clash(rule, rival),
    }
}

/// The rules of one product, resolved for every kind of record that they distinguish.
#[derive(Debug, Clone)]
pub struct Resolver {
    countries: Vec<u16>,
    tenants: HashMap<String, TenantClass>,
    profiles: Vec<Vec<Arc<Profile>>>,
}

impl Resolver {
    /// Resolves the rules of `product`. `None` for a product without records, or one that the
    /// policy lacks.
    #[must_use]
    pub fn new(policy: &Policy, product: &ProductKey) -> Option<Resolver> {
        let records = policy.products.get(product)?.records.as_ref()?;
        let mut categories: Vec<&Category> = records
            .fields
            .values()
            .filter_map(ColumnClass::category)
            .collect();
        categories.sort();
        categories.dedup();
        let kinds = RecordKinds::new(&policy.rules, product);
        let profile = |country: Country, tenant: Option<&str>| {
            let terms = categories.iter().filter_map(|category| {
                match resolve(
                    &policy.rules,
                    RuleQuery {
                        product,
                        category,
                        country,
                        tenant,
                    },
                ) {
                    RuleMatch::Rule(rule) => {
                        Some(RetentionTerm::from_rule(&policy.rules[rule], category))
                    }
                    // A checked policy has neither for any possible record.
                    RuleMatch::Hole | RuleMatch::Clash(..) => None,
                }
            });
            Profile::new(terms.collect())
        };
        let mut known: HashMap<String, Arc<Profile>> = HashMap::new();
        let mut profiles = Vec::with_capacity(kinds.tenants.len());
        for tenant in &kinds.tenants {
            let row = kinds.countries.iter().map(|country| {
                let profile = profile(*country, tenant.as_deref());
                // Equal terms of different rules are separate profiles here, with the same id.
                let rules = profile.terms.iter().filter_map(|term| term.rule.as_ref());
                let rules: Vec<&str> = rules.map(RuleId::as_str).collect();
                let key = format!("{} {}", profile.text, rules.join(" "));
                Arc::clone(known.entry(key).or_insert_with(|| Arc::new(profile)))
            });
            profiles.push(row.collect());
        }
        Some(Resolver {
            countries: kinds.country_class,
            tenants: kinds.tenant_class,
            profiles,
        })
    }

    /// Returns the class of `tenant`; 0 for none.
    #[must_use]
    pub fn tenant_class(&self, tenant: Option<&str>) -> TenantClass {
        tenant
            .and_then(|tenant| self.tenants.get(tenant))
            .copied()
            .unwrap_or_default()
    }

    /// Returns the profile of records of `country` and of a tenant of class `tenant`, as if they
    /// arrived in their own bucket.
    #[must_use]
    pub fn profile(&self, country: Country, tenant: TenantClass) -> &Arc<Profile> {
        let row = self
            .profiles
            .get(usize::from(tenant.0))
            .unwrap_or(&self.profiles[0]);
        &row[usize::from(self.countries[country.index()])]
    }

    /// Returns the index of that profile in [`Resolver::profiles`], for tables by kind of record.
    #[must_use]
    pub fn kind(&self, country: Country, tenant: TenantClass) -> usize {
        let tenant = Some(usize::from(tenant.0))
            .filter(|row| *row < self.profiles.len())
            .unwrap_or(0);
        tenant * self.profiles[0].len() + usize::from(self.countries[country.index()])
    }

    /// Returns the profile of each kind of record that the rules distinguish. Several kinds may
    /// have the same profile.
    pub fn profiles(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.profiles.iter().flatten()
    }
}

/// The kinds of records that the rules of a product distinguish, with one representative of each
/// class. No rule names class 0.
#[derive(Debug, Clone)]
pub(super) struct RecordKinds {
    /// A country of each class.
    pub(super) countries: Vec<Country>,
    /// A tenant of each class; `None` for class 0.
    pub(super) tenants: Vec<Option<String>>,
    country_class: Vec<u16>,
    tenant_class: HashMap<String, TenantClass>,
}

impl RecordKinds {
    /// Returns the kinds that `rules` distinguish for `product`. Beyond 65,535 classes of tenants
    /// the rest counts as class 0; the check of a policy refuses such a number.
    pub(super) fn new(rules: &[Rule], product: &ProductKey) -> Self {
        let mut by_country: HashMap<Country, Vec<usize>> = HashMap::new();
        let mut by_tenant: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, rule) in rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| all_or(&rule.products, product))
        {
            for country in &rule.jurisdictions {
                by_country.entry(*country).or_default().push(index);
            }
            for tenant in &rule.tenants {
                by_tenant.entry(tenant).or_default().push(index);
            }
        }
        let unnamed = (0..Country::INDEXES)
            .filter_map(Country::of_index)
            .find(|of| !by_country.contains_key(of));
        let mut countries = vec![unnamed.unwrap_or(Country::UNKNOWN)];
        let mut country_class = vec![0; Country::INDEXES];
        let mut classes: HashMap<Vec<usize>, u16> = HashMap::new();
        let mut sorted: Vec<_> = by_country.into_iter().collect();
        sorted.sort();
        for (country, named) in sorted {
            let class = *classes.entry(named).or_insert_with(|| {
                countries.push(country);
                u16::try_from(countries.len() - 1).unwrap_or(0)
            });
            country_class[country.index()] = class;
        }
        let mut tenants = vec![None];
        let mut tenant_class = HashMap::new();
        let mut classes: HashMap<Vec<usize>, u16> = HashMap::new();
        let mut sorted: Vec<_> = by_tenant.into_iter().collect();
        sorted.sort();
        for (tenant, named) in sorted {
            let class = *classes.entry(named).or_insert_with(|| {
                tenants.push(Some(tenant.to_owned()));
                u16::try_from(tenants.len() - 1).unwrap_or(0)
            });
            tenant_class.insert(tenant.to_owned(), TenantClass(class));
        }
        Self {
            countries,
            tenants,
            country_class,
            tenant_class,
        }
    }

    /// Returns the class of a country.
    pub(super) fn country_class(&self, country: Country) -> usize {
        usize::from(self.country_class[country.index()])
    }

    /// Returns the class of a tenant; 0 for none.
    pub(super) fn tenant_class(&self, tenant: Option<&str>) -> usize {
        let class = tenant.and_then(|tenant| self.tenant_class.get(tenant));
        class.map_or(0, |class| usize::from(class.0))
    }

    /// Returns the countries of a class, sorted. Empty for class 0, which no rule names.
    pub(super) fn countries_of(&self, class: usize) -> Vec<Country> {
        let all = (0..Country::INDEXES).filter_map(Country::of_index);
        all.filter(|country| class > 0 && self.country_class(*country) == class)
            .collect()
    }

    /// Returns the tenants of a class, sorted. Empty for class 0, which no rule names.
    pub(super) fn tenants_of(&self, class: usize) -> Vec<String> {
        let named = self
            .tenant_class
            .iter()
            .filter(|(_, of)| usize::from(of.0) == class);
        let mut tenants: Vec<String> = named.map(|(tenant, _)| tenant.clone()).collect();
        tenants.sort();
        tenants
    }
}

#[cfg(test)]
pub(super) mod tests;
