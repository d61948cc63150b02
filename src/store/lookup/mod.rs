//! Look-up: the rows of a table that hold given texts, read from as little of its files as can be.
//!
//! For each segment its footer, kept in memory; of each row group one 32-byte block of each bloom filter; of those that say
//! maybe the page index; then the pages that can match; then what else was asked of the rows that do, where that is not known
//! already. Promises that an answer is of one version of the table, whole or ended by an error, in bounded memory. Must never
//! print what is looked for.

mod bloom;
mod constant;
mod files;
mod filter;
mod footers;
mod prune;
mod read;
mod spans;
mod table;

pub use filter::{AnyOf, Filter, Within};
pub use table::TableAt;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use super::error::StoreError;
use super::index::StoredSegment;
use super::rewrite::RewriteError;
use super::root::Root;
use crate::ids::ProductKey;
use files::Files;
use footers::Footers;
use prune::Part;
use table::Kept;

/// Reads and pieces of decoding that all look-ups of a finder do at once.
const AT_ONCE: usize = 16;

/// Segments that one look-up looks into at once, and parts of them that it reads at once.
const AHEAD: usize = 8;

/// Segments of the local file system that are looked into one after the other on one thread.
const TOGETHER: usize = 8;

/// Looks rows up in the tables of a root. Keep one: it knows the tables' segments and their footers from one look-up to the
/// next, and bounds what look-ups at the same time do together.
pub struct Finder {
    root: Root,
    footers: Arc<Footers>,
    permits: Arc<Semaphore>,
    tables: Mutex<HashMap<ProductKey, Arc<AsyncMutex<Option<Kept>>>>>,
    numbers: AtomicU64,
}

/// A segment to look into, and what to look for in it.
#[derive(Debug, Clone)]
pub struct Look {
    /// The segment.
    pub segment: Arc<StoredSegment>,
    /// The rows that are looked for.
    pub filter: Filter,
}

/// Some rows of a segment that match.
#[derive(Debug, Clone)]
pub struct Found {
    /// The segment.
    pub segment: Arc<StoredSegment>,
    /// The rows.
    pub rows: RecordBatch,
}

/// The rows that match, in the order of the segments that were given.
pub struct FoundRows {
    found: Receiver<Result<Found, RewriteError>>,
    /// What gives them; taken once it has ended.
    work: Option<JoinHandle<()>>,
}

impl FoundRows {
    /// The next rows, never none of them; `None` behind the last. Behind an error nothing more comes.
    pub async fn next(&mut self) -> Option<Result<Found, RewriteError>> {
        next(&mut self.found, &mut self.work).await
    }
}

impl fmt::Debug for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("root", &self.root).field("footers", &self.footers.bytes()).finish()
    }
}

