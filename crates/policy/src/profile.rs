//! A profile: the resolved rules of one kind of record, and the id by which its rows are stored
//! together.
//!
//! Invariants: rows of one bucket and one profile id have the same deadlines, because the id is the
//! hash of everything that a deadline depends on besides the bucket. The text never names a rule,
//! so that rules of equal windows share files.

mod text;

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::calendar::Calendar;
use super::deadline::deadline;
use super::model::{Boundary, RetentionPeriod, Rule, Trigger};
use ebbtide_base::ids::{Bucket, Category, Deadline, ProfileId, RuleId};

/// The retention terms of one category of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionTerm {
    /// The category.
    pub category: Category,
    /// The rule that applies; `None` if the profile was read from its text, which names no rules.
    pub rule: Option<RuleId>,
    /// The retention period.
    pub keep: RetentionPeriod,
    /// The trigger that starts the retention period.
    pub trigger: Trigger,
    /// The kind of limit that `keep` is: a maximum or a minimum.
    pub boundary: Boundary,
    /// The bucket in which the trigger occurred: the contract's end, or a withdrawal that makes the
    /// deadline earlier. `None` while it is unknown, and always if the trigger is the event.
    pub known: Option<Bucket>,
}

/// The known triggers of a record besides its event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordTriggers {
    /// The bucket in which the contract with its tenant ended, or will end.
    pub contract_end: Option<Bucket>,
    /// The bucket in which consent was withdrawn.
    pub withdrawn: Option<Bucket>,
}

/// The resolved rules of one kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The first 12 hexadecimal digits of the SHA-256 of `text`.
    pub id: ProfileId,
    /// `content=6 months at_most event;phone_number=24 months at_least event;late=1`; `none`
    /// without a term.
    pub text: String,
    /// The number of buckets after the record's own bucket from which a minimum counts: 0 unless
    /// the record arrived late and some term is a minimum.
    pub late: u32,
    /// One term for each personal category of the product, sorted by category.
    pub terms: Vec<RetentionTerm>,
}

impl Profile {
    /// Returns the profile of `terms` for records that arrived in their own bucket.
    #[must_use]
    pub fn new(mut terms: Vec<RetentionTerm>) -> Self {
        terms.sort_by(|a, b| a.category.cmp(&b.category));
        Self::build(terms, 0)
    }

    /// Returns the profile with the same terms for records whose minimums count from `late` buckets
    /// after their own. Without a minimum `late` counts as 0.
    #[must_use]
    pub fn with_late(&self, late: u32) -> Profile {
        let late = if self.has_minimum() { late } else { 0 };
        Self::build(self.terms.clone(), late)
    }

    /// Returns the profile with the same terms for records of `bucket` with these known triggers.
    /// Unknown triggers stay as they are. Of two withdrawals the earlier counts. A withdrawal
    /// before the record, or not before its deadline, changes nothing.
    #[must_use]
    pub fn with_triggered(
        &self,
        triggered: RecordTriggers,
        calendar: &Calendar,
        bucket: Bucket,
    ) -> Profile {
        let known = |term: &RetentionTerm| match term.trigger {
            Trigger::Event => None,
            Trigger::ContractEnd => triggered.contract_end.or(term.known),
            Trigger::ConsentWithdrawn => {
                let new = triggered
                    .withdrawn
                    .filter(|withdrawn| term.is_cut(calendar, bucket, *withdrawn));
                match (new, term.known) {
                    (Some(new), Some(known)) => Some(new.min(known)),
                    (new, known) => new.or(known),
                }
            }
        };
        Self::build(
            self.terms
                .iter()
                .map(|term| RetentionTerm {
                    known: known(term),
                    ..term.clone()
                })
                .collect(),
            self.late,
        )
    }

    /// Returns the result of [`Profile::with_triggered`], and the deadlines that it changes.
    #[must_use]
    pub fn moved_by(
        &self,
        triggered: RecordTriggers,
        calendar: &Calendar,
        bucket: Bucket,
    ) -> (Profile, Vec<(Category, Option<Deadline>)>) {
        let new = self.with_triggered(triggered, calendar, bucket);
        let changed = self
            .terms
            .iter()
            .zip(&new.terms)
            .filter(|(old, new)| old.known != new.known);
        let deadlines = changed
            .map(|(_, term)| {
                (
                    term.category.clone(),
                    term.deadline(calendar, bucket, new.late),
                )
            })
            .collect();
        (new, deadlines)
    }

    /// Returns true if any term has that trigger, whether it has occurred or not.
    #[must_use]
    pub fn has_trigger(&self, trigger: Trigger) -> bool {
        self.terms.iter().any(|term| term.trigger == trigger)
    }

