//! Retag: rows of a segment get new tags, each those of its target: a profile, deadlines, a policy version.
//!
//! Promises that only tags change, and that a segment whose rows all have one target is copied byte for byte with the tags
//! written anew. Rows of several targets are decoded once for every few of them, so that memory does not grow with their
//! number. Must never make a deadline for what is no longer in the row, as far as the file tells.

mod parting;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::{self, StreamExt, TryStreamExt};
use object_store::ObjectStore;

use super::matching::Opened;
use super::read::{of_table, wanted};
use super::{Predicate, RewriteError, blocking};
use crate::ids::{Category, Deadline, PolicyVersion, ProfileId};
use crate::store::error::StoreError;
use crate::store::index::{StoredSegment, told_deadlines};
use crate::store::segment::{Home, Segment};
use crate::store::spec::{TableSpec, expires_column};
use crate::store::table::Table;
use crate::tag::FormsMark;

/// The tags that rows get. What it does not name stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTags {
    /// The profile.
    pub profile: ProfileId,
    /// The profile's text form.
    pub profile_text: String,
    /// The deadline of each category that is named; `None`: it is open, or there is none any more.
    pub deadlines: Vec<(Category, Option<Deadline>)>,
    /// The policy under which they are written; `None`: it stays as it is.
    pub policy_version: Option<PolicyVersion>,
    /// The canonical forms of their subjects after the rewrite; `None` leaves them unchanged.
    pub forms: Option<FormsMark>,
}

