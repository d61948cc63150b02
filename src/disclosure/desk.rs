//! The desk at which records are asked for: finds them in one table after the other and hands on what may be shown.
//!
//! Promises that the answer of a product is of one version of its table, whole or ended by an error, and that no more than a
//! bounded number of rows is in memory. A small answer is gathered before its first row is given, so that it can begin again at
//! a newer version if a segment is unlinked meanwhile; a large one cannot, and says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use super::allowed::{self, Judging};
use super::inquiry::{Inquiry, InquiryError, Passed, Tables};
use super::terms::Terms;
use crate::controls::{Controls, HoldId, Holds, SegmentView};
use crate::ids::{Category, ProductKey};
use crate::policy::{Policy, Profile};
use crate::store::{
    Filter, Finder, Found, Look, Predicate, RewriteError, Root, StoreError, StoredSegment, TableAt, products,
};

/// Bytes of rows that are gathered before the first is given.
const GATHERED: usize = 32 << 20;

/// How often an answer begins at a newer version.
const ATTEMPTS: usize = 5;

/// Answers inquiries from the tables of one root under one policy. Keep one: what it knows of the tables serves the next.
#[derive(Debug)]
pub struct Desk {
    finder: Finder,
    policy: Arc<Policy>,
    controls: Mutex<Controls>,
    gathered: usize,
}

/// Why records could not be told, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It cannot be meant.
    #[error(transparent)]
    Inquiry(#[from] InquiryError),
    /// The table moved on while a long answer was given, and a segment of its version is unlinked.
    #[error(
        "table {product} moved on while its answer of version {version} was given, and a file of that version is gone: \
         the answer is not whole; ask again, or for less at once"
    )]
    Moved {
        /// The product.
        product: ProductKey,
        /// The version that the answer is of.
        version: u64,
    },
    /// A segment could not be read.
    #[error("table {product}: {error}")]
    Segment {
        /// The product.
        product: ProductKey,
        /// Why.
        error: RewriteError,
    },
    /// The store failed, or the controls cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was found could not be made what is shown.
    #[error("what was found cannot be shown: {0}")]
    Arrow(#[from] ArrowError),
    /// The work ended before its end.
    #[error("the look-up was stopped")]
    Stopped,
}

/// A part of the answer of one product.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// What follows is of this version of its table; `None`: it has none. Always first.
    Of(Option<u64>),
    /// Some records, with the columns of [`Desk::columns`].
    Rows(RecordBatch),
    /// The answer is whole. Always last.
    End(Summary),
}

/// What an answer amounts to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records in it.
    pub records: u64,
    /// Of these, those that a hold covers.
    pub held: u64,
    /// Of how many of them a category is withheld, because its deadline has passed and no sweep has been there yet.
    pub withheld: BTreeMap<Category, u64>,
    /// Files of the table of which nothing is known, and that were not looked into: another engine's.
    pub unknown: u64,
    /// Columns of the table that the policy does not name, and that are not shown.
    pub unnamed: Vec<String>,
}

/// How far an answer is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Segments to look into.
    pub segments: AtomicU64,
    /// Segments that were looked into.
    pub looked: Arc<AtomicU64>,
}

/// The answer of one product, as it comes.
pub struct Answer {
    pieces: Receiver<Result<Piece, FindError>>,
    work: Option<JoinHandle<()>>,
}

impl Answer {
    /// The next piece; `None` behind [`Piece::End`] or an error.
    pub async fn next(&mut self) -> Option<Result<Piece, FindError>> {
        if let Some(piece) = self.pieces.recv().await {
            return Some(piece);
        }
        let ended = self.work.take()?.await;
        ended.err().map(|_| Err(FindError::Stopped))
    }
}

impl Desk {
    /// A desk for the tables under `root`, which keeps up to `memory` bytes of what it learns of their files.
    #[must_use]
    pub fn new(root: Root, policy: Arc<Policy>, memory: usize) -> Desk {
        Desk { finder: Finder::new(root, memory), policy, controls: Mutex::default(), gathered: GATHERED }
    }

