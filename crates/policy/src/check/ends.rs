//! Checks that the subjects of a product are kept as long as the rest of its records: cells count
//! them at the very end.
//!
//! The deadlines themselves are compared, day by day through four years; the length of a month is
//! never estimated.

use std::collections::{BTreeMap, BTreeSet};

use super::super::calendar::Calendar;
use super::super::deadline::deadline;
use super::super::draft::{DraftProduct, DraftRule, PolicyDraft};
use super::super::model::{Rule, Trigger};
use super::NamedKind;
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_base::problem::Problems;

/// The results so far, so that nothing is compared or reported twice.
pub(super) struct SubjectEndCheck<'d> {
    calendar: Option<Calendar>,
    /// The rules that could be read.
    rules: &'d [&'d DraftRule],
    known: BTreeMap<(usize, usize), bool>,
    reported: BTreeSet<(&'d ProductKey, &'static str)>,
}

impl<'d> SubjectEndCheck<'d> {
    /// Returns a check without results. Without a zone there is no calendar and nothing to compare.
    pub(super) fn new(draft: &PolicyDraft, rules: &'d [&'d DraftRule]) -> Self {
        let calendar = draft
            .zone
            .zip(draft.bucket)
            .map(|(zone, unit)| Calendar::new(zone, unit));
        Self {
            calendar,
            rules,
            known: BTreeMap::new(),
            reported: BTreeSet::new(),
        }
    }

    /// Checks one kind of record. `terms` gives for each category the rule that applies.
    pub(super) fn check(
        &mut self,
        product: &'d DraftProduct,
        terms: &BTreeMap<&Category, usize>,
        kind: NamedKind<'_>,
        problems: &mut Problems,
    ) {
        if let Some((counted, at)) = &product.counted {
            if let Some((other, rule, of)) = self
                .outlived(counted, terms)
                .filter(|_| self.reported.insert((&product.key, "of")))
            {
                let what = format!(
                    "cells count `{counted}` at the end, but it is due before `{other}`{} (rule `{of}` against `{rule}`)",
                    kind.named()
                );
                let help = format!(
                    "keep `{counted}` at least as long, with the same trigger and boundary, or write `end: remove`"
                );
                problems.error(
                    *at,
                    &format!("products.{}.end.anonymize.of", product.key),
                    what,
                    help,
                );
            }
            return;
        }
        let Some((subjects, at)) = &product.subjects else {
            return;
        };
        let outlived: Vec<_> = subjects
            .iter()
            .map_while(|subject| self.outlived(subject, terms))
            .collect();
        let Some((other, ..)) = outlived
            .first()
            .filter(|_| outlived.len() == subjects.len())
        else {
            return;
        };
        if self.reported.insert((&product.key, "subjects")) {
            let what = format!(
                "every subject is due before `{other}`{}, in which no subject can then be found",
                kind.named()
            );
            let help = format!(
                "keep one subject's category as long as `{other}`, or keep `{other}` less long"
            );
            problems.warning(
                *at,
                &format!("products.{}.subjects", product.key),
                what,
                help,
            );
        }
    }

    /// Returns a category that may be kept longer than `one`, with its rule's id and the id of
    /// `one`'s rule.
    fn outlived<'t>(
        &mut self,
        one: &Category,
        terms: &BTreeMap<&'t Category, usize>,
    ) -> Option<(&'t Category, String, String)> {
        let rules = self.rules;
        let own = *terms.get(one)?;
        terms.iter().find_map(|(category, other)| {
            let lives = self.lives(own, *other);
            (!lives).then(|| {
                (
                    *category,
                    rules[*other].rule.id.to_string(),
                    rules[own].rule.id.to_string(),
                )
            })
        })
    }

    /// Returns true if data under rule `one` is always kept at least as long as data under rule
    /// `other`.
    fn lives(&mut self, one: usize, other: usize) -> bool {
        let rules = self.rules;
        let Some(calendar) = self.calendar else {
            return true;
        };
        if one == other || rules[one].broken || rules[other].broken {
            return true;
        }
        let tried = || outlives(&calendar, &rules[one].rule, &rules[other].rule);
        *self.known.entry((one, other)).or_insert_with(tried)
    }
}

/// Returns true if the deadline of `one` is never before that of `other`. A contract ends after its
/// events, at an unknown time; and consent may be withdrawn at any time.
fn outlives(calendar: &Calendar, one: &Rule, other: &Rule) -> bool {
    match (one.trigger, other.trigger) {
        (Trigger::Event, Trigger::ContractEnd) => return false,
        (Trigger::ConsentWithdrawn, Trigger::Event | Trigger::ContractEnd) => return false,
        _ => {}
    }
    if (one.keep, one.boundary) == (other.keep, other.boundary) {
        return true;
    }
    calendar.four_years().all(|bucket| {
        let due = |rule: &Rule| deadline(calendar, bucket, 0, rule.keep, rule.boundary);
        due(one) >= due(other)
    })
}
