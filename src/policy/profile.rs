//! A profile: the resolved rules of one kind of record, and the id under which its rows lie together.
//!
//! Promises that rows of one bucket and one profile id share every deadline: the id is the hash of everything that a
//! deadline depends on besides the bucket. Must never name a rule in its text, so that rules of equal windows share files.

mod text;

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::calendar::Calendar;
use super::deadline::deadline;
use super::model::{Boundary, Keep, Rule, Trigger};
use crate::ids::{Bucket, Category, Deadline, ProfileId, RuleId};

/// What holds for one category of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The category.
    pub category: Category,
    /// The rule that won; `None` where the profile was read from its text, which names none.
    pub rule: Option<RuleId>,
    /// How long it is kept.
    pub keep: Keep,
    /// What starts the clock.
    pub trigger: Trigger,
    /// Whether `keep` is a ceiling or a minimum.
    pub boundary: Boundary,
    /// The bucket in which the trigger came: the contract's end, or a withdrawal that makes the deadline earlier. `None` while
    /// it is not known, and always where the trigger is the event.
    pub known: Option<Bucket>,
}

/// What is known of a record's triggers besides its event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Triggered {
    /// The bucket in which the contract with its tenant ended, or will.
    pub contract_end: Option<Bucket>,
    /// The bucket in which consent was withdrawn.
    pub withdrawn: Option<Bucket>,
}

/// The resolved rules of one kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The first 12 hexadecimal digits of the SHA-256 of `text`.
    pub id: ProfileId,
    /// `content=6 months at_most event;phone_number=24 months at_least event;late=1`; `none` without a term.
    pub text: String,
    /// How many buckets after the record's own a minimum starts to count: 0 unless it arrived late and some term is a minimum.
    pub late: u32,
    /// One term for each personal category of the product, sorted by category.
    pub terms: Vec<Term>,
}

impl Profile {
    /// The profile of `terms`, of records that arrived in their own bucket.
    #[must_use]
    pub fn new(mut terms: Vec<Term>) -> Self {
        terms.sort_by(|a, b| a.category.cmp(&b.category));
        Self::build(terms, 0)
    }

    /// The same terms for records whose minimums count from `late` buckets on. Without a minimum there is nothing to
    /// count: `late` is then taken as 0.
    #[must_use]
    pub fn with_late(&self, late: u32) -> Profile {
        let late = if self.has_minimum() { late } else { 0 };
        Self::build(self.terms.clone(), late)
    }

    /// The same terms where that is known of records of `bucket`. What is not known stays as it is; of two withdrawals the
    /// earlier counts, and one that came before the record, or only after its deadline, changes nothing.
    #[must_use]
    pub fn with_triggered(&self, triggered: Triggered, calendar: &Calendar, bucket: Bucket) -> Profile {
        let known = |term: &Term| match term.trigger {
            Trigger::Event => None,
            Trigger::ContractEnd => triggered.contract_end.or(term.known),
            Trigger::ConsentWithdrawn => {
                let new = triggered.withdrawn.filter(|withdrawn| term.is_cut(calendar, bucket, *withdrawn));
                match (new, term.known) {
                    (Some(new), Some(known)) => Some(new.min(known)),
                    (new, known) => new.or(known),
                }
            }
        };
        Self::build(self.terms.iter().map(|term| Term { known: known(term), ..term.clone() }).collect(), self.late)
    }

    /// Returns the result of [`Profile::with_triggered`], and the deadlines that it changes.
    #[must_use]
    pub fn moved_by(
        &self,
        triggered: Triggered,
        calendar: &Calendar,
        bucket: Bucket,
    ) -> (Profile, Vec<(Category, Option<Deadline>)>) {
        let new = self.with_triggered(triggered, calendar, bucket);
        let changed = self.terms.iter().zip(&new.terms).filter(|(old, new)| old.known != new.known);
        let deadlines =
            changed.map(|(_, term)| (term.category.clone(), term.deadline(calendar, bucket, new.late))).collect();
        (new, deadlines)
    }

