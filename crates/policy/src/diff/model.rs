//! The content of a diff.

use serde::Serialize;

use crate::model::{Boundary, ColumnClass, EndRule, Trigger};
use crate::profile::RetentionTerm;
use crate::text::{PolicyPosition, PolicyText};
use ebbtide_base::ids::{Category, Country, PolicyVersion, ProductKey};
use ebbtide_base::problem::{Problem, Severity};

/// The changes from one policy to another.
#[derive(Debug, Clone, Serialize)]
pub struct PolicyDiff {
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
    /// The changes that cannot be applied to stored data. They are reported as problems of the new
    /// policy's file.
    #[serde(skip)]
    pub refused: Vec<RefusedChange>,
}

/// The changes of one product.
#[derive(Debug, Clone, Serialize)]
pub struct ProductDiff {
    /// The product.
    pub product: ProductKey,
    /// The policies in which it has records.
    pub what: ProductPresence,
    /// The changes of its columns, including derived columns.
    pub fields: Vec<FieldDiff>,
    /// The changes of the retention of its categories. A kind of record and category that is not
    /// listed keeps its terms.
    pub terms: Vec<TermDiff>,
    /// The end of its records before and after, if it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<(Option<String>, Option<String>)>,
    /// The default country of national numbers before and after, if it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_country: Option<(Option<Country>, Option<Country>)>,
}

/// The policies in which a product has records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductPresence {
    /// Only in the new policy.
    Added,
    /// Only in the old policy.
    Removed,
    /// In both.
    Kept,
}

/// The change of one column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldDiff {
    /// It is new. Stored records lack it.
    Added {
        /// Its name.
        column: String,
        /// Its class.
        class: ColumnClass,
    },
    /// It is no longer classified, and so no longer stored: stored records lose it.
    Removed {
        /// Its name.
        column: String,
        /// Its old class.
        class: ColumnClass,
    },
    /// It has another name: the schema names the old one as an alias.
    Renamed {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// It has another class: stored records keep it as long as the new class says.
    Reclassified {
        /// Its name in the new policy.
        column: String,
        /// Its old class.
        from: ColumnClass,
        /// Its new class.
        to: ColumnClass,
    },
}

/// The change of the terms of one category for one kind of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TermDiff {
    /// The category.
    pub category: Category,
    /// The jurisdictions, which the rules do not distinguish from one another. Empty means those
    /// that no rule names.
    pub jurisdictions: Vec<Country>,
    /// The tenants. Empty means those that no rule names, and records without a tenant.
    pub tenants: Vec<String>,
    /// The terms until now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<TermReport>,
    /// The terms from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<TermReport>,
    /// The effect on the deadlines.
    pub change: TermChange,
}

/// The terms, as they are reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TermReport {
    /// The rule that applies.
    pub rule: String,
    /// The window.
    pub keep: String,
    /// The trigger that starts the retention period.
    pub trigger: Trigger,
    /// The kind of limit that the window is.
    pub boundary: Boundary,
}

impl TermReport {
    pub(super) fn from_term(term: &RetentionTerm) -> TermReport {
        let RetentionTerm {
            rule,
            keep,
            trigger,
            boundary,
            ..
        } = term;
        let rule = rule.as_ref().map(ToString::to_string).unwrap_or_default();
        TermReport {
            rule,
            keep: keep.to_string(),
            trigger: *trigger,
            boundary: *boundary,
        }
    }
}

/// The effect of a change of terms on the deadlines of stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TermChange {
    /// The terms are the same.
    Same,
    /// Other words for the same deadlines.
    Reworded,
    /// No deadline becomes later, some become earlier.
    Shorter,
    /// No deadline becomes earlier, some become later.
    Longer,
    /// Some deadlines become earlier and some later, or the effect is unknown until a contract ends
    /// or consent is withdrawn.
    Mixed,
    /// The product had no field of that category.
    Added,
    /// The product has no field of that category any more.
    Removed,
}

impl TermChange {
    /// Returns true if some deadline may become later.
    #[must_use]
    pub fn may_lengthen(self) -> bool {
        matches!(self, TermChange::Longer | TermChange::Mixed)
    }
}

/// A change that cannot be applied to stored data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedChange {
    /// The place in the new policy.
    pub spot: PolicyPosition,
    /// The problem, in one sentence without a full stop.
    pub what: String,
    /// The fix, in one sentence without a full stop.
    pub help: String,
}

impl RefusedChange {
    pub(super) fn key<const N: usize>(
        keys: [&str; N],
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> RefusedChange {
        RefusedChange {
            spot: PolicyPosition::Key(keys.map(str::to_owned).to_vec()),
            what: what.into(),
            help: help.into(),
        }
    }

    /// Returns the refusal as a problem of the new policy, whose text is `text` and whose file is
    /// called `file`.
    #[must_use]
    pub fn problem(&self, file: &str, text: &PolicyText) -> Problem {
        let (at, path) = text.find(&self.spot);
        let (what, help) = (self.what.clone(), self.help.clone());
        Problem {
            severity: Severity::Error,
            file: file.to_owned(),
            at,
            path,
            what,
            help,
        }
    }
}

/// Returns the end of records in words.
pub(super) fn end(end: &EndRule) -> String {
    match end {
        EndRule::Remove => "remove".to_owned(),
        EndRule::Anonymize(of) => {
            let sums = if of.sum.is_empty() {
                String::new()
            } else {
                format!(", sums of {}", of.sum.join(", "))
            };
            format!(
                "anonymize: k {} of {}, cells by {}{sums}",
                of.k,
                of.of,
                of.cell.join(", ")
            )
        }
    }
}
