//! The deadlines that count from a notice.

use std::collections::BTreeSet;

use ebbtide_base::ids::{Country, ProductKey};
use ebbtide_controls::Notice;
use ebbtide_policy::{Calendar, Policy, Profile, Resolver, Trigger};

/// Describes the deadlines of a product that count from a notice: by the rules of its tenant, if it
/// names one.
#[must_use]
pub fn reading(policy: &Policy, product: &ProductKey, notice: &Notice) -> String {
    let (trigger, at) = notice.trigger();
    let records = policy
        .products
        .get(product)
        .and_then(|product| product.records.as_ref());
    let (Some(records), Some(resolver)) = (records, Resolver::new(policy, product)) else {
        return "the policy has no such product: nothing counts from it".to_owned();
    };
    let mut waiting: BTreeSet<String> = BTreeSet::new();
    let mut note = |profile: &Profile| {
        let terms = profile.terms.iter().filter(|term| term.trigger == trigger);
        waiting.extend(terms.map(|term| term.category.to_string()));
    };
    match notice.tenant() {
        None => resolver.profiles().for_each(|profile| note(profile)),
        Some(tenant) => {
            let class = resolver.tenant_class(Some(tenant));
            let countries = (0..Country::INDEXES).filter_map(Country::of_index);
            countries.for_each(|country| note(resolver.profile(country, class)));
        }
    }
    let findable = match trigger {
        Trigger::ContractEnd => records
            .tenant
            .as_ref()
            .is_some_and(|column| records.fields.contains_key(column)),
        _ => match notice {
            Notice::ConsentWithdrawal { subject, .. } => subject.is_stored_in(records),
            Notice::ContractEnd { .. } => false,
        },
    };
    if waiting.is_empty() {
        return "nothing counts from it".to_owned();
    }
    let waiting = waiting.into_iter().collect::<Vec<_>>().join(", ");
    match (findable, Calendar::is_countable(at)) {
        (false, _) => {
            "stores nothing that shows whose its records are: none can be found".to_owned()
        }
        (true, true) => format!("{waiting} counted from it"),
        (true, false) => format!("{waiting} open: nothing is counted from that date"),
    }
}
