//! Why a record's data is here, or is not: which categories stand until when, and which commit took what is gone.
//!
//! Promises to answer from the evidence and from the record's own tags, and to say where neither can tell. Must never give a
//! personal value, and reads only segments that may hold the record, of these the columns that tell.

mod covered;
mod find;
mod trail;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::Serialize;
use uuid::Uuid;

use super::audit::oldest_entry;
use super::{View, ViewError};
use crate::ids::{Bucket, Category, Country, Deadline, Offset, PolicyVersion, ProductKey, ProfileId, TopicPartition};
use crate::store::log::{Entry, app_id};
use crate::store::root::Root;
use find::Found;
use trail::Trail;

pub use covered::takes_in;
pub(super) use trail::bucket_of;

/// Records that are told of at most where a value is looked for.
const MOST: usize = 20;

/// Which record is meant.
#[derive(Clone, PartialEq, Eq)]
pub enum Sought {
    /// The one of that offset.
    Source {
        /// Its partition.
        partition: TopicPartition,
        /// Its offset.
        offset: Offset,
    },
    /// Those that hold a value.
    Value {
        /// The column.
        column: String,
        /// The value, as text.
        value: String,
    },
}

/// What the caller knows beside the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// The bucket to look in; `None`: all of them.
    pub bucket: Option<Bucket>,
    /// The column that names the tenant.
    pub tenant: Option<String>,
    /// The columns of each category, by the policy. Without them a category without a deadline may be open or gone.
    pub fields: BTreeMap<Category, BTreeSet<String>>,
}

/// One record's story.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Story {
    /// Where it came from; `None` where a row does not tell any more.
    #[serde(flatten)]
    pub partition: Option<TopicPartition>,
    /// Its offset.
    pub offset: Option<Offset>,
    /// The commit that read it; `None` where its entry is cleaned away.
    pub ingest: Option<Step>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Fate {
    /// It stands in the table.
    Here(Box<Place>),
    /// It stands no more.
    Gone {
        /// The commits that ended records where it stood; the one that ended it is among them.
        by: Vec<Step>,
        /// Whether it may never have been stored: its commit counted records that were not.
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
    /// The table has not come to it.
    NotRead {
        /// Where its partition reads on; `None` if the table has nothing of it.
        next: Option<Offset>,
    },
    /// It is not in the table, and the entry that would tell more is cleaned away.
    Untold {
        /// The oldest version whose entry is left.
        oldest_entry: u64,
    },
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place {
    /// Its segment, in the table's folder.
    pub path: String,
    /// Its bucket.
    pub bucket: Option<Bucketed>,
    /// Its profile.
    pub profile: Option<ProfileId>,
    /// The policy under which its deadlines were written.
    pub policy_version: Option<PolicyVersion>,
    /// The country whose rules apply.
    pub jurisdiction: Option<Country>,
    /// Its tenant, where the caller named the column. For finding the rule, not for telling.
    #[serde(skip)]
    pub tenant: Option<String>,
    /// Its categories, by name.
    pub categories: Vec<Standing>,
}

/// A bucket, written as in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucketed(pub Bucket);

impl Serialize for Bucketed {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// One category of a record that stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The category.
    pub category: Category,
    /// Whether it is here.
    #[serde(flatten)]
    pub state: State,
}

/// Whether a category of a record that stands is here.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It is here.
    Here {
        /// Until when; `None` while that is open.
        until: Option<Deadline>,
    },
    /// It is gone.
    Gone {
        /// By which commit; `None` where its entry is cleaned away.
        by: Option<Step>,
    },
    /// It was due when the record arrived, and was never stored.
    LeftOut,
    /// It has no deadline: it is open, or was never there. The policy would tell.
    Unsure,
}

/// A commit, as a story tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The version that it made.
    pub version: u64,
    /// What kind of commit it was; `None` for another engine's.
    pub operation: Option<String>,
    /// When it was made.
    pub at: Option<DateTime<Utc>>,
    /// Its id in the evidence.
    pub commit: Option<Uuid>,
}

impl Step {
    fn of(entry: &Entry) -> Step {
        let evidence = entry.evidence.as_ref();
        Step {
            version: entry.version,
            operation: evidence.map(|evidence| evidence.operation.clone()),
            at: evidence.map(|evidence| evidence.at),
            commit: evidence.map(|evidence| evidence.commit),
        }
    }
}

/// Tells the story of a record, or of the records that hold a value: of up to twenty, of none if none does. Errors if there is no
/// table, or no such column.
pub async fn why(root: &Root, product: &ProductKey, sought: &Sought, known: &Known) -> Result<Vec<Story>, ViewError> {
    let view = View::open(root, product).await?;
    known.bucket.map_or(Ok(()), |bucket| view.check_bucket(product, bucket))?;
    let looking = Looking { categories: categories(&view)?, oldest: oldest_entry(&view).await?, view: &view, known };
    match sought {
        Sought::Source { partition, offset } => Ok(vec![looking.story(partition, *offset).await?]),
        Sought::Value { column, value } => {
            if !view.state.columns()?.contains(column) {
                return Err(ViewError::NoColumn { product: product.to_string(), column: column.clone() });
            }
            let mut stories = Vec::new();
            let mut files = std::pin::pin!(view.files());
            while let Some(file) = files.try_next().await? {
                if !looking.may_be_in(&file.path) {
                    continue;
                }
                for found in find::by_value(&view.log, &file.path, (column, value), known, MOST - stories.len()).await?
                {
                    stories.push(looking.of_row(found).await?);
                }
                if stories.len() >= MOST {
                    break;
                }
            }
            Ok(stories)
        }
    }
}

