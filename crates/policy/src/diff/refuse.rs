//! Refuses changes that cannot be applied to stored data, each with the place in the new policy and
//! the fix.
//!
//! Invariants: a change that is not refused can be applied by dropping columns and rewriting tags,
//! which is all that is ever done to stored rows. Stored data is kept longer only by a rule that
//! names a legal basis.

use std::collections::BTreeSet;

use super::fields::ColumnChanges;
use super::model::RefusedChange;
use super::terms::ResolverPair;
use super::windows::{WindowComparison, same};
use crate::model::{
    ColumnClass, DerivedColumn, EndRule, Jurisdiction, Platform, Policy, Records, SubjectColumn,
    SubjectKind,
};
use crate::profile::RetentionTerm;
use crate::text::PolicyPosition;
use ebbtide_base::ids::{Category, ProductKey};

/// Refuses changes that affect every product.
pub(super) fn whole(old: &Policy, new: &Policy, refused: &mut Vec<RefusedChange>) {
    if old.version == new.version && old.digest != new.digest {
        let what = format!("another policy has the version `{}` already", new.version);
        refused.push(RefusedChange::key(
            ["version"],
            what,
            "give the new one a version of its own",
        ));
    }
    if old.zone != new.zone {
        let what = format!(
            "the days of stored data were counted in {}, not in {}",
            old.zone, new.zone
        );
        refused.push(RefusedChange::key(
            ["zone"],
            what,
            "keep the zone; begin another root for records of another zone",
        ));
    }
    if old.bucket != new.bucket {
        let what = "stored data is in buckets of another length";
        refused.push(RefusedChange::key(
            ["bucket"],
            what,
            "keep the bucket; begin another root for another one",
        ));
    }
}

