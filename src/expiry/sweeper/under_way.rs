//! Pieces of work under way at once, one of a table: while the files of one are made durable, another is worked on.
//!
//! Promises of each table the longest overdue first, a look at the clock before each begins, and that of those that may take much
//! memory one alone is under way. Must never do two of one table at once: each goes by what the one before it left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::expiry::carry_out::{By, Done};
use crate::expiry::error::SweepError;
use crate::expiry::guard::Verdict;
use crate::expiry::product::{HeldBy, Product};
use crate::expiry::select::{Action, Work};
use crate::ids::ProductKey;

/// Tables that are worked on at once.
const AT_ONCE: usize = 4;

/// Bytes of segments from which on a piece of work may take much memory: rows that are parted are encoded, a row group for each
/// part.
const MUCH: u64 = 64 << 20;

/// A piece of work that is over.
pub(super) struct Finished {
    pub(super) product: ProductKey,
    pub(super) work: Work,
    pub(super) done: Result<Done, SweepError>,
    /// How long it took.
    pub(super) took: Duration,
}

/// Does pieces of work, each with the number of its table, and tells of each that is over. What the clock said last: where that
/// is not to be trusted, not all were begun.
pub(super) async fn carry_out_all(
    mut waiting: Vec<(usize, Work)>,
    products: &mut [Product],
    (held, by): (&BTreeMap<usize, HeldBy>, &By),
    look: impl Fn(Option<DateTime<Utc>>) -> Verdict,
    mut over: impl FnMut(&Finished),
) -> Verdict {
    let mut newest = products.iter().filter_map(|product| product.table.newest_commit()).max();
    let mut free: Vec<Option<&mut Product>> = products.iter_mut().map(Some).collect();
    let (mut under_way, mut begun): (_, Vec<(usize, bool)>) = (FuturesUnordered::new(), Vec::new());
    let mut verdict = Verdict::Trusted;
    loop {
        while let Some(at) = next(&waiting, &begun) {
            verdict = look(newest);
            if verdict != Verdict::Trusted {
                waiting.clear();
                break;
            }
            let (index, work) = waiting.remove(at);
            if let (Some(held), Some(product)) = (held.get(&index), free.get_mut(index).and_then(Option::take)) {
                begun.push((index, takes_much(&work)));
                under_way.push(async move { (index, carry_out(product, work, held, by).await) });
            }
        }
        let Some((index, (finished, product))) = under_way.next().await else { return verdict };
        newest = newest.max(product.table.newest_commit());
        begun.retain(|(busy, _)| *busy != index);
        if let Some(place) = free.get_mut(index) {
            *place = Some(product);
        }
        over(&finished);
    }
}

/// Does a piece of work and gives the product back.
async fn carry_out<'p>(product: &'p mut Product, work: Work, held: &HeldBy, by: &By) -> (Finished, &'p mut Product) {
    let began = by.clock.monotonic();
    let done = product.carry_out(&work, held, by).await;
    let took = by.clock.monotonic().saturating_sub(began);
    (Finished { product: product.key.clone(), work, done, took }, product)
}

/// The first of the waiting that can begin beside those that are under way: of each of these the table, and whether it may take
/// much memory. A table whose first has to wait for memory waits with it: what is due later does not go before.
fn next(waiting: &[(usize, Work)], under_way: &[(usize, bool)]) -> Option<usize> {
    if under_way.len() >= AT_ONCE {
        return None;
    }
    let is_full = under_way.iter().any(|(_, much)| *much);
    let mut busy: BTreeSet<usize> = under_way.iter().map(|(index, _)| *index).collect();
    // Whether it is the first of a table that is free.
    let mut first = |index: usize| busy.insert(index);
    waiting.iter().position(|(index, work)| first(*index) && !(is_full && takes_much(work)))
}

/// Whether a piece of work may take much memory. People are counted over all that ends.
fn takes_much(work: &Work) -> bool {
    work.action == Action::End || work.bytes() >= MUCH
}

#[cfg(test)]
mod tests;
