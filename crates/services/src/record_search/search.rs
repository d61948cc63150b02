//! The search for records: reads one table after the other, and returns what may be shown.
//!
//! The answer of a product uses one version of its table, and is either complete or ends with an
//! error. The number of rows in memory is limited. A small answer is collected before its first row
//! is sent, so that it can restart at a newer version if a segment is unlinked meanwhile. A large
//! answer cannot restart, and returns an error that says so.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::query::ProductQuery;
use super::request::{SearchRequest, SearchRequestError, SearchTables, SkipReason};
use super::visibility::{self, Visibility};
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_controls::{Controls, HoldId, Holds, SegmentView};
use ebbtide_policy::{Policy, Profile};
use ebbtide_query::{FoundBatch, RecordFinder, SegmentScan, TableSnapshot, products};
use ebbtide_table::{Predicate, RewriteError, Root, StoreError, StoredSegment};

/// The maximum size in bytes of the rows that are collected before the first one is sent.
const GATHERED: usize = 32 << 20;

/// The maximum number of attempts for an answer. Each attempt uses the newest version.
const ATTEMPTS: usize = 5;

/// Answers inquiries from the tables of one root under one policy. Keep one: its cache of the
/// tables serves later inquiries.
#[derive(Debug)]
pub struct RecordSearch {
    finder: RecordFinder,
    policy: Arc<Policy>,
    controls: Mutex<Controls>,
    gathered: usize,
}

/// The reason why records could not be returned, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The inquiry is not valid.
    #[error(transparent)]
    Inquiry(#[from] SearchRequestError),
    /// The table changed during a long answer, and a segment of the answer's version was unlinked.
    #[error(
        "table {product} changed during the answer of version {version}, and a file of that version was deleted: \
         the answer is incomplete; repeat the search, or search for less data"
    )]
    Moved {
        /// The product.
        product: ProductKey,
        /// The version of the table that the answer uses.
        version: u64,
    },
    /// A segment could not be read.
    #[error("table {product}: {error}")]
    Segment {
        /// The product.
        product: ProductKey,
        /// The reason.
        error: RewriteError,
    },
    /// The store failed, or the controls cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The rows that were found could not be converted to the form in which they are shown.
    #[error("what was found cannot be shown: {0}")]
    Arrow(#[from] ArrowError),
    /// The search ended before the answer was complete.
    #[error("the look-up was stopped")]
    Stopped,
}

/// A part of the answer of one product.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchEvent {
    /// The version of the table that the following pieces use; `None` if there is no table. Always
    /// first.
    Of(Option<u64>),
    /// Some records, with the columns of [`RecordSearch::columns`].
    Rows(RecordBatch),
    /// The answer is complete. Always last.
    End(SearchSummary),
}

/// The totals of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchSummary {
    /// The number of records in the answer.
    pub records: u64,
    /// The number of these records that a hold covers.
    pub held: u64,
    /// The number of these records from which a category is withheld, by category: its deadline has
    /// passed, and no sweep has deleted it yet.
    pub withheld: BTreeMap<Category, u64>,
    /// The number of files in the table that were not searched, because their content is not known:
    /// another engine wrote them.
    pub unknown: u64,
    /// Columns of the table that the policy does not name. They are not shown.
    pub unnamed: Vec<String>,
}

/// The progress of an answer.
#[derive(Debug, Default)]
pub struct SearchProgress {
    /// The number of segments to search.
    pub segments: AtomicU64,
    /// The number of segments that were searched.
    pub looked: Arc<AtomicU64>,
}

/// The answer of one product, as a stream of pieces. It ends after [`SearchEvent::End`] or an error.
pub struct SearchStream {
    pieces: Receiver<Result<SearchEvent, FindError>>,
    work: Option<JoinHandle<()>>,
}

impl Stream for SearchStream {
    type Item = Result<SearchEvent, FindError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(piece) = ready!(self.pieces.poll_recv(task)) {
            return Poll::Ready(Some(piece));
        }
        // A task that was aborted has not sent the whole answer.
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        let ended = ready!(Pin::new(work).poll(task));
        self.work = None;
        Poll::Ready(ended.err().map(|_| Err(FindError::Stopped)))
    }
}

impl RecordSearch {
    /// Creates a search over the tables under `root`. It caches up to `memory` bytes of the
    /// metadata of their files.
    #[must_use]
    pub fn new(root: Root, policy: Arc<Policy>, memory: usize) -> RecordSearch {
        RecordSearch {
            finder: RecordFinder::new(root, memory),
            policy,
            controls: Mutex::default(),
            gathered: GATHERED,
        }
    }

    /// Returns the root of the tables.
    #[must_use]
    pub fn root(&self) -> &Root {
        self.finder.root()
    }

