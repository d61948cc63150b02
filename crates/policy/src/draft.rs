//! A policy while it is read: its parts as far as they could be read, with their positions in the
//! file.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use super::model::{Jurisdiction, Records, Rule};
use ebbtide_base::ids::{BucketUnit, Category, ProductKey};
use ebbtide_base::problem::TextPosition;

/// The part of a policy that was read so far, possibly with errors: enough to find more of them.
#[derive(Debug, Default)]
pub(super) struct PolicyDraft {
    pub(super) zone: Option<Tz>,
    pub(super) bucket: Option<BucketUnit>,
    pub(super) categories: BTreeMap<Category, DraftCategory>,
    pub(super) products: Vec<DraftProduct>,
    pub(super) rules: Vec<DraftRule>,
}

/// A category and its position.
#[derive(Debug)]
pub(super) struct DraftCategory {
    pub(super) term: String,
    pub(super) at: TextPosition,
}

/// A product as far as it could be read.
#[derive(Debug)]
pub(super) struct DraftProduct {
    pub(super) key: ProductKey,
    pub(super) title: Option<String>,
    /// True if it has records.
    pub(super) has_records: bool,
    /// Its records, if they could be read in full.
    pub(super) records: Option<Records>,
    /// The first column of each category, with its position.
    pub(super) personal: BTreeMap<Category, (String, TextPosition)>,
    /// The source of its jurisdictions, if it could be read.
    pub(super) jurisdiction: Option<Jurisdiction>,
    /// True if its records name a tenant.
    pub(super) has_tenant: bool,
    /// The category of the subject column that `end` counts, and the position at which `end` names
    /// it.
    pub(super) counted: Option<(Category, TextPosition)>,
    /// The categories of its subjects, and the position of their list.
    pub(super) subjects: Option<(BTreeSet<Category>, TextPosition)>,
}

/// A rule as far as it could be read.
#[derive(Debug)]
pub(super) struct DraftRule {
    pub(super) rule: Rule,
    pub(super) at: TextPosition,
    /// True if what it matches could not be read completely, so that it proves neither a hole nor a
    /// clash.
    pub(super) vague: bool,
    /// True if its window (`keep`, `trigger` or `boundary`) could not be read.
    pub(super) broken: bool,
}