/// The categories that the table has columns for.
fn categories(view: &View) -> Result<Vec<Category>, ViewError> {
    let columns = view.state.columns()?;
    let named = columns.iter().filter_map(|column| column.strip_prefix("expires_"));
    let mut categories: Vec<Category> = named.filter_map(|category| Category::new(category).ok()).collect();
    categories.sort();
    Ok(categories)
}

/// A search under way.
struct Looking<'a> {
    view: &'a View,
    known: &'a Known,
    categories: Vec<Category>,
    oldest: u64,
}

impl Looking<'_> {
    fn may_be_in(&self, path: &str) -> bool {
        self.known.bucket.is_none_or(|bucket| bucket_of(path) == Some(bucket))
    }

    /// The story of the record of an offset.
    async fn story(&self, partition: &TopicPartition, offset: Offset) -> Result<Story, ViewError> {
        let story = |ingest, fate| Story { partition: Some(partition.clone()), offset: Some(offset), ingest, fate };
        let next = self.view.state.txn(&app_id(partition)).map(Offset);
        if next.is_none_or(|next| offset >= next) {
            return Ok(story(None, Fate::NotRead { next }));
        }
        let ingest = trail::ingest(&self.view.log, (self.oldest, self.view.state.version), partition, offset).await?;
        let trail = match &ingest {
            Some(entry) => Some(Trail::follow(&self.view.log, entry, self.view.state.version).await?),
            None => None,
        };
        let mut files = std::pin::pin!(self.view.files());
        while let Some(file) = files.try_next().await? {
            let on_the_way = trail.as_ref().is_none_or(|trail| trail.leads_to(&file.path));
            if !on_the_way || !self.may_be_in(&file.path) {
                continue;
            }
            if let Some(found) = find::by_source(&self.view.log, &file.path, (partition, offset), self.known).await? {
                let place = self.place(found, trail.as_ref());
                return Ok(story(ingest.as_ref().map(Step::of), Fate::Here(Box::new(place))));
            }
        }
        let (Some(entry), Some(trail)) = (ingest, trail) else {
            return Ok(story(None, Fate::Untold { oldest_entry: self.oldest }));
        };
        let (expired, skipped, dead_letters) = match &entry.evidence {
            Some(evidence) => (evidence.expired, evidence.skipped, evidence.dead_letters.clone()),
            None => (0, 0, BTreeMap::new()),
        };
        let by = trail.ends(|path| self.may_be_in(path));
        let fate = if by.is_empty() {
            Fate::NeverStored { expired, skipped, dead_letters }
        } else {
            Fate::Gone { by, perhaps_never_stored: expired + skipped > 0 || !dead_letters.is_empty() }
        };
        Ok(story(Some(Step::of(&entry)), fate))
    }

    /// The story of a record whose row was found.
    async fn of_row(&self, found: Found) -> Result<Story, ViewError> {
        let (partition, offset) = (found.partition.clone(), found.offset);
        let ingest = match (&partition, offset) {
            (Some(partition), Some(offset)) => {
                trail::ingest(&self.view.log, (self.oldest, self.view.state.version), partition, offset).await?
            }
            _ => None,
        };
        let trail = match &ingest {
            Some(entry) => Some(Trail::follow(&self.view.log, entry, self.view.state.version).await?),
            None => None,
        };
        let fate = Fate::Here(Box::new(self.place(found, trail.as_ref())));
        Ok(Story { partition, offset, ingest: ingest.as_ref().map(Step::of), fate })
    }

    fn place(&self, found: Found, trail: Option<&Trail>) -> Place {
        let state = |category: &Category| {
            let until = found.deadlines.get(category).copied();
            let fields = self.known.fields.get(category);
            if until.is_some() || fields.is_some_and(|fields| fields.iter().any(|field| found.columns.contains(field)))
            {
                return State::Here { until };
            }
            match trail.map(|trail| trail.took(&found.path, category)) {
                Some(Some(by)) => State::Gone { by: Some(by) },
                // No commit since took it. Without the columns' names it may be open as well.
                Some(None) if fields.is_some() => State::LeftOut,
                None if fields.is_some() => State::Gone { by: None },
                _ => State::Unsure,
            }
        };
        let standing = |category: &Category| Standing { category: category.clone(), state: state(category) };
        Place {
            categories: self.categories.iter().map(standing).collect(),
            bucket: bucket_of(&found.path).map(Bucketed),
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
