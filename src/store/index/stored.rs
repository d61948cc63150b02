//! One active segment as the log tells of it.
//!
//! Promises that what is not told is not guessed: a file whose partitions or rows are not in the log is no segment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::intern::{Interner, Told};
use crate::ids::{Bucket, Category, Deadline, PolicyVersion, ProfileId};
use crate::store::log::Added;
use crate::store::segment::{cell_records, forms_of};
use crate::tag::FormsMark;

/// An active segment as the log tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSegment {
    /// Its path in the table's folder.
    pub path: Arc<str>,
    /// The bucket that its rows are in.
    pub bucket: Bucket,
    /// Their profile.
    pub profile: ProfileId,
    /// Its rows.
    pub rows: u64,
    /// The records that they stand for: as many, or more where they are cells.
    pub records: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The deadline of each category that is still in it and has one. Segments that share all deadlines share the map.
    pub deadlines: Arc<BTreeMap<Category, Deadline>>,
    /// The policy under which the deadlines were written; `None` where the log does not tell it, or its rows are of several.
    pub policy_version: Option<PolicyVersion>,
    /// Whether its rows are cells: what `anonymize` left.
    pub cells: bool,
}

impl StoredSegment {
    /// Returns the canonical forms of all its subjects; `None` if some may be in an earlier form.
    #[must_use]
    pub fn forms(&self) -> Option<FormsMark> {
        forms_of(&self.path)
    }
}

/// The segment that an entry or a checkpoint adds; `None` where it tells too little.
pub(super) fn parse(added: &Added, interner: &mut Interner) -> Option<StoredSegment> {
    let bucket = interner.bucket(added.partition("bucket")?)?;
    let profile = interner.profile(added.partition("profile")?)?;
    let Told { rows, deadlines, policy_version } = interner.told(added.stats.as_deref()?)?;
    let path = decoded(&added.path);
    let cells = cell_records(&path);
    Some(StoredSegment {
        bucket,
        profile,
        rows,
        records: cells.unwrap_or(rows),
        size: added.size,
        deadlines,
        policy_version,
        cells: cells.is_some(),
        path: Arc::from(path),
    })
}

/// A path of the log, in which it stands encoded as in a URL, as the store knows it.
pub(super) fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    crate::store::log::files::decode(path).map_or(Cow::Borrowed(path), Cow::Owned)
}
