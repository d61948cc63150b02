//! Explains why a record's data is in the table or not: which categories are stored and until when,
//! and which commit removed the others.
//!
//! The answers come from the evidence and from the record's own tags, and say what neither of them
//! shows. They never contain a personal value. Only segments that may contain the record are read,
//! and of these only the necessary columns.

mod covered;
mod find;
mod trail;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::Serialize;
use uuid::Uuid;

use super::audit::oldest_entry;
use super::{TableView, ViewError};
use ebbtide_base::ids::{
    Bucket, Category, Country, Deadline, Offset, PolicyVersion, ProductKey, ProfileId,
    TopicPartition,
};
use ebbtide_policy::expires_category;
use ebbtide_table::Predicate;
use ebbtide_table::log::{LogEntry, app_id};
use ebbtide_table::root::Root;
use ebbtide_table::spec::SOURCE_COLUMNS;
use find::FoundRow;
use trail::CommitTrail;

pub use covered::takes_in;
pub(super) use trail::bucket_of;

/// The maximum number of records reported for a value.
const MOST: usize = 20;

/// The record to look for.
#[derive(Clone, PartialEq, Eq)]
pub enum RecordKey {
    /// The record at an offset.
    Source {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: Offset,
    },
    /// The records that contain a value.
    Value {
        /// The column.
        column: String,
        /// The value, as text.
        value: String,
    },
}

impl RecordKey {
    /// Returns the condition that its rows meet.
    fn predicate(&self) -> Predicate {
        let shows = |column: &str, value: String| Predicate::Shows {
            column: column.to_owned(),
            value,
        };
        match self {
            RecordKey::Source { partition, offset } => {
                let [topic, number, at] = SOURCE_COLUMNS;
                Predicate::All(vec![
                    shows(topic, partition.topic.to_string()),
                    shows(number, partition.partition.0.to_string()),
                    shows(at, offset.0.to_string()),
                ])
            }
            RecordKey::Value { column, value } => shows(column, value.clone()),
        }
    }
}

/// The caller's knowledge besides the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordHints {
    /// The bucket to search; `None` for all of them.
    pub bucket: Option<Bucket>,
    /// The column with the tenant.
    pub tenant: Option<String>,
    /// The columns of each category, by the policy. Without them a category without a deadline may
    /// be open or deleted.
    pub fields: BTreeMap<Category, BTreeSet<String>>,
}

/// The history of one record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordHistory {
    /// The partition it was read from; `None` if its row no longer contains it.
    #[serde(flatten)]
    pub partition: Option<TopicPartition>,
    /// Its offset.
    pub offset: Option<Offset>,
    /// The commit that read it; `None` if its entry was deleted.
    pub ingest: Option<RecordCommit>,
    /// The present state of the record.
    pub fate: RecordStatus,
}

/// The present state of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum RecordStatus {
    /// It is in the table.
    Here(Box<StoredRecord>),
    /// It is no longer in the table.
    #[serde(rename = "gone")]
    Ended {
        /// The commits that removed records from the record's files; the one that removed it is
        /// among them.
        by: Vec<RecordCommit>,
        /// True if it may never have been stored: its commit counted records that were not.
        perhaps_never_stored: bool,
    },
    /// It was read and not stored.
    NeverStored {
        /// Records of its commit that were past all their deadlines on arrival.
        expired: u64,
        /// Records of its commit that are not the product's and were skipped.
        skipped: u64,
        /// Records of its commit that are in the dead letters, by reason code.
        dead_letters: BTreeMap<String, u64>,
    },
    /// The table has not read that offset yet.
    NotRead {
        /// The next offset to read in its partition; `None` if the table has no records of it.
        next: Option<Offset>,
    },
    /// It is not in the table, and the entry that would show more was deleted.
    #[serde(rename = "untold")]
    Unknown {
        /// The oldest version whose entry still exists.
        oldest_entry: u64,
    },
}

/// The location and the tags of a stored record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredRecord {
    /// Its segment, relative to the table's folder.
    pub path: String,
    /// Its bucket.
    pub bucket: Option<BucketLabel>,
    /// Its profile.
    pub profile: Option<ProfileId>,
    /// The policy under which its deadlines were written.
    pub policy_version: Option<PolicyVersion>,
    /// The country whose rules apply.
    pub jurisdiction: Option<Country>,
    /// Its tenant, if the caller named the column. Needed to find the rule, not shown.
    #[serde(skip)]
    pub tenant: Option<String>,
    /// Its categories, by name.
    pub categories: Vec<StoredCategory>,
}

