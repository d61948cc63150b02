//! Look-up: finds the rows of a table that contain given texts, reading as little of its files as
//! possible.
//!
//! Reads for each segment its footer, which is kept in memory; for each row group one 32-byte block
//! of each bloom filter; the page index, if the filters answer maybe; the pages that can match; and
//! the other requested columns of the matching rows, unless their values are already known. A
//! result is of one version of the table, and is complete or ends with an error. Memory is bounded.
//! The searched texts must never be printed.

mod constant;
mod files;
mod footers;
mod prune;
mod read;
mod row_selection;
mod snapshot;

pub use snapshot::TableSnapshot;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use ebbtide_base::ids::ProductKey;
use ebbtide_table::Predicate;
use ebbtide_table::error::StoreError;
use ebbtide_table::index::StoredSegment;
use ebbtide_table::rewrite::RewriteError;
use ebbtide_table::root::Root;
use files::TableFiles;
use footers::FooterCache;
use prune::CandidateRows;
use snapshot::CachedTable;

/// The maximum number of concurrent reads and decoding steps of all look-ups of a finder.
const CONCURRENT_READS: usize = 16;

/// The number of segments that one look-up processes concurrently, and the number of their parts
/// that it reads concurrently.
const AHEAD: usize = 8;

/// The number of segments of the local file system that are processed one after the other on one
/// thread.
const TOGETHER: usize = 8;

/// Finds rows in the tables of a root. Keep one instance: it caches the tables' segments and their
/// footers between look-ups, and limits the resources of concurrent look-ups.
pub struct RecordFinder {
    root: Root,
    footers: Arc<FooterCache>,
    permits: Arc<Semaphore>,
    tables: Mutex<HashMap<ProductKey, Arc<AsyncMutex<Option<CachedTable>>>>>,
    numbers: AtomicU64,
}

/// A segment to search, and the predicate for its rows.
#[derive(Debug, Clone)]
pub struct SegmentScan {
    /// The segment.
    pub segment: Arc<StoredSegment>,
    /// The condition on the rows.
    pub predicate: Predicate,
}

/// Some matching rows of a segment.
#[derive(Debug, Clone)]
pub struct FoundBatch {
    /// The segment.
    pub segment: Arc<StoredSegment>,
    /// The rows.
    pub rows: RecordBatch,
}

/// The matching rows, in the order of the given segments. No batch is empty. After an error there
/// are no more rows.
pub struct FoundRows {
    found: Receiver<Result<FoundBatch, RewriteError>>,
    /// The task that sends the rows; taken when it has ended.
    work: Option<JoinHandle<()>>,
}

impl FoundRows {
    fn new(found: Receiver<Result<FoundBatch, RewriteError>>, work: JoinHandle<()>) -> FoundRows {
        FoundRows {
            found,
            work: Some(work),
        }
    }
}

impl Stream for FoundRows {
    type Item = Result<FoundBatch, RewriteError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(found) = ready!(self.found.poll_recv(task)) {
            return Poll::Ready(Some(found));
        }
        // A task that was aborted has not sent all rows: they must not be taken as complete.
        let Some(work) = &mut self.work else {
            return Poll::Ready(None);
        };
        let ended = ready!(Pin::new(work).poll(task));
        self.work = None;
        Poll::Ready(ended.err().map(|error| Err(stopped(&error))))
    }
}

impl fmt::Debug for RecordFinder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordFinder")
            .field("root", &self.root)
            .field("footers", &self.footers.bytes())
            .finish()
    }
}