/// Refuses changes of a product's columns that stored rows cannot follow.
pub(super) fn columns(
    product: &ProductKey,
    old: &Records,
    new: &Records,
    moved: &ColumnChanges,
    refused: &mut Vec<RefusedChange>,
) {
    let key = product.as_str();
    if moved.now(&old.event_time) != new.event_time {
        let what = format!(
            "stored data is in the buckets of `{}`, not of `{}`",
            old.event_time, new.event_time
        );
        let help =
            "keep the event time, or give the records that have another a product of their own";
        refused.push(RefusedChange::key(
            ["products", key, "event_time"],
            what,
            help,
        ));
    }
    if let (Some(was), Some(is)) = (old.event_time_zone, new.event_time_zone)
        && was != is
    {
        let what =
            format!("the event times of stored data were read by the clocks of {was}, not of {is}");
        let help = "keep the zone, or give the records of another zone a product of their own";
        refused.push(RefusedChange::key(
            ["products", key, "event_time_zone"],
            what,
            help,
        ));
    }
    if mapped(&old.jurisdiction, moved) != new.jurisdiction {
        let what = "the jurisdiction of stored data was determined in another way";
        let help = "keep it, or give records whose jurisdiction is determined otherwise a product of their own";
        refused.push(RefusedChange::key(
            ["products", key, "jurisdiction"],
            what,
            help,
        ));
    }
    let tenant = old.tenant.as_deref().map(|column| moved.now(column));
    if tenant.is_some() && tenant != new.tenant.as_deref() {
        let what = "the tenant of stored data is in another column";
        let help = "keep it, or give the records that name it elsewhere a product of their own";
        refused.push(RefusedChange::key(["products", key, "tenant"], what, help));
    }
    for (was, now, from, to) in moved.kept() {
        let spot = ["products", key, "fields", now];
        let types = (old.schema.column(was), new.schema.column(now));
        if let (Some(was), Some(is)) = types
            && was.local != is.local
            && now != new.event_time
            && old.fields.contains_key(&was.name)
            && new.fields.contains_key(&is.name)
        {
            let word = |local| {
                if local {
                    "wall-clock times"
                } else {
                    "instants"
                }
            };
            let what = format!(
                "`{now}` is stored as {} and would be {}",
                word(was.local),
                word(is.local)
            );
            let help = "give the field of the new type a name of its own, without an alias";
            refused.push(RefusedChange::key(spot, what, help));
        }
        if let (Some(was), Some(is)) = types
            && was.data_type != is.data_type
            && old.fields.contains_key(&was.name)
            && new.fields.contains_key(&is.name)
        {
            let what = format!(
                "`{now}` is stored as {} and would be {}",
                was.data_type, is.data_type
            );
            refused.push(RefusedChange::key(
                spot,
                what,
                "give the field of the new type a name of its own, without an alias",
            ));
        }
        if old.fields.contains_key(was) != new.fields.contains_key(now) {
            let what = format!("`{now}` was derived and would be a field, or the other way round");
            refused.push(RefusedChange::key(
                ["products", key, "derive", now],
                what,
                "give the new column a name of its own",
            ));
        }
        if let (ColumnClass::Personal(category), ColumnClass::NotPersonal) = (from, to) {
            let what = format!(
                "`{now}` is {category} in stored data, and would be kept for ever as not personal"
            );
            let help = "keep its category, or leave the field out and give a new one that is not personal another name";
            refused.push(RefusedChange::key(spot, what, help));
        }
        if let (ColumnClass::NotPersonal, ColumnClass::Personal(_)) = (from, to)
            && in_cells(was, &old.end)
        {
            let what =
                format!("`{now}` becomes personal, and cells that were made already show it");
            let help = "leave it out of the cells in a version of its own first, and remove the cells that show it";
            refused.push(RefusedChange::key(spot, what, help));
        }
    }
    for derived in &new.derive {
        let before = old.derive.iter().find(|before| before.name == derived.name);
        if before.is_some_and(|before| remade(before, moved) != *derived) {
            let what = format!(
                "`{}` of stored data was derived in another way",
                derived.name
            );
            let help = "give the new column a name of its own";
            refused.push(RefusedChange::key(
                ["products", key, "derive", &derived.name],
                what,
                help,
            ));
        }
    }
    let stored: BTreeSet<&str> = old.fields.keys().map(|column| moved.now(column)).collect();
    for subject in new
        .subjects
        .iter()
        .filter(|subject| stored.contains(subject.column.as_str()))
    {
        if !old
            .subjects
            .iter()
            .any(|before| renamed(before, moved) == *subject)
        {
            let what = format!(
                "`{}` is not stored in the form in which people are found",
                subject.column
            );
            let help =
                "give the field that names a person a name of its own, and leave the old one out";
            refused.push(RefusedChange::key(
                ["products", key, "subjects", &subject.column],
                what,
                help,
            ));
        }
    }
}

/// Refuses terms that depend on the tenant if stored rows may no longer contain their tenant.
pub(super) fn tenants(
    product: &ProductKey,
    old: &Records,
    new: &Records,
    pairs: &ResolverPair,
    refused: &mut Vec<RefusedChange>,
) {
    let class = |records: &Records| {
        records
            .tenant
            .as_ref()
            .and_then(|tenant| records.fields.get(tenant))
            .and_then(ColumnClass::category)
            .cloned()
    };
    let Some(category) = class(old).or_else(|| class(new)) else {
        return;
    };
    let unsure = pairs.all().any(|kind| {
        let other = super::terms::RecordKind { tenant: 0, ..kind };
        pairs.after(kind).map(|profile| &profile.id)
            != pairs.after(other).map(|profile| &profile.id)
    });
    if unsure {
        let what = format!(
            "rules name tenants, and the tenant is {category}, which is deleted before the rest of the record"
        );
        let help = "classify the tenant `none`, or let no rule name a tenant";
        refused.push(RefusedChange::key(
            ["products", product.as_str(), "tenant"],
            what,
            help,
        ));
    }
}

