//! Retag: rows of a segment get the tags of their targets: a profile, deadlines, a policy version.
//!
//! Only tags change. A segment whose rows all have one target is copied byte for byte, with new
//! tags. Rows of several targets are decoded once for every few of them, so that memory does not
//! grow with their number. No deadline is written for a category whose data the row no longer has,
//! as far as the file shows.

mod divide;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::matching::OpenedSegment;
use super::read::{of_table, wanted};
use super::{RewriteError, blocking};
use crate::error::StoreError;
use crate::index::{StoredSegment, deadlines_in_stats};
use crate::scan::Predicate;
use crate::segment::{Segment, SegmentLocation};
use crate::spec::{TableSpec, expires_column};
use crate::table::Table;
use ebbtide_base::ids::{Category, Deadline, PolicyVersion, ProfileId};
use ebbtide_policy::tag::FormsMark;

/// The new tags of rows. Tags that are not listed do not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTags {
    /// The profile.
    pub profile: ProfileId,
    /// The profile's text form.
    pub profile_text: String,
    /// The deadline of each listed category; `None` if it is open or the category has none any
    /// more.
    pub deadlines: Vec<(Category, Option<Deadline>)>,
    /// The policy under which they are written; `None` leaves it unchanged.
    pub policy_version: Option<PolicyVersion>,
    /// The canonical forms of their subjects after the rewrite; `None` leaves them unchanged.
    pub forms: Option<FormsMark>,
}

/// Decides the new tags of each row.
pub trait Retagging: Send + Sync {
    /// Returns the columns that the decision needs.
    fn columns(&self) -> Vec<&str>;
    /// Returns a predicate that every row with new tags matches; `None` if any row may change.
    fn concerns(&self) -> Option<Predicate>;
    /// Returns the number of the target of each row of a batch of those columns, which are null
    /// where a segment lacks one.
    fn assign(&self, rows: &RecordBatch) -> Result<Vec<u64>, RewriteError>;
    /// Returns the target of a number; `None` for rows that do not change. Numbers of equal targets
    /// are one target.
    fn target(&self, number: u64) -> Option<NewTags>;
    /// Returns true if values of the rows of that number change, apart from their tags.
    fn edits(&self, _number: u64) -> bool {
        false
    }
    /// Returns complete rows of a segment, with the values that change.
    fn edit(&self, rows: &RecordBatch) -> Result<RecordBatch, RewriteError> {
        Ok(rows.clone())
    }
}

/// The result of retagging segments. Nothing is committed.
#[derive(Debug, Clone)]
pub struct RetagResult {
    /// The segments to remove: those with a changed row.
    pub replaced: Vec<StoredSegment>,
    /// The segments that replace them.
    pub segments: Vec<Segment>,
    /// Rows whose tags changed.
    pub retagged: u64,
    /// Rows whose deadline changed, by category.
    pub moved: BTreeMap<Category, u64>,
    /// Bytes of column chunks that were copied.
    pub bytes_copied: u64,
}

/// The number of segments examined concurrently: in most of them no row changes, and examining one
/// mostly waits for the store.
const LOOKS: usize = 8;

/// The decision about the rows of a segment.
enum RetagPlan {
    /// No row changes.
    Stays,
    /// All rows have one target.
    Whole(NewTags),
    /// The rows have several targets: the number of rows of each, by the target's number.
    Parted(BTreeMap<u64, u64>),
}

/// Segments that are merged under new tags.
struct RetagGroup {
    tags: NewTags,
    /// For each category with a new tag, true if the files have a column of it.
    has: Vec<bool>,
    members: Vec<StoredSegment>,
}

impl Table {
    /// Gives rows of segments of one bucket and profile new tags. Returns `None` if no row changes.
    /// Commits nothing.
    ///
    /// Segments whose rows all have the same target are merged. Errors if the segments are not of
    /// one kind, or if one is missing or damaged; then nothing of the new segments is left.
    pub async fn retag(
        &self,
        sources: &[StoredSegment],
        by: Arc<dyn Retagging>,
    ) -> Result<Option<RetagResult>, RewriteError> {
        alike(sources)?;
        let mut done = RetagResult {
            replaced: Vec::new(),
            segments: Vec::new(),
            retagged: 0,
            moved: BTreeMap::new(),
            bytes_copied: 0,
        };
        match self.retag_into(sources, &by, &mut done).await {
            Ok(()) if done.replaced.is_empty() => Ok(None),
            Ok(()) => Ok(Some(done)),
            Err(error) => {
                self.discard(done.segments).await;
                Err(error)
            }
        }
    }