impl RecordFinder {
    /// Creates a finder of the tables under `root` that keeps up to `memory` bytes of footers.
    #[must_use]
    pub fn new(root: Root, memory: usize) -> RecordFinder {
        RecordFinder {
            root,
            footers: Arc::new(FooterCache::new(memory)),
            permits: Arc::new(Semaphore::new(CONCURRENT_READS)),
            tables: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    /// Returns the root.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Returns the size of the footers in memory, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.footers.bytes()
    }

    /// Returns a product's table at its newest version; `None` if it does not exist. Reads only the
    /// commits since the last call.
    pub async fn table(
        &self,
        product: &ProductKey,
    ) -> Result<Option<Arc<TableSnapshot>>, StoreError> {
        let kept = {
            let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tables.entry(product.clone()).or_default())
        };
        let mut kept = kept.lock().await;
        if let Some(known) = kept.as_mut()
            && let Some(newest) = known.newest().await?
        {
            return Ok(Some(newest));
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        *kept = CachedTable::open(
            &self.root,
            product,
            usize::try_from(number).unwrap_or(usize::MAX),
        )
        .await?;
        Ok(kept.as_ref().map(CachedTable::at))
    }

    /// Forgets a product's cached table, so that the next call reads it from its checkpoint.
    pub async fn forget(&self, product: &ProductKey) {
        let kept = self
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(product)
            .cloned();
        if let Some(kept) = kept {
            *kept.lock().await = None;
        }
    }

    /// Searches segments of `table`. The rows have exactly `columns`, which are columns of the
    /// table, null if a segment lacks one. `looked` counts the completed segments.
    /// [`RewriteError::SegmentDeleted`]: the table has newer versions, and a segment of this version was
    /// deleted; the rows before the error are of this version but incomplete.
    #[must_use]
    pub fn find(
        &self,
        table: &TableSnapshot,
        looks: Vec<SegmentScan>,
        columns: SchemaRef,
        looked: Arc<AtomicU64>,
    ) -> FoundRows {
        let files = TableFiles {
            table: table.number,
            store: Arc::clone(&table.store),
            folder: table.folder.clone(),
            footers: Arc::clone(&self.footers),
            permits: Arc::clone(&self.permits),
            here: false,
        };
        self.find_in(files, looks, columns, looked)
    }

    fn find_in(
        &self,
        files: TableFiles,
        looks: Vec<SegmentScan>,
        columns: SchemaRef,
        looked: Arc<AtomicU64>,
    ) -> FoundRows {
        let (sender, receiver) = channel(2);
        let work = tokio::spawn(async move {
            if let Err(error) = run(files, looks, columns, looked, &sender).await {
                // The receiver may have been dropped.
                let _ = sender.send(Err(error)).await;
            }
        });
        FoundRows::new(receiver, work)
    }
}

/// Reads the parts that may match, some of them ahead of the part whose rows are sent.
async fn run(
    files: TableFiles,
    looks: Vec<SegmentScan>,
    columns: SchemaRef,
    looked: Arc<AtomicU64>,
    to: &Sender<Result<FoundBatch, RewriteError>>,
) -> Result<(), RewriteError> {
    let mut parts = std::pin::pin!(parts(files.clone(), looks, looked));
    let mut ahead = VecDeque::new();
    loop {
        while ahead.len() < AHEAD
            && let Some(next) = parts.next().await
        {
            let (look, part) = next?;
            let (sender, receiver) = channel(1);
            let work = tokio::spawn(read::read(
                files.clone(),
                look,
                part,
                Arc::clone(&columns),
                sender,
            ));
            ahead.push_back(FoundRows::new(receiver, work));
        }
        let Some(mut first) = ahead.pop_front() else {
            return Ok(());
        };
        while let Some(found) = first.next().await {
            let found = found?;
            if to.send(Ok(found)).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn stopped(error: &JoinError) -> RewriteError {
    StoreError::Refused(format!("the look-up was stopped: {error}")).into()
}

/// Returns the parts of all segments that may match, in order.
fn parts(
    files: TableFiles,
    looks: Vec<SegmentScan>,
    looked: Arc<AtomicU64>,
) -> impl Stream<Item = Result<(Arc<SegmentScan>, CandidateRows), RewriteError>> {
    // Processing a local segment costs less than passing it to another thread.
    let together = if files.are_near() { TOGETHER } else { 1 };
    let mut looks = looks.into_iter();
    let lots = std::iter::from_fn(move || {
        Some(looks.by_ref().take(together).collect::<Vec<SegmentScan>>())
    });
    let of_lot = move |lot: Vec<SegmentScan>| {
        let (files, looked) = (files.clone(), Arc::clone(&looked));
        // A separate task: a future that waits here for its turn may have a permit that the readers
        // of rows wait for.
        let pruning = tokio::spawn(async move {
            files
                .in_a_row(move |files| prune_each(files, lot, looked))
                .await
        });
        async { pruning.await.unwrap_or_else(|error| Err(stopped(&error))) }
    };
    let pruned = stream::iter(lots.take_while(|lot| !lot.is_empty()))
        .map(of_lot)
        .buffered(AHEAD);
    pruned.flat_map(|parts| match parts {
        Ok(parts) => stream::iter(parts).map(Ok).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
}

/// Returns the parts of some segments, processed one after the other.
async fn prune_each(
    files: TableFiles,
    looks: Vec<SegmentScan>,
    looked: Arc<AtomicU64>,
) -> Result<Vec<(Arc<SegmentScan>, CandidateRows)>, RewriteError> {
    let mut all = Vec::new();
    for look in looks {
        let parts = prune::parts(&files, &look.segment, &look.predicate).await;
        looked.fetch_add(1, Ordering::Relaxed);
        let look = Arc::new(look);
        all.extend(parts?.into_iter().map(|part| (Arc::clone(&look), part)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