impl Finder {
    /// A finder of the tables under `root` that keeps up to `memory` bytes of footers.
    #[must_use]
    pub fn new(root: Root, memory: usize) -> Finder {
        Finder {
            root,
            footers: Arc::new(Footers::new(memory)),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            tables: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Bytes of footers in memory.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.footers.bytes()
    }

    /// A product's table at its newest version; `None` if there is none. Costs what was committed since it was asked for last.
    pub async fn table(&self, product: &ProductKey) -> Result<Option<Arc<TableAt>>, StoreError> {
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
        *kept = Kept::open(&self.root, product, usize::try_from(number).unwrap_or(usize::MAX)).await?;
        Ok(kept.as_ref().map(Kept::at))
    }

    /// Forgets what is known of a product's table, so that it is read from its checkpoint the next time.
    pub async fn forget(&self, product: &ProductKey) {
        let kept = self.tables.lock().unwrap_or_else(PoisonError::into_inner).get(product).cloned();
        if let Some(kept) = kept {
            *kept.lock().await = None;
        }
    }

    /// Looks into segments of `table`. The rows have exactly `columns`, which are columns of the table, null where a segment
    /// lacks one. `looked` counts the segments that are done with. [`RewriteError::Gone`]: the table has moved on and a segment
    /// of that version is unlinked; what came before it is of that version and not all of it.
    #[must_use]
    pub fn find(&self, table: &TableAt, looks: Vec<Look>, columns: SchemaRef, looked: Arc<AtomicU64>) -> FoundRows {
        let files = Files {
            table: table.number,
            store: Arc::clone(&table.store),
            folder: table.folder.clone(),
            footers: Arc::clone(&self.footers),
            permits: Arc::clone(&self.permits),
            here: false,
        };
        self.find_in(files, looks, columns, looked)
    }

    fn find_in(&self, files: Files, looks: Vec<Look>, columns: SchemaRef, looked: Arc<AtomicU64>) -> FoundRows {
        let (sender, receiver) = channel(2);
        let work = tokio::spawn(async move {
            if let Err(error) = run(files, looks, columns, looked, &sender).await {
                // Nobody may ask any more.
                let _ = sender.send(Err(error)).await;
            }
        });
        FoundRows { found: receiver, work: Some(work) }
    }
}

/// Reads the parts that may match, some ahead of the one whose rows are given on.
async fn run(
    files: Files,
    looks: Vec<Look>,
    columns: SchemaRef,
    looked: Arc<AtomicU64>,
    to: &Sender<Result<Found, RewriteError>>,
) -> Result<(), RewriteError> {
    let mut parts = std::pin::pin!(parts(files.clone(), looks, looked));
    let mut ahead = VecDeque::new();
    loop {
        while ahead.len() < AHEAD
            && let Some(next) = parts.next().await
        {
            let (look, part) = next?;
            let (sender, receiver) = channel(1);
            let work = tokio::spawn(read::read(files.clone(), look, part, Arc::clone(&columns), sender));
            ahead.push_back((receiver, Some(work)));
        }
        let Some((mut first, mut work)) = ahead.pop_front() else { return Ok(()) };
        while let Some(found) = next(&mut first, &mut work).await {
            let found = found?;
            if to.send(Ok(found)).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// What `work` gives next. Work that was cut short is an error, so that nobody takes what it gave for all.
async fn next<T>(
    from: &mut Receiver<Result<T, RewriteError>>,
    work: &mut Option<JoinHandle<()>>,
) -> Option<Result<T, RewriteError>> {
    if let Some(given) = from.recv().await {
        return Some(given);
    }
    let ended = work.take()?.await;
    ended.err().map(|error| Err(stopped(&error)))
}

fn stopped(error: &JoinError) -> RewriteError {
    StoreError::Refused(format!("the look-up was stopped: {error}")).into()
}

/// The parts of all segments that may match, in order.
fn parts(
    files: Files,
    looks: Vec<Look>,
    looked: Arc<AtomicU64>,
) -> impl Stream<Item = Result<(Arc<Look>, Part), RewriteError>> {
    // To look into a segment that is near costs less than to pass it to another thread.
    let together = if files.are_near() { TOGETHER } else { 1 };
    let mut looks = looks.into_iter();
    let lots = std::iter::from_fn(move || Some(looks.by_ref().take(together).collect::<Vec<Look>>()));
    let of_lot = move |lot: Vec<Look>| {
        let (files, looked) = (files.clone(), Arc::clone(&looked));
        // A task of its own: what waits for its turn here may have a permit that those who read rows wait for.
        let pruning = tokio::spawn(async move { files.in_a_row(move |files| prune_each(files, lot, looked)).await });
        async { pruning.await.unwrap_or_else(|error| Err(stopped(&error))) }
    };
    let pruned = stream::iter(lots.take_while(|lot| !lot.is_empty())).map(of_lot).buffered(AHEAD);
    pruned.flat_map(|parts| match parts {
        Ok(parts) => stream::iter(parts).map(Ok).left_stream(),
        Err(error) => stream::iter([Err(error)]).right_stream(),
    })
}

/// The parts of some segments, one segment after the other.
async fn prune_each(
    files: Files,
    looks: Vec<Look>,
    looked: Arc<AtomicU64>,
) -> Result<Vec<(Arc<Look>, Part)>, RewriteError> {
    let mut all = Vec::new();
    for look in looks {
        let parts = prune::parts(&files, &look.segment, &look.filter).await;
        looked.fetch_add(1, Ordering::Relaxed);
        let look = Arc::new(look);
        all.extend(parts?.into_iter().map(|part| (Arc::clone(&look), part)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