    /// Returns the tags that rows of a segment would get, with the number of rows of each. Writes
    /// nothing.
    pub async fn retag_count(
        &self,
        source: &StoredSegment,
        by: Arc<dyn Retagging>,
    ) -> Result<Vec<(NewTags, u64)>, RewriteError> {
        let store = self.log.object_store(None);
        let (_, _, course) = look(
            store,
            Arc::clone(self.spec()),
            source.clone(),
            Arc::clone(&by),
        )
        .await?;
        Ok(match course {
            RetagPlan::Stays => Vec::new(),
            RetagPlan::Whole(tags) => vec![(tags, source.rows)],
            RetagPlan::Parted(counts) => counts
                .into_iter()
                .filter_map(|(number, rows)| Some((by.target(number)?, rows)))
                .collect(),
        })
    }

    async fn retag_into(
        &self,
        sources: &[StoredSegment],
        by: &Arc<dyn Retagging>,
        done: &mut RetagResult,
    ) -> Result<(), RewriteError> {
        let store = self.log.object_store(None);
        // Segments with different deadlines lost different categories: they are kept apart, so that
        // the tags of each file stay exact. So are segments of different policies: a file shows
        // only the least version.
        let mut wholes: Vec<RetagGroup> = Vec::new();
        let (spec, of) = (Arc::clone(self.spec()), Arc::clone(by));
        let look = move |source| {
            look(
                Arc::clone(&store),
                Arc::clone(&spec),
                source,
                Arc::clone(&of),
            )
        };
        let mut looked = pin!(stream::iter(sources.to_vec()).map(look).buffered(LOOKS));
        while let Some((source, opened, course)) = looked.try_next().await? {
            let source = &source;
            match course {
                RetagPlan::Stays => {}
                RetagPlan::Whole(tags) if !whole::is_mixed(&opened, &tags) => {
                    let has = whole::has(&opened, self.spec(), &tags);
                    let key =
                        |of: &StoredSegment| (of.deadlines.clone(), of.policy_version.clone());
                    let alike = |of: &&mut RetagGroup| {
                        let first = of.members.first();
                        of.tags == tags
                            && of.has == has
                            && first.is_some_and(|first| key(first) == key(source))
                    };
                    match wholes.iter_mut().find(alike) {
                        Some(of) => of.members.push(source.clone()),
                        None => wholes.push(RetagGroup {
                            tags,
                            has,
                            members: vec![source.clone()],
                        }),
                    }
                }
                RetagPlan::Whole(_) | RetagPlan::Parted(_) => {
                    let parts = self.retag_parted(&opened, source, by).await?;
                    done.replaced.push(source.clone());
                    for (tags, segment) in parts {
                        Self::record(done, source, tags.as_ref(), segment)?;
                    }
                }
            }
        }
        for alike in wholes {
            let written = self.retag_whole(&alike).await?;
            let RetagGroup { tags, members, .. } = alike;
            done.bytes_copied += written.bytes_copied;
            for (segment, of) in written.segments {
                // All members have the same deadlines.
                if let Some(first) = of.first().and_then(|member| members.get(*member)) {
                    Self::record(done, first, Some(&tags), segment)?;
                }
            }
            done.replaced.extend(members);
        }
        Ok(())
    }

    /// Counts one new segment of `tags` with rows of `source`. Errors if its statistics would lack
    /// a deadline or have a wrong one.
    fn record(
        done: &mut RetagResult,
        source: &StoredSegment,
        tags: Option<&NewTags>,
        segment: Segment,
    ) -> Result<(), RewriteError> {
        let recorded = deadlines_in_stats(&segment.contents.stats);
        let named: BTreeMap<&Category, Option<&Deadline>> = tags
            .iter()
            .flat_map(|tags| &tags.deadlines)
            .map(|(category, at)| (category, at.as_ref()))
            .collect();
        let stay = source
            .deadlines
            .iter()
            .filter(|(category, _)| !named.contains_key(category));
        let lost = stay
            .filter(|(category, at)| recorded.get(*category) != Some(*at))
            .map(|(category, _)| category);
        // Statistics have no deadline of a category that the file has no data of.
        let wrong = named.iter().filter(|(category, at)| {
            recorded
                .get(**category)
                .is_some_and(|found| Some(found) != **at)
        });
        let missing = lost
            .chain(wrong.map(|(category, _)| *category))
            .next()
            .map(Category::to_string);
        if let Some(tags) = tags {
            done.retagged += segment.rows();
            for (category, _) in &tags.deadlines {
                if recorded.get(category) != source.deadlines.get(category) {
                    *done.moved.entry(category.clone()).or_default() += segment.rows();
                }
            }
        }
        done.segments.push(segment);
        match missing {
            None => Ok(()),
            Some(category) => {
                let why = format!("its statistics would not show when {category} is due");
                Err(RewriteError::Damaged {
                    path: source.path.to_string(),
                    why,
                })
            }
        }
    }
}