/// A bucket, written as in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketLabel(pub Bucket);

impl Serialize for BucketLabel {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// One category of a stored record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoredCategory {
    /// The category.
    pub category: Category,
    /// The state of the category.
    #[serde(flatten)]
    pub state: CategoryState,
}

/// The state of a category of a stored record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CategoryState {
    /// It is stored.
    Here {
        /// The deadline; `None` while it is open.
        until: Option<Deadline>,
    },
    /// It was deleted.
    #[serde(rename = "gone")]
    Deleted {
        /// The commit that deleted it; `None` if its entry was deleted.
        by: Option<RecordCommit>,
    },
    /// It was already due when the record arrived, and was never stored.
    LeftOut,
    /// It has no deadline: it is open, or was never there. The policy is needed to decide.
    Unsure,
}

/// A commit in the history of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordCommit {
    /// The version that it made.
    pub version: u64,
    /// The kind of the commit; `None` for another engine's.
    pub operation: Option<String>,
    /// The time of the commit.
    pub at: Option<DateTime<Utc>>,
    /// Its id in the evidence.
    pub commit: Option<Uuid>,
}

impl RecordCommit {
    fn from_entry(entry: &LogEntry) -> RecordCommit {
        let evidence = entry.evidence.as_ref();
        RecordCommit {
            version: entry.version,
            operation: evidence.map(|evidence| evidence.operation.clone()),
            at: evidence.map(|evidence| evidence.at),
            commit: evidence.map(|evidence| evidence.commit),
        }
    }
}

/// Returns the history of a record, or of up to twenty records that contain a value; an empty list
/// if no record does. Errors if there is no table, or no such column.
pub async fn why(
    root: &Root,
    product: &ProductKey,
    sought: &RecordKey,
    known: &RecordHints,
) -> Result<Vec<RecordHistory>, ViewError> {
    let view = TableView::open(root, product).await?;
    known
        .bucket
        .map_or(Ok(()), |bucket| view.check_bucket(product, bucket))?;
    let looking = WhySearch {
        categories: categories(&view)?,
        oldest: oldest_entry(&view).await?,
        view: &view,
        known,
    };
    match sought {
        RecordKey::Source { partition, offset } => {
            Ok(vec![looking.of_offset(partition, *offset).await?])
        }
        RecordKey::Value { column, .. } => {
            let predicate = sought.predicate();
            if !view.state.columns()?.contains(column) {
                return Err(ViewError::NoColumn {
                    product: product.to_string(),
                    column: column.clone(),
                });
            }
            let mut histories = Vec::new();
            let mut files = std::pin::pin!(view.files());
            while let Some(file) = files.try_next().await? {
                if !looking.may_be_in(&file.path) {
                    continue;
                }
                let most = MOST - histories.len();
                let found = find::records(&view.log, &file.path, &predicate, known, most);
                for found in found.await? {
                    histories.push(looking.of_row(found).await?);
                }
                if histories.len() >= MOST {
                    break;
                }
            }
            Ok(histories)
        }
    }
}

/// Returns the categories that the table has columns for.
fn categories(view: &TableView) -> Result<Vec<Category>, ViewError> {
    let columns = view.state.columns()?;
    let named = columns.iter().filter_map(|column| expires_category(column));
    let mut categories: Vec<Category> = named
        .filter_map(|category| Category::new(category).ok())
        .collect();
    categories.sort();
    Ok(categories)
}

/// A search in progress.
struct WhySearch<'a> {
    view: &'a TableView,
    known: &'a RecordHints,
    categories: Vec<Category>,
    oldest: u64,
}

