//! Rows whose cell is known, gathered until those of one cell can be counted together: cells are many and rows come in any
//! order, so that counted one by one each row would wait for its cell to come from memory.
//!
//! Promises to keep what was pushed and no more rows than it has room for. Must never be looked at by anything but a pass.

use std::mem::size_of;

use super::numbers::Addend;

/// Rows that are gathered at most.
const ROWS: usize = 1 << 18;

/// Rows for which there is always room.
const LEAST: usize = 1 << 10;

/// Stands for no subject. The one hash in 2^64 that is the same is taken for its neighbour.
const NOBODY: u64 = 0;

/// Stands for no number.
const NOTHING: i64 = i64::MIN;

/// Rows that are still to be counted.
pub(super) struct Pending {
    room: usize,
    slots: Vec<u32>,
    subjects: Vec<u64>,
    /// The numbers of each sum.
    numbers: Vec<Vec<i64>>,
}

impl Pending {
    /// Room for rows of so many sums, within a thirty-second of a budget or what is always there.
    pub(super) fn within(budget: usize, sums: usize) -> Self {
        let row = 2 * size_of::<u32>() + size_of::<u64>() + sums * size_of::<i64>();
        Self {
            room: (budget / 32 / row).clamp(LEAST, ROWS),
            slots: Vec::new(),
            subjects: Vec::new(),
            numbers: vec![Vec::new(); sums],
        }
    }

    /// For how many more rows there is room.
    pub(super) fn room(&self) -> usize {
        self.room - self.slots.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes a row of the cell at `slot`; its numbers are still to come.
    #[inline]
    pub(super) fn push(&mut self, slot: u32, subject: Option<u64>) {
        self.slots.push(slot);
        self.subjects.push(subject.map_or(NOBODY, |hash| hash.max(1)));
    }

    /// Takes the number of a sum of the next row that lacks one. False if it is none that can wait: it must be added at once.
    #[inline]
    pub(super) fn number(&mut self, sum: usize, addend: Addend) -> bool {
        let number = match addend {
            Addend::Nothing => Some(NOTHING),
            Addend::Of(number) => i64::try_from(number).ok().filter(|number| *number != NOTHING),
            Addend::Unfit => None,
        };
        self.numbers[sum].push(number.unwrap_or(NOTHING));
        number.is_some()
    }

    /// The rows by cell, of which there are `cells`.
    pub(super) fn by_cell(&self, cells: usize) -> ByCell<'_> {
        let mut starts = vec![0_u32; cells];
        self.slots.iter().for_each(|slot| starts[*slot as usize] += 1);
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
        ByCell { pending: self, starts, order }
    }

    /// Forgets the rows, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.subjects.clear();
        self.numbers.iter_mut().for_each(Vec::clear);
    }
}

/// The rows of each cell.
pub(super) struct ByCell<'p> {
    pending: &'p Pending,
    starts: Vec<u32>,
    order: Vec<u32>,
}

impl ByCell<'_> {
    /// The rows of the cell at `slot`.
    pub(super) fn rows(&self, slot: usize) -> &[u32] {
        let end = self.starts.get(slot + 1).map_or(self.order.len(), |end| *end as usize);
        &self.order[self.starts[slot] as usize..end]
    }

    /// The subject of a row.
    #[inline]
    pub(super) fn subject(&self, row: u32) -> Option<u64> {
        Some(self.pending.subjects[row as usize]).filter(|subject| *subject != NOBODY)
    }

    /// What a row adds to a sum.
    #[inline]
    pub(super) fn addend(&self, sum: usize, row: u32) -> Addend {
        match self.pending.numbers[sum][row as usize] {
            NOTHING => Addend::Nothing,
            number => Addend::Of(i128::from(number)),
        }
    }
}
