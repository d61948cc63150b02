//! Concurrent pieces of work, one per table: while the files of one are made durable, another is
//! processed.
//!
//! In each table, the longest overdue work comes first. The clock is checked before each piece
//! begins. Of the pieces that may use much memory, only one is in progress at a time. Two pieces of
//! one table must never run concurrently: each depends on the state that the one before it left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::clock::guard::ClockStatus;
use crate::commit::{CommitContext, TaskOutcome};
use crate::error::SweepError;
use crate::product::SweptProduct;
use crate::product::holds::SweepHolds;
use crate::review::ProductReviews;
use crate::task::Task;
use ebbtide_base::ids::ProductKey;

/// The maximum number of tables that are processed concurrently.
const AT_ONCE: usize = 4;

/// The bytes of segments from which a piece of work may use much memory: rows that are split are
/// encoded, with a row group for each part.
const MUCH: u64 = 64 << 20;

/// A finished piece of work.
pub(super) struct FinishedTask {
    pub(super) product: ProductKey,
    /// The review records of the product's segments.
    pub(super) reviews: ProductReviews,
    pub(super) work: Task,
    pub(super) done: Result<TaskOutcome, SweepError>,
    /// The time that it took.
    pub(super) took: Duration,
}

/// The holds and the commits of pieces of work.
#[derive(Clone, Copy)]
pub(super) struct TaskContext<'t> {
    /// The holds of each table, by its index.
    pub(super) held: &'t BTreeMap<usize, SweepHolds>,
    /// The writer of the commits.
    pub(super) by: &'t CommitContext,
}

/// Does pieces of work, each with the index of its table, and calls `over` for each that finished.
/// Returns the last verdict on the clock: if it is not trusted, some pieces may not have begun.
pub(super) async fn carry_out_all(
    mut waiting: Vec<(usize, Task)>,
    products: &mut [SweptProduct],
    context: TaskContext<'_>,
    look: impl Fn(Option<DateTime<Utc>>) -> ClockStatus,
    mut over: impl FnMut(&FinishedTask),
) -> ClockStatus {
    let TaskContext { held, by } = context;
    let mut newest = products
        .iter()
        .filter_map(|product| product.table.newest_commit())
        .max();
    let mut free: Vec<Option<&mut SweptProduct>> = products.iter_mut().map(Some).collect();
    let (mut under_way, mut begun): (_, Vec<(usize, bool)>) = (FuturesUnordered::new(), Vec::new());
    let mut verdict = ClockStatus::Trusted;
    loop {
        while let Some(at) = next(&waiting, &begun) {
            verdict = look(newest);
            if verdict != ClockStatus::Trusted {
                waiting.clear();
                break;
            }
            let (index, work) = waiting.remove(at);
            if let (Some(held), Some(product)) =
                (held.get(&index), free.get_mut(index).and_then(Option::take))
            {
                begun.push((index, takes_much(&work)));
                under_way.push(async move { (index, carry_out(product, work, held, by).await) });
            }
        }
        let Some((index, (finished, product))) = under_way.next().await else {
            return verdict;
        };
        newest = newest.max(product.table.newest_commit());
        begun.retain(|(busy, _)| *busy != index);
        if let Some(place) = free.get_mut(index) {
            *place = Some(product);
        }
        over(&finished);
    }
}

/// Does a piece of work and returns it with the product.
async fn carry_out<'p>(
    product: &'p mut SweptProduct,
    work: Task,
    held: &SweepHolds,
    by: &CommitContext,
) -> (FinishedTask, &'p mut SweptProduct) {
    let began = by.clock.monotonic();
    let done = product.carry_out(&work, held, by).await;
    let took = by.clock.monotonic().saturating_sub(began);
    (
        FinishedTask {
            product: product.key().clone(),
            reviews: product.state.reviews.clone(),
            work,
            done,
            took,
        },
        product,
    )
}

/// Returns the index of the first waiting piece that can begin besides those in progress.
/// `under_way` has the table of each of these, and true if it may use much memory. If the first
/// piece of a table has to wait for memory, its later pieces wait too: work that is due later does
/// not overtake.
fn next(waiting: &[(usize, Task)], under_way: &[(usize, bool)]) -> Option<usize> {
    if under_way.len() >= AT_ONCE {
        return None;
    }
    let is_full = under_way.iter().any(|(_, much)| *much);
    let mut busy: BTreeSet<usize> = under_way.iter().map(|(index, _)| *index).collect();
    // True for the first piece of a table that is free.
    let mut first = |index: usize| busy.insert(index);
    waiting
        .iter()
        .position(|(index, work)| first(*index) && !(is_full && takes_much(work)))
}

/// Returns true if a piece of work may use much memory. An end always may, since people are counted
/// over all its segments.
fn takes_much(work: &Task) -> bool {
    work.action.kind().needs_memory() || work.bytes() >= MUCH
}

#[cfg(test)]
mod tests;
