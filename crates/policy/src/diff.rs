//! Compares two policies: for each product its fields, and for each kind of record the retention of
//! each category.
//!
//! Invariants: every difference in the stored data and its retention is found. A change that cannot
//! be applied to stored data is refused, with the fix. Pure: must never read a table.

mod fields;
mod model;
mod refuse;
mod terms;
mod windows;
mod words;

use std::collections::BTreeSet;

pub use fields::ColumnChanges;
pub use model::{
    FieldDiff, PolicyDiff, ProductDiff, ProductPresence, RefusedChange, TermChange, TermDiff,
    TermReport,
};
pub use terms::{RecordKind, ResolverPair};
pub use words::{countries, differences};

use super::calendar::Calendar;
use super::model::Policy;
use ebbtide_base::ids::ProductKey;
use windows::WindowComparison;

/// Returns the changes from `old` to `new`.
#[must_use]
pub fn diff(old: &Policy, new: &Policy) -> PolicyDiff {
    let mut refused = Vec::new();
    refuse::whole(old, new, &mut refused);
    let mut windows = WindowComparison::new(Calendar::new(new.zone, new.bucket));
    let keys: BTreeSet<&ProductKey> = old.products.keys().chain(new.products.keys()).collect();
    let mut products = Vec::new();
    for key in keys {
        let of = |policy: &'_ Policy| {
            policy
                .products
                .get(key)
                .and_then(|product| product.records.clone())
        };
        let (before, after) = (of(old), of(new));
        let what = match (&before, &after) {
            (None, None) => continue,
            (None, Some(_)) => ProductPresence::Added,
            (Some(_), None) => ProductPresence::Removed,
            (Some(_), Some(_)) => ProductPresence::Kept,
        };
        let moved = ColumnChanges::of(before.as_ref(), after.as_ref());
        let pairs = ResolverPair::of(old, new, key);
        let terms = pairs
            .as_ref()
            .map(|pairs| terms::changes(pairs, &mut windows))
            .unwrap_or_default();
        if let (Some(before), Some(after)) = (&before, &after) {
            refuse::columns(key, before, after, &moved, &mut refused);
            if let Some(pairs) = &pairs {
                refuse::tenants(key, before, after, pairs, &mut refused);
                refuse::lengthened(new, pairs, &moved, &mut windows, &mut refused);
            }
        }
        let end = |records: &Option<super::model::Records>| {
            records.as_ref().map(|records| model::end(&records.end))
        };
        let ends = (end(&before) != end(&after)).then(|| (end(&before), end(&after)));
        let home = |records: &Option<super::model::Records>| {
            records.as_ref().and_then(|of| of.default_country)
        };
        let default_country =
            (home(&before) != home(&after)).then(|| (home(&before), home(&after)));
        let product = key.clone();
        products.push(ProductDiff {
            product,
            what,
            fields: moved.fields,
            terms,
            ends,
            default_country,
        });
    }
    let names = |policy: &Policy| policy.categories.keys().cloned().collect::<BTreeSet<_>>();
    let (before, after) = (names(old), names(new));
    PolicyDiff {
        from: old.version.clone(),
        to: new.version.clone(),
        added: after.difference(&before).cloned().collect(),
        removed: before.difference(&after).cloned().collect(),
        products,
        refused,
    }
}

#[cfg(test)]
mod tests;