    /// Whether any term waits for that trigger, or did.
    #[must_use]
    pub fn has_trigger(&self, trigger: Trigger) -> bool {
        self.terms.iter().any(|term| term.trigger == trigger)
    }

    /// Whether some deadline is open: of a contract whose end is not known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.terms.iter().any(|term| term.trigger == Trigger::ContractEnd && term.known.is_none())
    }

    /// Whether some deadline of the profile of that text is open. Of a text that another version wrote only the trigger is known.
    #[must_use]
    pub fn is_open_text(text: &str) -> bool {
        let open = || text.split(';').any(|term| term.ends_with(&format!(" {}", Trigger::ContractEnd)));
        Profile::parse(text).map_or_else(open, |profile| profile.is_open())
    }

    /// Whether any term is a minimum.
    #[must_use]
    pub fn has_minimum(&self) -> bool {
        self.terms.iter().any(|term| term.boundary == Boundary::AtLeast)
    }

    /// When each term's category is due for records of bucket `bucket`, beside `terms`; `None` while that is open.
    #[must_use]
    pub fn deadlines(&self, calendar: &Calendar, bucket: Bucket) -> Vec<Option<Deadline>> {
        let mut found: Vec<Option<Deadline>> = Vec::with_capacity(self.terms.len());
        for (index, term) in self.terms.iter().enumerate() {
            // Mostly one rule holds for several categories, and the calendar is the dear part.
            let key = |of: &Term| (of.keep, of.trigger, of.boundary, of.known);
            let alike = |of: &Term| key(of) == key(term);
            let known = self.terms[..index].iter().position(alike).map(|before| found[before]);
            found.push(known.unwrap_or_else(|| term.deadline(calendar, bucket, self.late)));
        }
        found
    }

    fn build(terms: Vec<Term>, late: u32) -> Self {
        let mut text = String::new();
        for term in &terms {
            let Term { category, keep, trigger, boundary, known, .. } = term;
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
        Self { id: id_of(&text), text, late, terms }
    }
}

impl Term {
    /// What `rule` says of `category`.
    #[must_use]
    pub fn of(rule: &Rule, category: &Category) -> Self {
        let Rule { id, keep, trigger, boundary, .. } = rule;
        let (category, rule) = (category.clone(), Some(id.clone()));
        Self { category, rule, keep: *keep, trigger: *trigger, boundary: *boundary, known: None }
    }

    /// When the category is due for records of `bucket` whose minimums count from `late` buckets on; `None` while that
    /// is open: until the contract's end is known, nothing of its length is. From then on it is counted from the bucket of
    /// the end as it is from that of an event. A withdrawal is due at the beginning of its bucket.
    #[must_use]
    pub fn deadline(&self, calendar: &Calendar, bucket: Bucket, late: u32) -> Option<Deadline> {
        let window = |from, late| deadline(calendar, from, late, self.keep, self.boundary);
        match self.trigger {
            Trigger::ContractEnd => self.known.map(|end| window(end, 0)),
            Trigger::Event => Some(window(bucket, late)),
            Trigger::ConsentWithdrawn => {
                let window = window(bucket, late);
                Some(self.known.map_or(window, |withdrawn| window.min(Deadline(calendar.start(withdrawn)))))
            }
        }
    }

    /// Whether a withdrawal makes the deadline of records of `bucket` earlier: those that were there when it came.
    fn is_cut(&self, calendar: &Calendar, bucket: Bucket, withdrawn: Bucket) -> bool {
        let at = calendar.start(withdrawn);
        calendar.start(bucket) <= at && at < deadline(calendar, bucket, 0, self.keep, self.boundary).0
    }
}

fn id_of(text: &str) -> ProfileId {
    let hash = Sha256::digest(text.as_bytes());
    ProfileId::of_hash([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5]])
}

#[cfg(test)]
mod tests;
