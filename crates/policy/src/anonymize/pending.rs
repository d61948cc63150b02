//! Rows whose cell is known, collected until the rows of one cell can be counted together. There
//! are many cells and rows come in any order, so if rows were counted one by one, each would wait
//! for its cell to be loaded from memory.
//!
//! Keeps what was pushed, and no more rows than it has room for. Only a pass may use it.

use std::mem::size_of;

use super::numbers::Addend;

/// The maximum number of rows that are collected.
const ROWS: usize = 1 << 18;

/// The number of rows for which there is always room.
const LEAST: usize = 1 << 10;

/// Represents no subject. The one hash in 2^64 that is equal to it is replaced by the next hash.
const NO_SUBJECT: u64 = 0;

/// Represents no number.
const NOTHING: i64 = i64::MIN;

/// Rows that are not counted yet.
pub(super) struct PendingRows {
    room: usize,
    slots: Vec<u32>,
    subjects: Vec<u64>,
    /// The numbers of each sum.
    numbers: Vec<Vec<i64>>,
}

impl PendingRows {
    /// Creates room for rows with this number of sums: a thirty-second of a budget, but at least
    /// `LEAST` and at most `ROWS` rows.
    pub(super) fn within(budget: usize, sums: usize) -> Self {
        let row = 2 * size_of::<u32>() + size_of::<u64>() + sums * size_of::<i64>();
        Self {
            room: (budget / 32 / row).clamp(LEAST, ROWS),
            slots: Vec::new(),
            subjects: Vec::new(),
            numbers: vec![Vec::new(); sums],
        }
    }

    /// Returns the number of further rows for which there is room.
    pub(super) fn room(&self) -> usize {
        self.room - self.slots.len()
    }

    /// Returns true if there are no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a row of the cell at `slot`. Its numbers are added afterwards.
    #[inline]
    pub(super) fn push(&mut self, slot: u32, subject: Option<u64>) {
        self.slots.push(slot);
        self.subjects
            .push(subject.map_or(NO_SUBJECT, |hash| hash.max(1)));
    }

    /// Adds the number of a sum for the next row that lacks one. Returns false if the number cannot
    /// be collected: the caller must then add it immediately.
    #[inline]
    pub(super) fn number(&mut self, sum: usize, addend: Addend) -> bool {
        let number = match addend {
            Addend::Nothing => Some(NOTHING),
            Addend::Of(number) => i64::try_from(number)
                .ok()
                .filter(|number| *number != NOTHING),
            Addend::Unfit => None,
        };
        self.numbers[sum].push(number.unwrap_or(NOTHING));
        number.is_some()
    }

    /// Returns the rows by cell. `cells` is the number of cells.
    pub(super) fn by_cell(&self, cells: usize) -> RowsByCell<'_> {
        let mut starts = vec![0_u32; cells];
        self.slots
            .iter()
            .for_each(|slot| starts[*slot as usize] += 1);
        let mut before = 0;
        for start in &mut starts {
            before += std::mem::replace(start, before);
        }
        let (mut next, mut order) = (starts.clone(), vec![0_u32; self.slots.len()]);
        for (row, slot) in (0_u32..).zip(&self.slots) {
            let next = &mut next[*slot as usize];
            order[*next as usize] = row;
            *next += 1;
        }
        RowsByCell {
            pending: self,
            starts,
            order,
        }
    }

    /// Removes the rows, and keeps the memory for new ones.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.subjects.clear();
        self.numbers.iter_mut().for_each(Vec::clear);
    }
}

/// The rows of each cell.
pub(super) struct RowsByCell<'p> {
    pending: &'p PendingRows,
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl RowsByCell<'_> {
    /// Returns the rows of the cell at `slot`.
    pub(super) fn rows(&self, slot: usize) -> &[u32] {
        let end = self
            .starts
            .get(slot + 1)
            .map_or(self.order.len(), |end| *end as usize);
        &self.order[self.starts[slot] as usize..end]
    }

    /// Returns the subject of a row.
    #[inline]
    pub(super) fn subject(&self, row: u32) -> Option<u64> {
        Some(self.pending.subjects[row as usize]).filter(|subject| *subject != NO_SUBJECT)
    }

    /// Returns the contribution of a row to a sum.
    #[inline]
    pub(super) fn addend(&self, sum: usize, row: u32) -> Addend {
        match self.pending.numbers[sum][row as usize] {
            NOTHING => Addend::Nothing,
            number => Addend::Of(i128::from(number)),
        }
    }
}
