//! Merges many sorted spills into one sorted sequence of rows.
//!
//! Little more than one batch of each spill is in memory, however long it is.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::Rows;

use super::super::RewriteError;
use super::super::matching::BATCH_ROWS;
use super::keys::SortKeys;
use super::spill::{Spill, SpillReader};
use crate::segment::SegmentError;

/// Memory in bytes of one spill while it is read: one or two batches with their keys, the decoder's
/// window and buffers.
const WAY_BYTES: usize = 2 << 20;

/// The number of batches that are read before the picked rows are passed on.
const MOST_READ: usize = 8;

/// The maximum number of spills merged in one step: each keeps a file open.
const MOST_WAYS: usize = 64;

/// Returns the number of spills to merge in one step within that memory.
pub fn merge_width(memory: usize) -> usize {
    (memory / WAY_BYTES).clamp(2, MOST_WAYS)
}

/// A spill, and the position of its next row.
struct SpillCursor {
    reader: SpillReader,
    /// The index of its batch in `SpillMerge::held`.
    held: usize,
    keys: Rows,
    at: usize,
}

/// Passes the rows of all spills to `take`, sorted, in batches.
pub fn merge(
    keys: &SortKeys,
    spills: Vec<Spill>,
    take: &mut dyn FnMut(&RecordBatch) -> Result<(), RewriteError>,
) -> Result<(), RewriteError> {
    let mut merging = SpillMerge {
        keys,
        ways: Vec::new(),
        held: Vec::new(),
        picked: Vec::new(),
    };
    for spill in spills {
        let mut reader = spill.read()?;
        if let Some(batch) = reader.next()? {
            let (held, keys) = (merging.held.len(), keys.rows(&batch)?);
            merging.held.push(batch);
            merging.ways.push(SpillCursor {
                reader,
                held,
                keys,
                at: 0,
            });
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

/// A heap of spills by their next row, the least first.
struct SpillMerge<'k> {
    keys: &'k SortKeys,
    ways: Vec<SpillCursor>,
    /// The current batches of the spills, and earlier ones of which picked rows are not passed on
    /// yet.
    held: Vec<RecordBatch>,
    /// The picked rows in order, each by its batch and row.
    picked: Vec<(usize, usize)>,
}

impl SpillMerge<'_> {
    /// Picks the least row of all spills. Returns false if there are no more.
    fn pick(&mut self) -> Result<bool, RewriteError> {
        let Some(first) = self.ways.first_mut() else {
            return Ok(false);
        };
        self.picked.push((first.held, first.at));
        first.at += 1;
        if first.at == first.keys.num_rows() {
            match first.reader.next()? {
                Some(batch) => {
                    (first.held, first.at, first.keys) =
                        (self.held.len(), 0, self.keys.rows(&batch)?);
                    self.held.push(batch);
                }
                None => drop(self.ways.swap_remove(0)),
            }
        }
        self.sink(0);
        Ok(true)
    }

    /// Moves the spill at `place` down the heap to its position.
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

    /// Passes on the picked rows, and drops the batches that no spill uses any more.
    fn give(
        &mut self,
        take: &mut dyn FnMut(&RecordBatch) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
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
