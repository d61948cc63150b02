//! What a diff tells.

use serde::Serialize;

use crate::ids::{Category, Country, PolicyVersion, ProductKey};
use crate::policy::model::{Boundary, Class, End, Trigger};
use crate::policy::profile::Term;
use crate::policy::text::{PolicyText, Spot};
use crate::problem::{Problem, Severity};

/// What one policy changes of another.
#[derive(Debug, Clone, Serialize)]
pub struct Diff {
    /// The version of the old one.
    pub from: PolicyVersion,
    /// The version of the new one.
    pub to: PolicyVersion,
    /// The categories that the new one has and the old one has not.
    pub added: Vec<Category>,
    /// The categories that the old one has and the new one has not.
    pub removed: Vec<Category>,
    /// Every product that has records in one of them.
    pub products: Vec<ProductDiff>,
    /// What cannot be carried out on what is stored. Told as problems of the new policy's file.
    #[serde(skip)]
    pub refused: Vec<Refusal>,
}

/// What changes of one product.
#[derive(Debug, Clone, Serialize)]
pub struct ProductDiff {
    /// The product.
    pub product: ProductKey,
    /// Whether it is in both.
    pub what: Presence,
    /// What changes of its columns, derived ones among them.
    pub fields: Vec<FieldDiff>,
    /// What changes of how long its categories are kept: a kind of record and category that is not here keeps its terms.
    pub terms: Vec<TermDiff>,
    /// How its records ended and how they will end, where that changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<(Option<String>, Option<String>)>,
    /// The default country of national numbers before and after, if it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_country: Option<(Option<Country>, Option<Country>)>,
}

/// Whether a product has records in the old policy, the new one or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// In the new one alone.
    Added,
    /// In the old one alone.
    Removed,
    /// In both.
    Kept,
}

/// What becomes of one column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldDiff {
    /// It is new. Stored records lack it.
    Added {
        /// Its name.
        column: String,
        /// What it is.
        class: Class,
    },
    /// It is no longer classified, and so no longer stored: stored records lose it.
    Removed {
        /// Its name.
        column: String,
        /// What it was.
        class: Class,
    },
    /// It has another name: the schema names the old one as an alias.
    Renamed {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// It is something else: stored records keep it as long as that says.
    Reclassified {
        /// Its name in the new policy.
        column: String,
        /// What it was.
        from: Class,
        /// What it becomes.
        to: Class,
    },
}

/// How the terms of one category change for one kind of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TermDiff {
    /// The category.
    pub category: Category,
    /// The jurisdictions, all told apart by rules in the same way; none given: those that no rule names.
    pub jurisdictions: Vec<Country>,
    /// The tenants; none given: those that no rule names, and records without one.
    pub tenants: Vec<String>,
    /// The terms until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Told>,
    /// The terms from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Told>,
    /// What that does.
    pub change: Change,
}

/// Terms, as they are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The rule that holds.
    pub rule: String,
    /// The window.
    pub keep: String,
    /// What starts the clock.
    pub trigger: Trigger,
    /// Which promise the window is.
    pub boundary: Boundary,
}

impl Told {
    pub(super) fn of(term: &Term) -> Told {
        let Term { rule, keep, trigger, boundary, .. } = term;
        let rule = rule.as_ref().map(ToString::to_string).unwrap_or_default();
        Told { rule, keep: keep.to_string(), trigger: *trigger, boundary: *boundary }
    }
}

/// What a change of terms does to the deadlines of what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The terms are the same.
    Same,
    /// Other words for the same deadlines.
    Reworded,
    /// No deadline becomes later, some become earlier.
    Shorter,
    /// No deadline becomes earlier, some become later.
    Longer,
    /// Some become earlier and some later, or it cannot be told before a contract ends or consent is withdrawn.
    Mixed,
    /// The product had no field of that category.
    Added,
    /// The product has no field of that category any more.
    Removed,
}

impl Change {
    /// Whether some deadline may become later.
    #[must_use]
    pub fn may_lengthen(self) -> bool {
        matches!(self, Change::Longer | Change::Mixed)
    }
}

/// What cannot be carried out on what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where the new policy says it.
    pub spot: Spot,
    /// What is wrong, in one sentence without a full stop.
    pub what: String,
    /// What to do, in one sentence without a full stop.
    pub mend: String,
}

impl Refusal {
    pub(super) fn key<const N: usize>(keys: [&str; N], what: impl Into<String>, mend: impl Into<String>) -> Refusal {
        Refusal { spot: Spot::Key(keys.map(str::to_owned).to_vec()), what: what.into(), mend: mend.into() }
    }

    /// It as a problem of the new policy, which stands in `text` and is called `file`.
    #[must_use]
    pub fn problem(&self, file: &str, text: &PolicyText) -> Problem {
        let (at, path) = text.find(&self.spot);
        let (what, mend) = (self.what.clone(), self.mend.clone());
        Problem { severity: Severity::Error, file: file.to_owned(), at, path, what, mend }
    }
}

/// How records end, in words.
pub(super) fn end(end: &End) -> String {
    match end {
        End::Remove => "remove".to_owned(),
        End::Anonymize(of) => {
            let sums = if of.sum.is_empty() { String::new() } else { format!(", sums of {}", of.sum.join(", ")) };
            format!("anonymize: k {} of {}, cells by {}{sums}", of.k, of.of, of.cell.join(", "))
        }
    }
}
