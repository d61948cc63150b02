//! One active segment as described by the log.
//!
//! Missing information is not guessed: a file whose partitions or rows are not in the log is not a
//! segment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::intern::{Interner, SegmentStats};
use crate::log::AddedFile;
use crate::segment::{cell_records, forms_of};
use ebbtide_base::ids::{Bucket, Category, Deadline, PolicyVersion, ProfileId};
use ebbtide_policy::tag::FormsMark;

/// An active segment as described by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSegment {
    /// Its path in the table's folder.
    pub path: Arc<str>,
    /// The bucket of its rows.
    pub bucket: Bucket,
    /// Their profile.
    pub profile: ProfileId,
    /// Its rows.
    pub rows: u64,
    /// The number of records that its rows stand for: equal to the rows, or more if they are cells.
    pub records: u64,
    /// Its size in bytes.
    pub size: u64,
    /// The deadline of each category that it still contains and that has one. Segments with equal
    /// deadlines share the map.
    pub deadlines: Arc<BTreeMap<Category, Deadline>>,
    /// The policy under which the deadlines were written; `None` if the log does not contain it, or
    /// the rows have several.
    pub policy_version: Option<PolicyVersion>,
    /// True if its rows are cells, the result of `anonymize`.
    pub cells: bool,
}

impl StoredSegment {
    /// Returns the canonical forms of all its subjects; `None` if some may be in an earlier form.
    #[must_use]
    pub fn forms(&self) -> Option<FormsMark> {
        forms_of(&self.path)
    }
}

/// Parses the segment that an entry or a checkpoint adds. Returns `None` if it contains too little.
pub(super) fn parse(added: &AddedFile, interner: &mut Interner) -> Option<StoredSegment> {
    let bucket = interner.bucket(added.partition("bucket")?)?;
    let profile = interner.profile(added.partition("profile")?)?;
    let SegmentStats {
        rows,
        deadlines,
        policy_version,
    } = interner.parse_stats(added.stats.as_deref()?)?;
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

/// Returns the store's path for a path of the log, which is encoded as in a URL.
pub(super) fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    crate::log::files::decode(path).map_or(Cow::Borrowed(path), Cow::Owned)
}