    /// Returns the same search with another limit for the bytes that it collects.
    #[cfg(test)]
    pub(super) fn gathering(mut self, bytes: usize) -> RecordSearch {
        self.gathered = bytes;
        self
    }

    /// Returns the tables that an inquiry is about. Errors if the inquiry is not valid, or if it
    /// names a product that cannot be searched.
    pub async fn tables(&self, inquiry: &SearchRequest) -> Result<SearchTables, FindError> {
        inquiry.check()?;
        let mut tables = SearchTables::default();
        let named = !inquiry.products.is_empty();
        let mut asked = if named {
            inquiry.products.clone()
        } else {
            products(self.finder.root()).await?
        };
        asked.sort();
        asked.dedup();
        for product in asked {
            let records = self
                .policy
                .products
                .get(&product)
                .and_then(|product| product.records.as_ref());
            match inquiry.columns(records) {
                Ok(_) => tables.looked_into.push(product),
                Err(why) if named => {
                    return Err(SearchRequestError::Product { product, why }.into());
                }
                Err(why) => tables.passed.push((product, why)),
            }
        }
        Ok(tables)
    }

    /// Returns the columns of a product's records as they are shown; `None` for a product without
    /// records.
    #[must_use]
    pub fn columns(&self, product: &ProductKey) -> Option<SchemaRef> {
        ebbtide_table::TableSpec::of(&self.policy, product).map(|spec| visibility::columns(&spec))
    }

    /// Returns the records of one product, as of `now`. Errors are among the pieces.
    #[must_use]
    pub fn find(
        self: &Arc<Self>,
        inquiry: &SearchRequest,
        product: &ProductKey,
        now: DateTime<Utc>,
        progress: Arc<SearchProgress>,
    ) -> SearchStream {
        let (to, pieces) = channel(2);
        let terms = ProductQuery::of(inquiry, &self.policy, product, now);
        let (search, product) = (Arc::clone(self), product.clone());
        let work = tokio::spawn(async move {
            let answered = match terms {
                Ok(terms) => search.answer(&Arc::new(terms), &progress, &to).await,
                Err(why @ SkipReason::NotInPolicy) => {
                    Err(SearchRequestError::Product { product, why }.into())
                }
                // No record can match.
                Err(_) => {
                    let _ = to.send(Ok(SearchEvent::Of(None))).await;
                    let _ = to
                        .send(Ok(SearchEvent::End(SearchSummary::default())))
                        .await;
                    Ok(())
                }
            };
            if let Err(error) = answered {
                // This fails if the receiver of the answer was dropped.
                let _ = to.send(Err(error)).await;
            }
        });
        SearchStream {
            pieces,
            work: Some(work),
        }
    }

    async fn answer(
        &self,
        terms: &Arc<ProductQuery>,
        progress: &SearchProgress,
        to: &Sender<Result<SearchEvent, FindError>>,
    ) -> Result<(), FindError> {
        let mut missing: Option<(u64, RewriteError)> = None;
        for _ in 0..ATTEMPTS {
            let Some(table) = self.finder.table(&terms.product).await? else {
                let mut giving = ReplayBuffer::new(to, None, 0);
                return giving.end(SearchSummary::default()).await;
            };
            if missing
                .as_ref()
                .is_some_and(|(version, _)| *version == table.version())
            {
                // The reason why the file is missing is not known: the cached table may be too old
                // to continue with.
                self.finder.forget(&terms.product).await;
            }
            let mut giving = ReplayBuffer::new(to, Some(table.version()), self.gathered);
            match self.attempt(terms, &table, progress, &mut giving).await {
                Err(FindError::Segment {
                    error: error @ RewriteError::SegmentDeleted { .. },
                    ..
                }) if !giving.begun => {
                    missing = Some((table.version(), error));
                }
                Err(FindError::Segment {
                    error: RewriteError::SegmentDeleted { .. },
                    ..
                }) => {
                    return Err(FindError::Moved {
                        product: terms.product.clone(),
                        version: table.version(),
                    });
                }
                done => return done,
            }
        }
        match missing {
            Some((_, error)) => Err(FindError::Segment {
                product: terms.product.clone(),
                error,
            }),
            None => Err(FindError::Stopped),
        }
    }