/// Decides the targets of a segment's rows. Reads the columns that the decision needs, or none if
/// bloom filters exclude a change.
async fn look(
    store: Arc<dyn ObjectStore>,
    spec: Arc<TableSpec>,
    source: StoredSegment,
    by: Arc<dyn Retagging>,
) -> Result<(StoredSegment, OpenedSegment, RetagPlan), RewriteError> {
    let opened = OpenedSegment::open(&store, &source.path).await?;
    let (of, expected) = (opened.clone(), source.rows);
    let course = blocking(move || course(&of, &spec, expected, by.as_ref())).await?;
    Ok((source, opened, course))
}

/// Decides the same for an open segment that should have `expected` rows.
fn course(
    opened: &OpenedSegment,
    spec: &TableSpec,
    expected: u64,
    by: &dyn Retagging,
) -> Result<RetagPlan, RewriteError> {
    if let Some(concerns) = by.concerns()
        && opened.select(&concerns)?.matched == 0
    {
        return Ok(RetagPlan::Stays);
    }
    let counts = counted(opened, spec, by)?;
    let found: u64 = counts.values().sum();
    if found != expected {
        let why = format!("it has {found} rows and the log says {expected}");
        return Err(RewriteError::Damaged {
            path: opened.path.to_string(),
            why,
        });
    }
    let mut targets: Vec<Option<NewTags>> = Vec::new();
    for target in counts.keys().map(|number| by.target(*number)) {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(match (targets.len(), targets.pop()) {
        (0, _) | (1, Some(None)) | (_, None) => RetagPlan::Stays,
        _ if counts.keys().any(|number| by.edits(*number)) => RetagPlan::Parted(counts),
        (1, Some(Some(tags))) => RetagPlan::Whole(tags),
        _ => RetagPlan::Parted(counts),
    })
}

/// Returns the number of rows of each target, by the target's number.
fn counted(
    opened: &OpenedSegment,
    spec: &TableSpec,
    by: &dyn Retagging,
) -> Result<BTreeMap<u64, u64>, RewriteError> {
    let columns = by.columns();
    let wanted = wanted(spec, &columns)?;
    let mut counts = BTreeMap::new();
    for number in 0..opened.metadata.metadata().num_row_groups() {
        for rows in opened.batches(vec![number], Some(&columns))? {
            for target in by.assign(&of_table(&rows?, &wanted)?)? {
                *counts.entry(target).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

/// Refuses segments that are not of one kind, and cells.
fn alike(sources: &[StoredSegment]) -> Result<(), RewriteError> {
    let refused = |why: &str| Err(StoreError::Refused(why.to_owned()).into());
    let kinds: BTreeSet<_> = sources
        .iter()
        .map(|segment| (segment.bucket, &segment.profile))
        .collect();
    if kinds.len() > 1 {
        return refused("segments of several buckets or profiles are not retagged in one step");
    }
    if sources.iter().any(|segment| segment.cells) {
        return refused("cells have no tags but their profile: they are not retagged");
    }
    Ok(())
}

impl NewTags {
    /// Returns the columns that are written again or left out.
    fn columns(&self) -> BTreeSet<String> {
        let version = self
            .policy_version
            .is_some()
            .then(|| "policy_version".to_owned());
        self.deadlines
            .iter()
            .map(|(category, _)| expires_column(category))
            .chain(version)
            .collect()
    }

    fn home(&self, source: &StoredSegment) -> SegmentLocation {
        let (profile, profile_text) = (self.profile.clone(), Some(self.profile_text.clone()));
        let forms = self.forms.or(source.forms());
        SegmentLocation {
            bucket: source.bucket,
            profile,
            profile_text,
            cells: None,
            forms,
        }
    }
}