/// Refuses rules that keep stored data longer and name no legal basis.
pub(super) fn lengthened(
    new: &Policy,
    pairs: &ResolverPair,
    moved: &ColumnChanges,
    windows: &mut WindowComparison,
    refused: &mut Vec<RefusedChange>,
) {
    let mut reported: BTreeSet<(String, Category)> = BTreeSet::new();
    for kind in pairs.all() {
        let (Some(before), Some(after)) = (pairs.before(kind), pairs.after(kind)) else {
            continue;
        };
        let term = |terms: &'_ [RetentionTerm], category: &Category| {
            terms
                .iter()
                .find(|term| term.category == *category)
                .cloned()
        };
        let mut compare: Vec<(RetentionTerm, RetentionTerm)> = Vec::new();
        // Columns that keep their category, and columns that change to another.
        for (_, _, from, to) in moved.kept() {
            let (Some(from), Some(to)) = (from.category(), to.category()) else {
                continue;
            };
            compare.extend(term(&before.terms, from).zip(term(&after.terms, to)));
        }
        for (before, after) in compare {
            let is_same = same(&before, &after);
            if is_same || !windows.change(&before, &after).may_lengthen() {
                continue;
            }
            let Some(rule) = new
                .rules
                .iter()
                .find(|rule| after.rule.as_ref() == Some(&rule.id))
            else {
                continue;
            };
            if rule.bases.is_empty()
                && reported.insert((rule.id.to_string(), before.category.clone()))
            {
                let what = format!(
                    "it keeps {} of {} stored records longer ({} instead of {}) and names no legal basis",
                    before.category,
                    affected_countries(pairs, kind),
                    words(&after),
                    words(&before)
                );
                let help = "name the basis that allows it: `bases: [eu-gdpr:A6-1-c]`, or another that holds";
                refused.push(RefusedChange {
                    spot: PolicyPosition::Rule(rule.id.clone()),
                    what,
                    help: help.to_owned(),
                });
            }
        }
    }
}

/// Returns in words the records of the product that are meant, if the rules distinguish them.
fn affected_countries(pairs: &ResolverPair, kind: super::terms::RecordKind) -> String {
    let countries = pairs.jurisdictions(kind);
    match countries.first() {
        Some(first) if countries.len() == 1 => first.to_string(),
        Some(first) => format!("{first} and {} more countries'", countries.len() - 1),
        None => "the".to_owned(),
    }
}

fn words(term: &RetentionTerm) -> String {
    format!("{} {} from {}", term.boundary, term.keep, term.trigger)
}

/// Returns a jurisdiction of the old policy with the column names of the new one.
fn mapped(of: &Jurisdiction, moved: &ColumnChanges) -> Jurisdiction {
    match of {
        Jurisdiction::CountryOf(column) => Jurisdiction::CountryOf(moved.now(column).to_owned()),
        Jurisdiction::Column(column) => Jurisdiction::Column(moved.now(column).to_owned()),
        Jurisdiction::Fixed(country) => Jurisdiction::Fixed(*country),
        Jurisdiction::Unknown => Jurisdiction::Unknown,
    }
}

fn remade(derived: &DerivedColumn, moved: &ColumnChanges) -> DerivedColumn {
    DerivedColumn {
        of: moved.now(&derived.of).to_owned(),
        ..derived.clone()
    }
}

fn renamed(subject: &SubjectColumn, moved: &ColumnChanges) -> SubjectColumn {
    let kind = match &subject.kind {
        SubjectKind::Channel(Platform::Column(column)) => {
            SubjectKind::Channel(Platform::Column(moved.now(column).to_owned()))
        }
        kind => kind.clone(),
    };
    SubjectColumn {
        column: moved.now(&subject.column).to_owned(),
        kind,
    }
}

fn in_cells(column: &str, end: &EndRule) -> bool {
    match end {
        EndRule::Remove => false,
        EndRule::Anonymize(of) => of.cell.iter().chain(&of.sum).any(|cell| cell == column),
    }
}