    /// Returns true if some deadline is open, because the end of the contract is unknown.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.terms
            .iter()
            .any(|term| term.trigger == Trigger::ContractEnd && term.known.is_none())
    }

    /// Returns true if some deadline of the profile with that text is open. If another version of
    /// the program wrote the text, only the trigger is evaluated.
    #[must_use]
    pub fn is_open_text(text: &str) -> bool {
        let open = || {
            text.split(';')
                .any(|term| term.ends_with(&format!(" {}", Trigger::ContractEnd)))
        };
        Profile::parse(text).map_or_else(open, |profile| profile.is_open())
    }

    /// Returns true if any term is a minimum.
    #[must_use]
    pub fn has_minimum(&self) -> bool {
        self.terms
            .iter()
            .any(|term| term.boundary == Boundary::AtLeast)
    }

    /// Returns the deadline of each term's category for records of `bucket`, in the order of
    /// `terms`; `None` while a deadline is open.
    #[must_use]
    pub fn deadlines(&self, calendar: &Calendar, bucket: Bucket) -> Vec<Option<Deadline>> {
        let mut found: Vec<Option<Deadline>> = Vec::with_capacity(self.terms.len());
        for (index, term) in self.terms.iter().enumerate() {
            // Mostly one rule applies to several categories, and the calendar is the expensive
            // part.
            let key = |of: &RetentionTerm| (of.keep, of.trigger, of.boundary, of.known);
            let alike = |of: &RetentionTerm| key(of) == key(term);
            let known = self.terms[..index]
                .iter()
                .position(alike)
                .map(|before| found[before]);
            found.push(known.unwrap_or_else(|| term.deadline(calendar, bucket, self.late)));
        }
        found
    }

    fn build(terms: Vec<RetentionTerm>, late: u32) -> Self {
        let mut text = String::new();
        for term in &terms {
            let RetentionTerm {
                category,
                keep,
                trigger,
                boundary,
                known,
                ..
            } = term;
            // Writing to a text cannot fail.
            let _ = write!(text, "{category}={keep} {boundary} {trigger}");
            let _ = known.map(|known| write!(text, " {known}"));
            text.push(';');
        }
        if late > 0 {
            let _ = write!(text, "late={late};");
        }
        match text.pop() {
            Some(_) => {}
            None => text.push_str("none"),
        }
        Self {
            id: id_of(&text),
            text,
            late,
            terms,
        }
    }
}

impl RetentionTerm {
    /// Returns the terms that `rule` gives to `category`.
    #[must_use]
    pub fn from_rule(rule: &Rule, category: &Category) -> Self {
        let Rule {
            id,
            keep,
            trigger,
            boundary,
            ..
        } = rule;
        let (category, rule) = (category.clone(), Some(id.clone()));
        Self {
            category,
            rule,
            keep: *keep,
            trigger: *trigger,
            boundary: *boundary,
            known: None,
        }
    }

    /// Returns the deadline of the category for records of `bucket` whose minimums count from
    /// `late` buckets after it. `None` while the contract's end is unknown: the length of the
    /// contract is then unknown too. Once it is known, the deadline is counted from the bucket of
    /// the end in the same way as from that of an event, without `late`. A withdrawal makes the
    /// category due at the beginning of the withdrawal's bucket, unless its window ends before.
    #[must_use]
    pub fn deadline(&self, calendar: &Calendar, bucket: Bucket, late: u32) -> Option<Deadline> {
        let window = |from, late| deadline(calendar, from, late, self.keep, self.boundary);
        match self.trigger {
            Trigger::ContractEnd => self.known.map(|end| window(end, 0)),
            Trigger::Event => Some(window(bucket, late)),
            Trigger::ConsentWithdrawn => {
                let window = window(bucket, late);
                Some(self.known.map_or(window, |withdrawn| {
                    window.min(Deadline(calendar.start(withdrawn)))
                }))
            }
        }
    }

    /// Returns true if a withdrawal makes the deadline of records of `bucket` earlier: they existed
    /// when it came, and were not due yet.
    fn is_cut(&self, calendar: &Calendar, bucket: Bucket, withdrawn: Bucket) -> bool {
        let at = calendar.start(withdrawn);
        calendar.start(bucket) <= at
            && at < deadline(calendar, bucket, 0, self.keep, self.boundary).0
    }
}

fn id_of(text: &str) -> ProfileId {
    let hash = Sha256::digest(text.as_bytes());
    ProfileId::of_hash([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]])
}

#[cfg(test)]
mod tests;
