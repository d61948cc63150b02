//! The terms of two policies for every kind of record that either distinguishes, side by side.
//!
//! Invariant: within each policy, two records of one kind have the same terms. A record's kind is
//! its jurisdiction and its tenant, as far as the rules of either policy name them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{TermChange, TermDiff, TermReport};
use super::windows::WindowComparison;
use crate::model::{Jurisdiction, Policy, Records};
use crate::profile::{Profile, RetentionTerm};
use crate::resolve::{RecordKinds, Resolver};
use ebbtide_base::ids::{Category, Country, ProductKey};

/// The resolvers of two policies for one product, and the kinds of record that either policy
/// distinguishes.
#[derive(Debug, Clone)]
pub struct ResolverPair {
    kinds: RecordKinds,
    old: Option<Resolver>,
    new: Option<Resolver>,
    countries: Vec<usize>,
    tenants: Vec<usize>,
}

/// One kind of record, by the numbers of its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKind {
    /// The class of its jurisdiction; 0 if no rule names it.
    pub country: usize,
    /// The class of its tenant; 0 if no rule names it, or the record has none.
    pub tenant: usize,
}

impl ResolverPair {
    /// Returns the pairs of `product`; `None` if it has records in neither policy.
    #[must_use]
    pub fn of(old: &Policy, new: &Policy, product: &ProductKey) -> Option<ResolverPair> {
        let records = |policy: &'_ Policy| {
            policy
                .products
                .get(product)
                .and_then(|product| product.records.clone())
        };
        let (before, after) = (records(old), records(new));
        let all: Vec<&Records> = before.iter().chain(&after).collect();
        if all.is_empty() {
            return None;
        }
        let rules: Vec<_> = old.rules.iter().chain(&new.rules).cloned().collect();
        let kinds = RecordKinds::new(&rules, product);
        let mut fixed: Vec<Option<usize>> = all
            .iter()
            .map(|records| match &records.jurisdiction {
                Jurisdiction::Fixed(country) => Some(kinds.country_class(*country)),
                Jurisdiction::Unknown => Some(kinds.country_class(Country::UNKNOWN)),
                Jurisdiction::CountryOf(_) | Jurisdiction::Column(_) => None,
            })
            .collect();
        fixed.dedup();
        let countries = match fixed.iter().copied().collect::<Option<Vec<usize>>>() {
            Some(fixed) => fixed,
            None => (0..kinds.countries.len()).collect(),
        };
        let has_tenant = all.iter().any(|records| records.tenant.is_some());
        let tenants = if has_tenant {
            (0..kinds.tenants.len()).collect()
        } else {
            vec![0]
        };
        Some(ResolverPair {
            kinds,
            old: Resolver::new(old, product),
            new: Resolver::new(new, product),
            countries,
            tenants,
        })
    }

    /// Returns the kind of a record.
    #[must_use]
    pub fn kind(&self, country: Country, tenant: Option<&str>) -> RecordKind {
        RecordKind {
            country: self.kinds.country_class(country),
            tenant: self.kinds.tenant_class(tenant),
        }
    }

    /// Returns every possible kind of record.
    pub fn all(&self) -> impl Iterator<Item = RecordKind> + '_ {
        let tenants = self.tenants.iter();
        tenants.flat_map(|tenant| {
            self.countries.iter().map(|country| RecordKind {
                country: *country,
                tenant: *tenant,
            })
        })
    }

    /// Returns true if the rules of either policy distinguish tenants.
    #[must_use]
    pub fn tells_tenants(&self) -> bool {
        self.tenants.len() > 1
    }

    /// Returns the jurisdictions of a kind. Empty means those that no rule names.
    #[must_use]
    pub fn jurisdictions(&self, kind: RecordKind) -> Vec<Country> {
        self.kinds.countries_of(kind.country)
    }

    /// Returns the tenants of a kind. Empty means those that no rule names.
    #[must_use]
    pub fn tenants(&self, kind: RecordKind) -> Vec<String> {
        self.kinds.tenants_of(kind.tenant)
    }

    /// Returns the profile of a kind under the old policy.
    #[must_use]
    pub fn before(&self, kind: RecordKind) -> Option<&Arc<Profile>> {
        self.profile(self.old.as_ref()?, kind)
    }

    /// Returns the profile of a kind under the new policy.
    #[must_use]
    pub fn after(&self, kind: RecordKind) -> Option<&Arc<Profile>> {
        self.profile(self.new.as_ref()?, kind)
    }

    fn profile<'p>(&'p self, of: &'p Resolver, kind: RecordKind) -> Option<&'p Arc<Profile>> {
        let country = *self.kinds.countries.get(kind.country)?;
        let tenant = self.kinds.tenants.get(kind.tenant)?.as_deref();
        Some(of.profile(country, of.tenant_class(tenant)))
    }
}

/// Returns the changes of the terms of each kind of record.
pub(super) fn changes(pairs: &ResolverPair, windows: &mut WindowComparison) -> Vec<TermDiff> {
    let mut found = Vec::new();
    for kind in pairs.all() {
        let mut both: BTreeMap<&Category, (Option<&RetentionTerm>, Option<&RetentionTerm>)> =
            BTreeMap::new();
        for term in pairs
            .before(kind)
            .into_iter()
            .flat_map(|profile| &profile.terms)
        {
            both.entry(&term.category).or_default().0 = Some(term);
        }
        for term in pairs
            .after(kind)
            .into_iter()
            .flat_map(|profile| &profile.terms)
        {
            both.entry(&term.category).or_default().1 = Some(term);
        }
        for (category, (before, after)) in both {
            let change = match (before, after) {
                (Some(before), Some(after)) => windows.change(before, after),
                (None, _) => TermChange::Added,
                (_, None) => TermChange::Removed,
            };
            if change != TermChange::Same {
                found.push(TermDiff {
                    category: category.clone(),
                    jurisdictions: pairs.jurisdictions(kind),
                    tenants: pairs.tenants(kind),
                    before: before.map(TermReport::from_term),
                    after: after.map(TermReport::from_term),
                    change,
                });
            }
        }
    }
    found
}
