//! Many sorted spills become one sorted sequence of rows.
//!
//! Promises that of each spill little more than one batch is in memory, however long it is.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::Rows;

use super::super::RewriteError;
use super::super::matching::BATCH_ROWS;
use super::keys::Keys;
use super::spill::{Spill, SpillReader};
use crate::store::segment::SegmentError;

/// What one spill takes in memory while it is read: a batch or two with their keys, the decoder's window and buffers.
const WAY_BYTES: usize = 2 << 20;

/// Batches that are read before the rows picked from them are given on.
const MOST_READ: usize = 8;

/// The most spills that are ever merged at once: each keeps a file open.
const MOST_WAYS: usize = 64;

/// How many spills are merged at once within that memory.
pub fn at_once(memory: usize) -> usize {
    (memory / WAY_BYTES).clamp(2, MOST_WAYS)
}

/// A spill, and the row that is its next.
struct Way {
    reader: SpillReader,
    /// The place of its batch among those that are held.
    held: usize,
    keys: Rows,
    at: usize,
}

/// Gives the rows of all spills, sorted, some at a time.
pub fn merge(
    keys: &Keys,
    spills: Vec<Spill>,
    take: &mut dyn FnMut(&RecordBatch) -> Result<(), RewriteError>,
) -> Result<(), RewriteError> {
    let mut merging = Merging { keys, ways: Vec::new(), held: Vec::new(), picked: Vec::new() };
    for spill in spills {
        let mut reader = spill.read()?;
        if let Some(batch) = reader.next()? {
            let (held, keys) = (merging.held.len(), keys.rows(&batch)?);
            merging.held.push(batch);
            merging.ways.push(Way { reader, held, keys, at: 0 });
        }
    }
    for place in (0..merging.ways.len() / 2).rev() {
        merging.sink(place);
    }
    let most = merging.ways.len() + MOST_READ;
    while merging.pick()? {
        if merging.picked.len() >= BATCH_ROWS || merging.held.len() >= most {
            merging.give(take)?;
        }
    }
    merging.give(take)
}

/// A heap of ways, that with the least next row first.
struct Merging<'k> {
    keys: &'k Keys,
    ways: Vec<Way>,
    /// The ways' batches, and those that rows were picked from and not given yet.
    held: Vec<RecordBatch>,
    /// Rows of them, in order.
    picked: Vec<(usize, usize)>,
}

impl Merging<'_> {
    /// Picks the least row of all. False once there is none.
    fn pick(&mut self) -> Result<bool, RewriteError> {
        let Some(first) = self.ways.first_mut() else { return Ok(false) };
        self.picked.push((first.held, first.at));
        first.at += 1;
        if first.at == first.keys.num_rows() {
            match first.reader.next()? {
                Some(batch) => {
                    (first.held, first.at, first.keys) = (self.held.len(), 0, self.keys.rows(&batch)?);
                    self.held.push(batch);
                }
                None => drop(self.ways.swap_remove(0)),
            }
        }
        self.sink(0);
        Ok(true)
    }

    /// Lets the way at `place` sink to where it belongs.
    fn sink(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.ways.len() && self.compare(child, least) == Ordering::Less {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.ways.swap(place, least);
            place = least;
        }
    }

    fn compare(&self, one: usize, other: usize) -> Ordering {
        let next = |way: usize| self.ways.get(way).map(|way| way.keys.row(way.at));
        next(one).cmp(&next(other))
    }

    /// Gives what was picked, and lets go of the batches that no way stands in any more.
    fn give(&mut self, take: &mut dyn FnMut(&RecordBatch) -> Result<(), RewriteError>) -> Result<(), RewriteError> {
        if self.picked.is_empty() {
            return Ok(());
        }
        let held: Vec<&RecordBatch> = self.held.iter().collect();
        take(&interleave_record_batch(&held, &self.picked).map_err(SegmentError::from)?)?;
        self.picked.clear();
        let held = std::mem::take(&mut self.held);
        for way in &mut self.ways {
            if let Some(batch) = held.get(way.held) {
                way.held = self.held.len();
                self.held.push(batch.clone());
            }
        }
        Ok(())
    }
}