    /// Where the tables are.
    #[must_use]
    pub fn root(&self) -> &Root {
        self.finder.root()
    }

    /// The same, with another bound on the bytes that it gathers.
    #[cfg(test)]
    pub(super) fn gathering(mut self, bytes: usize) -> Desk {
        self.gathered = bytes;
        self
    }

    /// Which tables an inquiry is about. Errors on one that cannot be meant, or names a product that cannot be looked into.
    pub async fn tables(&self, inquiry: &Inquiry) -> Result<Tables, FindError> {
        inquiry.check()?;
        let mut tables = Tables::default();
        let named = !inquiry.products.is_empty();
        let mut asked = if named { inquiry.products.clone() } else { products(self.finder.root()).await? };
        asked.sort();
        asked.dedup();
        for product in asked {
            let records = self.policy.products.get(&product).and_then(|product| product.records.as_ref());
            match inquiry.columns(records) {
                Ok(_) => tables.looked_into.push(product),
                Err(why) if named => return Err(InquiryError::Product { product, why }.into()),
                Err(why) => tables.passed.push((product, why)),
            }
        }
        Ok(tables)
    }

    /// The columns of a product's records as they are shown; `None` for a product without records.
    #[must_use]
    pub fn columns(&self, product: &ProductKey) -> Option<SchemaRef> {
        crate::store::TableSpec::of(&self.policy, product).map(|spec| allowed::columns(&spec))
    }

    /// The records of one product, as of `now`. What cannot be told is an error among the pieces.
    #[must_use]
    pub fn find(
        self: &Arc<Self>,
        inquiry: &Inquiry,
        product: &ProductKey,
        now: DateTime<Utc>,
        progress: Arc<Progress>,
    ) -> Answer {
        let (to, pieces) = channel(2);
        let terms = Terms::of(inquiry, &self.policy, product, now);
        let (desk, product) = (Arc::clone(self), product.clone());
        let work = tokio::spawn(async move {
            let answered = match terms {
                Ok(terms) => desk.answer(&Arc::new(terms), &progress, &to).await,
                Err(why @ Passed::NotInPolicy) => Err(InquiryError::Product { product, why }.into()),
                // No record can match.
                Err(_) => {
                    let _ = to.send(Ok(Piece::Of(None))).await;
                    let _ = to.send(Ok(Piece::End(Summary::default()))).await;
                    Ok(())
                }
            };
            if let Err(error) = answered {
                // Nobody may ask any more.
                let _ = to.send(Err(error)).await;
            }
        });
        Answer { pieces, work: Some(work) }
    }

    async fn answer(
        &self,
        terms: &Arc<Terms>,
        progress: &Progress,
        to: &Sender<Result<Piece, FindError>>,
    ) -> Result<(), FindError> {
        let mut gone: Option<(u64, RewriteError)> = None;
        for _ in 0..ATTEMPTS {
            let Some(table) = self.finder.table(&terms.product).await? else {
                let mut giving = Giving::new(to, None, 0);
                return giving.end(Summary::default()).await;
            };
            if gone.as_ref().is_some_and(|(version, _)| *version == table.version()) {
                // Nothing tells why the file is gone: what is known of the table may be too old to be read on from.
                self.finder.forget(&terms.product).await;
            }
            let mut giving = Giving::new(to, Some(table.version()), self.gathered);
            match self.attempt(terms, &table, progress, &mut giving).await {
                Err(FindError::Segment { error: error @ RewriteError::Gone { .. }, .. }) if !giving.begun => {
                    gone = Some((table.version(), error));
                }
                Err(FindError::Segment { error: RewriteError::Gone { .. }, .. }) => {
                    return Err(FindError::Moved { product: terms.product.clone(), version: table.version() });
                }
                done => return done,
            }
        }
        match gone {
            Some((_, error)) => Err(FindError::Segment { product: terms.product.clone(), error }),
            None => Err(FindError::Stopped),
        }
    }