/// Which rows get which tags.
pub trait Retagging: Send + Sync {
    /// The columns that decide.
    fn columns(&self) -> Vec<&str>;
    /// The rows beyond which none changes; `None`: any may.
    fn concerns(&self) -> Option<Predicate>;
    /// For each row of a batch of those columns, null where a segment lacks one, the number of its target.
    fn assign(&self, rows: &RecordBatch) -> Result<Vec<u64>, RewriteError>;
    /// The target of a number; `None`: rows that stay as they are. Numbers of equal targets are one target.
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

/// What became of segments whose rows got new tags. Nothing is committed.
#[derive(Debug, Clone)]
pub struct Retagged {
    /// The segments that go: those of which a row changed.
    pub replaced: Vec<StoredSegment>,
    /// What takes their place.
    pub segments: Vec<Segment>,
    /// Rows whose tags changed.
    pub retagged: u64,
    /// Those whose deadline changed, by category.
    pub moved: BTreeMap<Category, u64>,
    /// Bytes of column chunks that were copied.
    pub bytes_copied: u64,
}

/// Segments that are looked into at once: in most of them no row changes, and then a look is waiting for an answer or two.
const LOOKS: usize = 8;

/// Where all rows of a segment go.
enum Course {
    /// Nowhere.
    Stays,
    /// All to one target.
    Whole(NewTags),
    /// To several; how many rows to each, by number.
    Parted(BTreeMap<u64, u64>),
}

/// Segments that become one under new tags.
struct Alike {
    tags: NewTags,
    /// Of which of the categories whose tags are written anew the files have a column.
    has: Vec<bool>,
    members: Vec<StoredSegment>,
}

impl Table {
    /// Gives rows of segments of one bucket and profile new tags; `None` if none changes. Commits nothing.
    ///
    /// Segments that go to one target whole become one. Errors if they are not of one kind, or if one is gone or damaged; then
    /// nothing of the new segments is left.
    pub async fn retag(
        &self,
        sources: &[StoredSegment],
        by: Arc<dyn Retagging>,
    ) -> Result<Option<Retagged>, RewriteError> {
        alike(sources)?;
        let mut done = Retagged {
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

    /// The tags that rows of a segment would get, and how many of them. Writes nothing.
    pub async fn retag_count(
        &self,
        source: &StoredSegment,
        by: Arc<dyn Retagging>,
    ) -> Result<Vec<(NewTags, u64)>, RewriteError> {
        let store = self.log.object_store(None);
        let (_, _, course) = look(store, Arc::clone(self.spec()), source.clone(), Arc::clone(&by)).await?;
        Ok(match course {
            Course::Stays => Vec::new(),
            Course::Whole(tags) => vec![(tags, source.rows)],
            Course::Parted(counts) => {
                counts.into_iter().filter_map(|(number, rows)| Some((by.target(number)?, rows))).collect()
            }
        })
    }

    async fn retag_into(
        &self,
        sources: &[StoredSegment],
        by: &Arc<dyn Retagging>,
        done: &mut Retagged,
    ) -> Result<(), RewriteError> {
        let store = self.log.object_store(None);
        // Segments of unlike deadlines lost categories each for itself: they stay apart, so that a file's tags tell. So do those of
        // unlike policies: of one file only the least version is told.
        let mut wholes: Vec<Alike> = Vec::new();
        let (spec, of) = (Arc::clone(self.spec()), Arc::clone(by));
        let look = move |source| look(Arc::clone(&store), Arc::clone(&spec), source, Arc::clone(&of));
        let mut looked = pin!(stream::iter(sources.to_vec()).map(look).buffered(LOOKS));
        while let Some((source, opened, course)) = looked.try_next().await? {
            let source = &source;
            match course {
                Course::Stays => {}
                Course::Whole(tags) if !whole::is_mixed(&opened, &tags) => {
                    let has = whole::has(&opened, self.spec(), &tags);
                    let told = |of: &StoredSegment| (of.deadlines.clone(), of.policy_version.clone());
                    let alike = |of: &&mut Alike| {
                        let first = of.members.first();
                        of.tags == tags && of.has == has && first.is_some_and(|first| told(first) == told(source))
                    };
                    match wholes.iter_mut().find(alike) {
                        Some(of) => of.members.push(source.clone()),
                        None => wholes.push(Alike { tags, has, members: vec![source.clone()] }),
                    }
                }
                Course::Whole(_) | Course::Parted(_) => {
                    let parts = self.retag_parted(&opened, source, by).await?;
                    done.replaced.push(source.clone());
                    for (tags, segment) in parts {
                        Self::note(done, source, tags.as_ref(), segment)?;
                    }
                }
            }
        }
        for alike in wholes {
            let written = self.retag_whole(&alike).await?;
            let Alike { tags, members, .. } = alike;
            done.bytes_copied += written.bytes_copied;
            for (segment, of) in written.segments {
                // All members have one set of deadlines.
                if let Some(first) = of.first().and_then(|member| members.get(*member)) {
                    Self::note(done, first, Some(&tags), segment)?;
                }
            }
            done.replaced.extend(members);
        }
        Ok(())
    }

    /// Counts one new segment of `tags` that rows of `source` went to. Errors if its statistics would not tell a deadline.
    fn note(
        done: &mut Retagged,
        source: &StoredSegment,
        tags: Option<&NewTags>,
        segment: Segment,
    ) -> Result<(), RewriteError> {
        let told = told_deadlines(&segment.contents.stats);
        let named: BTreeMap<&Category, Option<&Deadline>> =
            tags.iter().flat_map(|tags| &tags.deadlines).map(|(category, at)| (category, at.as_ref())).collect();
        let stay = source.deadlines.iter().filter(|(category, _)| !named.contains_key(category));
        let lost = stay.filter(|(category, at)| told.get(*category) != Some(*at)).map(|(category, _)| category);
        // Nothing is told of a category that the file holds nothing of.
        let wrong = named.iter().filter(|(category, at)| told.get(**category).is_some_and(|told| Some(told) != **at));
        let missing = lost.chain(wrong.map(|(category, _)| *category)).next().map(Category::to_string);
        if let Some(tags) = tags {
            done.retagged += segment.rows();
            for (category, _) in &tags.deadlines {
                if told.get(category) != source.deadlines.get(category) {
                    *done.moved.entry(category.clone()).or_default() += segment.rows();
                }
            }
        }
        done.segments.push(segment);
        match missing {
            None => Ok(()),
            Some(category) => {
                let why = format!("its statistics would not tell when {category} is due");
                Err(RewriteError::Damaged { path: source.path.to_string(), why })
            }
        }
    }
}

/// Where the rows of a segment go, by reading the columns that decide, and not even those where bloom filters say no.
async fn look(
    store: Arc<dyn ObjectStore>,
    spec: Arc<TableSpec>,
    source: StoredSegment,
    by: Arc<dyn Retagging>,
) -> Result<(StoredSegment, Opened, Course), RewriteError> {
    let opened = Opened::open(&store, &source.path).await?;
    let (of, told) = (opened.clone(), source.rows);
    let course = blocking(move || course(&of, &spec, told, by.as_ref())).await?;
    Ok((source, opened, course))
}

/// The same of an opened one that should have `told` rows.
fn course(opened: &Opened, spec: &TableSpec, told: u64, by: &dyn Retagging) -> Result<Course, RewriteError> {
    if let Some(concerns) = by.concerns()
        && opened.select(&concerns)?.matched == 0
    {
        return Ok(Course::Stays);
    }
    let counts = counted(opened, spec, by)?;
    let found: u64 = counts.values().sum();
    if found != told {
        let why = format!("it has {found} rows and the log tells {told}");
        return Err(RewriteError::Damaged { path: opened.path.to_string(), why });
    }
    let mut targets: Vec<Option<NewTags>> = Vec::new();
    for target in counts.keys().map(|number| by.target(*number)) {
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(match (targets.len(), targets.pop()) {
        (0, _) | (1, Some(None)) | (_, None) => Course::Stays,
        _ if counts.keys().any(|number| by.edits(*number)) => Course::Parted(counts),
        (1, Some(Some(tags))) => Course::Whole(tags),
        _ => Course::Parted(counts),
    })
}

/// How many rows go to each target, by number.
fn counted(opened: &Opened, spec: &TableSpec, by: &dyn Retagging) -> Result<BTreeMap<u64, u64>, RewriteError> {
    let columns = by.columns();
    let wanted = wanted(spec, &columns)?;
    let mut counts = BTreeMap::new();
    for number in 0..opened.metadata.metadata().num_row_groups() {
        let reader = opened.reader(vec![number], Some(&columns)).build().map_err(|error| opened.damaged(&error))?;
        for rows in reader {
            let rows = rows.map_err(|error| opened.damaged(&error.into()))?;
            for target in by.assign(&of_table(&rows, &wanted)?)? {
                *counts.entry(target).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

/// Refuses segments that are not of one kind, and cells.
fn alike(sources: &[StoredSegment]) -> Result<(), RewriteError> {
    let refused = |why: &str| Err(StoreError::Refused(why.to_owned()).into());
    let kinds: BTreeSet<_> = sources.iter().map(|segment| (segment.bucket, &segment.profile)).collect();
    if kinds.len() > 1 {
        return refused("segments of several buckets or profiles are not retagged at once");
    }
    if sources.iter().any(|segment| segment.cells) {
        return refused("cells have no tags but their profile: they are not retagged");
    }
    Ok(())
}

impl NewTags {
    /// The columns that are written anew, or left out.
    fn columns(&self) -> BTreeSet<String> {
        let version = self.policy_version.is_some().then(|| "policy_version".to_owned());
        self.deadlines.iter().map(|(category, _)| expires_column(category)).chain(version).collect()
    }

    fn home(&self, source: &StoredSegment) -> Home {
        let (profile, profile_text) = (self.profile.clone(), Some(self.profile_text.clone()));
        let forms = self.forms.or(source.forms());
        Home { bucket: source.bucket, profile, profile_text, cells: None, forms }
    }
}