impl WhySearch<'_> {
    fn may_be_in(&self, path: &str) -> bool {
        self.known
            .bucket
            .is_none_or(|bucket| bucket_of(path) == Some(bucket))
    }

    /// Returns the history of the record at an offset.
    async fn of_offset(
        &self,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<RecordHistory, ViewError> {
        let history_with = |ingest, fate| RecordHistory {
            partition: Some(partition.clone()),
            offset: Some(offset),
            ingest,
            fate,
        };
        let next = self.view.state.txn(&app_id(partition)).map(Offset);
        if next.is_none_or(|next| offset >= next) {
            return Ok(history_with(None, RecordStatus::NotRead { next }));
        }
        let ingest = trail::ingest(
            &self.view.log,
            self.oldest..=self.view.state.version,
            partition,
            offset,
        )
        .await?;
        let trail = match &ingest {
            Some(entry) => {
                Some(CommitTrail::follow(&self.view.log, entry, self.view.state.version).await?)
            }
            None => None,
        };
        let record = RecordKey::Source {
            partition: partition.clone(),
            offset,
        };
        let predicate = record.predicate();
        let mut files = std::pin::pin!(self.view.files());
        while let Some(file) = files.try_next().await? {
            let on_the_way = trail
                .as_ref()
                .is_none_or(|trail| trail.leads_to(&file.path));
            if !on_the_way || !self.may_be_in(&file.path) {
                continue;
            }
            let found = find::records(&self.view.log, &file.path, &predicate, self.known, 1);
            if let Some(found) = found.await?.pop() {
                let place = self.place(found, trail.as_ref());
                return Ok(history_with(
                    ingest.as_ref().map(RecordCommit::from_entry),
                    RecordStatus::Here(Box::new(place)),
                ));
            }
        }
        let (Some(entry), Some(trail)) = (ingest, trail) else {
            return Ok(history_with(
                None,
                RecordStatus::Unknown {
                    oldest_entry: self.oldest,
                },
            ));
        };
        let (expired, skipped, dead_letters) = match &entry.evidence {
            Some(evidence) => (
                evidence.expired,
                evidence.skipped,
                evidence.dead_letters.clone(),
            ),
            None => (0, 0, BTreeMap::new()),
        };
        let by = trail.ends(|path| self.may_be_in(path));
        let fate = if by.is_empty() {
            RecordStatus::NeverStored {
                expired,
                skipped,
                dead_letters,
            }
        } else {
            RecordStatus::Ended {
                by,
                perhaps_never_stored: expired + skipped > 0 || !dead_letters.is_empty(),
            }
        };
        Ok(history_with(Some(RecordCommit::from_entry(&entry)), fate))
    }

    /// Returns the history of a record whose row was found.
    async fn of_row(&self, found: FoundRow) -> Result<RecordHistory, ViewError> {
        let (partition, offset) = (found.partition.clone(), found.offset);
        let ingest = match (&partition, offset) {
            (Some(partition), Some(offset)) => {
                trail::ingest(
                    &self.view.log,
                    self.oldest..=self.view.state.version,
                    partition,
                    offset,
                )
                .await?
            }
            _ => None,
        };
        let trail = match &ingest {
            Some(entry) => {
                Some(CommitTrail::follow(&self.view.log, entry, self.view.state.version).await?)
            }
            None => None,
        };
        let fate = RecordStatus::Here(Box::new(self.place(found, trail.as_ref())));
        Ok(RecordHistory {
            partition,
            offset,
            ingest: ingest.as_ref().map(RecordCommit::from_entry),
            fate,
        })
    }

    fn place(&self, found: FoundRow, trail: Option<&CommitTrail>) -> StoredRecord {
        let state = |category: &Category| {
            let until = found.deadlines.get(category).copied();
            let fields = self.known.fields.get(category);
            if until.is_some()
                || fields
                    .is_some_and(|fields| fields.iter().any(|field| found.columns.contains(field)))
            {
                return CategoryState::Here { until };
            }
            match trail.map(|trail| trail.took(&found.path, category)) {
                Some(Some(by)) => CategoryState::Deleted { by: Some(by) },
                // No later commit removed it. Without the columns' names it may be open as well.
                Some(None) if fields.is_some() => CategoryState::LeftOut,
                None if fields.is_some() => CategoryState::Deleted { by: None },
                _ => CategoryState::Unsure,
            }
        };
        let standing = |category: &Category| StoredCategory {
            category: category.clone(),
            state: state(category),
        };
        StoredRecord {
            categories: self.categories.iter().map(standing).collect(),
            bucket: bucket_of(&found.path).map(BucketLabel),
            profile: trail::profile_of(&found.path),
            policy_version: found.policy_version,
            jurisdiction: found.jurisdiction,
            tenant: found.tenant,
            path: found.path,
        }
    }
}

#[cfg(test)]
mod tests;