    /// Answers from one version of the table.
    async fn attempt(
        &self,
        terms: &Arc<Terms>,
        table: &TableAt,
        progress: &Progress,
        giving: &mut Giving<'_>,
    ) -> Result<(), FindError> {
        let holds = {
            // After the table: what is in force in it stands in the log.
            let mut controls = self.controls.lock().await;
            controls.refresh(self.finder.root(), table.controls()).await?;
            controls.in_force(terms.now).covering(&terms.product)
        };
        let judge = Judge { terms, holds: &holds, table };
        let looks = judge.looks();
        progress.segments.fetch_add(looks.len() as u64, Ordering::Relaxed);
        let columns = terms.spec.arrow();
        let mut rows = self.finder.find(table, looks, columns, Arc::clone(&progress.looked));
        let unnamed = table.columns().iter().filter(|column| terms.spec.column(column).is_none());
        let mut summary =
            Summary { unknown: table.unknown() as u64, unnamed: unnamed.cloned().collect(), ..Summary::default() };
        while let Some(found) = rows.next().await {
            let found = found.map_err(|error| FindError::Segment { product: terms.product.clone(), error })?;
            let shown = judge.shown(&found)?;
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

/// Decides on the segments and rows of one version of a table.
struct Judge<'a> {
    terms: &'a Terms,
    holds: &'a Holds,
    table: &'a TableAt,
}

impl Judge<'_> {
    /// Each hold that may cover rows of a segment.
    fn holds(&self, segment: &StoredSegment) -> Vec<(HoldId, Predicate)> {
        if self.holds.is_empty() {
            return Vec::new();
        }
        let view = SegmentView::of(&self.terms.calendar, segment, &self.terms.records);
        let each = self.holds.each(&self.terms.product, &self.terms.records, &view);
        each.map(|(id, rows)| (id.clone(), rows)).collect()
    }

    /// Whether a profile has a category whose deadline is not known yet. One that the table does not explain is taken for such,
    /// as a sweep does.
    fn open(&self, segment: &StoredSegment) -> bool {
        self.table.profile_text(&segment.profile).is_none_or(Profile::is_open_text)
    }

    fn looks(&self) -> Vec<Look> {
        let look = |segment: &Arc<StoredSegment>| -> Option<Look> {
            let filter: Filter = self.terms.look(segment, !self.holds(segment).is_empty(), self.open(segment))?;
            Some(Look { segment: Arc::clone(segment), filter })
        };
        self.table.segments().iter().filter_map(look).collect()
    }

    fn shown(&self, found: &Found) -> Result<allowed::Shown, FindError> {
        let segment = |error| FindError::Segment { product: self.terms.product.clone(), error };
        let holds = self.holds(&found.segment).into_iter();
        let holds = holds.map(|(id, rows)| Ok((id.to_string(), rows.evaluate(&found.rows)?)));
        let judging = Judging {
            spec: &self.terms.spec,
            now: self.terms.now,
            holds: holds.collect::<Result<_, RewriteError>>().map_err(segment)?,
            open: self.open(&found.segment),
            exact: &self.terms.exact(&found.segment),
        };
        Ok(judging.shown(&found.rows)?)
    }
}

/// An answer being given: gathered until it is whole or too large.
struct Giving<'a> {
    to: &'a Sender<Result<Piece, FindError>>,
    version: Option<u64>,
    room: usize,
    gathered: Vec<RecordBatch>,
    /// Whether anything was given: then it cannot begin again.
    begun: bool,
}

impl<'a> Giving<'a> {
    fn new(to: &'a Sender<Result<Piece, FindError>>, version: Option<u64>, room: usize) -> Self {
        Self { to, version, room, gathered: Vec::new(), begun: false }
    }

    /// Takes some records. False once nobody asks on.
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
            if self.to.send(Ok(Piece::Of(self.version))).await.is_err() {
                return false;
            }
        }
        for rows in std::mem::take(&mut self.gathered) {
            if self.to.send(Ok(Piece::Rows(rows))).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn end(&mut self, summary: Summary) -> Result<(), FindError> {
        if self.give().await {
            // Nobody may ask any more.
            let _ = self.to.send(Ok(Piece::End(summary))).await;
        }
        Ok(())
    }
}