    /// Answers from one version of the table.
    async fn attempt(
        &self,
        terms: &Arc<ProductQuery>,
        table: &TableSnapshot,
        progress: &SearchProgress,
        giving: &mut ReplayBuffer<'_>,
    ) -> Result<(), FindError> {
        let holds = {
            // Read after the table: the holds that are in force in this version are in the log by
            // then.
            let mut controls = self.controls.lock().await;
            controls
                .refresh(self.finder.root(), table.controls())
                .await?;
            controls.in_force(terms.now).covering(&terms.product)
        };
        let visibility = TableVisibility {
            terms,
            holds: &holds,
            table,
        };
        let looks = visibility.looks();
        progress
            .segments
            .fetch_add(looks.len() as u64, Ordering::Relaxed);
        let columns = terms.spec.arrow();
        let mut rows = self
            .finder
            .find(table, looks, columns, Arc::clone(&progress.looked));
        let unnamed = table
            .columns()
            .iter()
            .filter(|column| terms.spec.column(column).is_none());
        let mut summary = SearchSummary {
            unknown: table.unknown() as u64,
            unnamed: unnamed.cloned().collect(),
            ..SearchSummary::default()
        };
        while let Some(found) = rows.next().await {
            let found = found.map_err(|error| FindError::Segment {
                product: terms.product.clone(),
                error,
            })?;
            let shown = visibility.shown(&found)?;
            if shown.rows.num_rows() == 0 {
                continue;
            }
            summary.records += shown.rows.num_rows() as u64;
            summary.held += shown.held;
            for (category, count) in shown.withheld {
                *summary.withheld.entry(category).or_default() += count;
            }
            if !giving.rows(shown.rows).await {
                return Ok(());
            }
        }
        giving.end(summary).await
    }
}

/// Decides about the segments and rows of one version of a table.
struct TableVisibility<'a> {
    terms: &'a ProductQuery,
    holds: &'a Holds,
    table: &'a TableSnapshot,
}

impl TableVisibility<'_> {
    /// Returns each hold that may cover rows of a segment, with the condition for these rows.
    fn holds(&self, segment: &StoredSegment) -> Vec<(HoldId, Predicate)> {
        if self.holds.is_empty() {
            return Vec::new();
        }
        let view = SegmentView::of(&self.terms.calendar, segment, &self.terms.records);
        let each = self
            .holds
            .each(&self.terms.product, &self.terms.records, &view);
        each.map(|(id, rows)| (id.clone(), rows)).collect()
    }

    /// Returns true if the profile of a segment has a category whose deadline is not known yet. A
    /// profile that the table does not explain counts as one, as in a sweep.
    fn open(&self, segment: &StoredSegment) -> bool {
        self.table
            .profile_text(&segment.profile)
            .is_none_or(Profile::is_open_text)
    }

    fn looks(&self) -> Vec<SegmentScan> {
        let look = |segment: &Arc<StoredSegment>| -> Option<SegmentScan> {
            let held = !self.holds(segment).is_empty();
            Some(SegmentScan {
                segment: Arc::clone(segment),
                predicate: self.terms.look(segment, held, self.open(segment))?,
            })
        };
        self.table.segments().iter().filter_map(look).collect()
    }

    fn shown(&self, found: &FoundBatch) -> Result<visibility::VisibleRows, FindError> {
        let segment = |error| FindError::Segment {
            product: self.terms.product.clone(),
            error,
        };
        let holds = self.holds(&found.segment).into_iter();
        let holds = holds.map(|(id, rows)| Ok((id.to_string(), rows.evaluate(&found.rows)?)));
        let judging = Visibility {
            spec: &self.terms.spec,
            now: self.terms.now,
            holds: holds
                .collect::<Result<_, RewriteError>>()
                .map_err(segment)?,
            open: self.open(&found.segment),
            exact: &self.terms.exact(&found.segment),
        };
        Ok(judging.shown(&found.rows)?)
    }
}

/// An answer that is being sent. It is collected until it is complete or too large.
struct ReplayBuffer<'a> {
    to: &'a Sender<Result<SearchEvent, FindError>>,
    version: Option<u64>,
    room: usize,
    gathered: Vec<RecordBatch>,
    /// True if anything was sent. The answer cannot restart after that.
    begun: bool,
}

impl<'a> ReplayBuffer<'a> {
    fn new(
        to: &'a Sender<Result<SearchEvent, FindError>>,
        version: Option<u64>,
        room: usize,
    ) -> Self {
        Self {
            to,
            version,
            room,
            gathered: Vec::new(),
            begun: false,
        }
    }

    /// Adds some records. Returns false if the receiver of the answer was dropped.
    async fn rows(&mut self, rows: RecordBatch) -> bool {
        let size = rows.get_array_memory_size();
        self.gathered.push(rows);
        if !self.begun && size <= self.room {
            self.room -= size;
            return true;
        }
        self.give().await
    }

    async fn give(&mut self) -> bool {
        if !self.begun {
            self.begun = true;
            if self
                .to
                .send(Ok(SearchEvent::Of(self.version)))
                .await
                .is_err()
            {
                return false;
            }
        }
        for rows in std::mem::take(&mut self.gathered) {
            if self.to.send(Ok(SearchEvent::Rows(rows))).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn end(&mut self, summary: SearchSummary) -> Result<(), FindError> {
        if self.give().await {
            // This fails if the receiver of the answer was dropped.
            let _ = self.to.send(Ok(SearchEvent::End(summary))).await;
        }
        Ok(())
    }
}
