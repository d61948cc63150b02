//! One reading of the rows for the cells of one range of hashes, within a budget of memory.
//!
//! Promises to give up the upper half of its range rather than hold more than the budget and what the rows at hand add:
//! those cells are another pass's. Must never count a record twice, or one of a cell that it gave up.

use std::collections::HashMap;
use std::mem::size_of;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{cast, take};
use arrow::row::RowConverter;

use super::error::Refused;
use super::groups::Groups;
use super::hash::{Hashed, Keys};
use super::numbers::Numbers;
use super::pending::Pending;
use super::plan::CellPlan;
use super::rows;
use super::subjects::Subjects;
use super::sums::Sum;
use super::view::{Columns, View, few};

/// What a cell takes beside its parts on the heap: itself and its place in the table, both of which may be half empty.
const CELL_BYTES: usize = 2 * (size_of::<Cell>() + size_of::<(u128, u32)>() + 1);

/// By what part of itself the list of sums grows when it is full.
const GROWTH: usize = 8;

/// What records of the same values add up to.
#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) hash: u128,
    /// Its columns' values, in a form that sorts as they do.
    pub(super) key: Box<[u8]>,
    /// Whether all its columns are null.
    pub(super) is_null: bool,
    pub(super) records: u64,
    pub(super) subjects: Subjects,
}

impl Cell {
    /// Takes the records of another, but for their sums.
    pub(super) fn absorb(&mut self, other: Cell, k: usize) {
        self.records += other.records;
        self.subjects.absorb(other.subjects, k);
    }

    /// The bytes of it, with so many sums.
    fn memory(&self, sums: usize) -> usize {
        CELL_BYTES + self.key.len() + self.subjects.memory() + sums * (size_of::<Sum>() + size_of::<Sum>() / GROWTH)
    }
}

/// A cell that a pass has counted to the end.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) cell: Cell,
    pub(super) sums: Box<[Sum]>,
}

impl Counted {
    /// A cell of no records.
    pub(super) fn none(plan: &CellPlan) -> Self {
        Self { cell: Cell::default(), sums: plan.sum.iter().map(|_| Sum::default()).collect() }
    }

    /// Takes the records of another.
    pub(super) fn absorb(&mut self, other: Counted, k: usize) {
        self.cell.absorb(other.cell, k);
        self.sums.iter_mut().zip(&other.sums).for_each(|(sum, other)| sum.absorb(other));
    }
}

/// The range of hashes that a pass keeps: from one on, up to another or to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: u128,
    pub(super) until: Option<u128>,
}

impl Range {
    fn holds(self, hash: u128) -> bool {
        hash >= self.from && self.until.is_none_or(|until| hash < until)
    }
}

/// A pass that is under way.
pub(super) struct Pass<'a> {
    plan: &'a CellPlan,
    keys: &'a Keys,
    converter: Option<RowConverter>,
    pub(super) range: Range,
    slots: HashMap<u128, u32, Hashed>,
    cells: Vec<Cell>,
    /// The sums of each cell, one cell's behind the other's.
    sums: Vec<Sum>,
    /// Rows that are still to be counted.
    pending: Pending,
    /// The records read, kept or not.
    pub(super) read: u64,
    bytes: usize,
    budget: usize,
    /// The most that it ever held.
    pub(super) peak: usize,
}

/// A group of rows whose cell is another pass's.
const ELSEWHERE: u32 = u32::MAX;

impl<'a> Pass<'a> {
    pub(super) fn new(plan: &'a CellPlan, keys: &'a Keys, from: u128, budget: usize) -> Result<Self, Refused> {
        Ok(Self {
            plan,
            keys,
            converter: rows::converter(plan)?,
            range: Range { from, until: None },
            slots: HashMap::default(),
            cells: Vec::new(),
            sums: Vec::new(),
            pending: Pending::within(budget, plan.sum.len()),
            read: 0,
            bytes: 0,
            budget,
            peak: 0,
        })
    }

    /// Counts what is still to be counted, within the budget.
    pub(super) fn end(&mut self) {
        self.settle();
        self.keep_budget();
    }

    /// The cells of its range, once it [ended](Pass::end).
    pub(super) fn counted(self) -> impl Iterator<Item = Counted> {
        let (count, mut sums) = (self.plan.sum.len(), self.sums.into_iter());
        let cells = self.cells.into_iter();
        cells.map(move |cell| Counted { cell, sums: sums.by_ref().take(count).collect() })
    }

    /// Counts the rows of a batch.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), Refused> {
        few(batch).try_for_each(|few| self.few(&few))
    }

    fn few(&mut self, batch: &RecordBatch) -> Result<(), Refused> {
        let columns = Columns::of(self.plan, batch)?;
        let groups = Groups::of(self.keys, &columns);
        let slots = self.slots(&groups, &columns)?;
        self.read += columns.rows as u64;
        self.count(&groups, &slots, &columns);
        self.keep_budget();
        Ok(())
    }

    /// The cell of each group, made where it is new.
    fn slots(&mut self, groups: &Groups, columns: &Columns) -> Result<Vec<u32>, Refused> {
        let range = self.range;
        let mut made: Vec<(u128, u32)> = Vec::new();
        let mut slots = Vec::with_capacity(groups.cells.len());
        for (hash, first) in groups.cells.iter().zip(&groups.firsts) {
            if !self.range.holds(*hash) {
                slots.push(ELSEWHERE);
                continue;
            }
            let next = u32::try_from(self.cells.len()).unwrap_or(ELSEWHERE);
            let slot = *self.slots.entry(*hash).or_insert(next);
            slots.push(slot);
            if slot == next {
                self.make(*hash);
                made.push((*hash, *first));
                self.keep_budget();
            }
        }
        self.name(made, columns)?;
        if range != self.range {
            let slot = |hash: &u128| self.slots.get(hash).copied().unwrap_or(ELSEWHERE);
            slots = groups.cells.iter().map(slot).collect();
        }
        Ok(slots)
    }

    fn make(&mut self, hash: u128) {
        let (cell, sums) = (Cell { hash, ..Cell::default() }, self.plan.sum.len());
        self.bytes += cell.memory(sums);
        self.cells.push(cell);
        if self.sums.capacity() - self.sums.len() < sums {
            self.sums.reserve_exact(sums.max(self.sums.len() / GROWTH));
        }
        self.sums.resize_with(self.sums.len() + sums, Sum::default);
    }

    /// Gives cells that were just made their columns' values, each from a row of it.
    fn name(&mut self, mut made: Vec<(u128, u32)>, columns: &Columns) -> Result<(), Refused> {
        made.retain(|(hash, _)| self.slots.contains_key(hash));
        if made.is_empty() {
            return Ok(());
        }
        let firsts = UInt32Array::from_iter_values(made.iter().map(|(_, first)| *first));
        let values = self.plan.cell.iter().zip(&columns.cell).map(|((_, wanted), column)| {
            let Some(column) = column else { return Ok(new_null_array(wanted, firsts.len())) };
            Ok(cast(&take(column, &firsts, None)?, wanted)?)
        });
        let values: Vec<ArrayRef> = values.collect::<Result<_, Refused>>()?;
        let keys = self.converter.as_ref().map(|converter| converter.convert_columns(&values)).transpose()?;
        for (at, (hash, _)) in made.iter().enumerate() {
            let Some(cell) = self.slots.get(hash).and_then(|slot| self.cells.get_mut(*slot as usize)) else { continue };
            cell.is_null = values.iter().all(|column| column.is_null(at));
            if let Some(keys) = &keys {
                cell.key = keys.row(at).data().into();
                self.bytes += cell.key.len();
            }
        }
        Ok(())
    }

    /// Gathers the rows, and counts what has gathered once there is no room for more.
    fn count(&mut self, groups: &Groups, slots: &[u32], columns: &Columns) {
        let subjects = SubjectHashes::of(self.keys, columns.subject.as_ref());
        let numbers: Vec<Numbers<'_>> = columns.sum.iter().map(|column| Numbers::of(column.as_ref())).collect();
        let mut from = 0;
        while from < columns.rows {
            let until = columns.rows.min(from + self.pending.room());
            let slot = |row: usize| slots[groups.of_row(row)];
            for row in (from..until).filter(|row| slot(*row) != ELSEWHERE) {
                self.pending.push(slot(row), subjects.at(row));
            }
            for (at, column) in numbers.iter().enumerate() {
                for row in (from..until).filter(|row| slot(*row) != ELSEWHERE) {
                    let addend = column.at(row);
                    if !self.pending.number(at, addend)
                        && let Some(sum) = self.sums.get_mut(slot(row) as usize * numbers.len() + at)
                    {
                        sum.add(addend, subjects.at(row));
                    }
                }
            }
            from = until;
            if self.pending.room() == 0 {
                self.settle();
            }
        }
    }

    /// Counts the rows that have gathered, cell after cell.
    fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let (rows, sums) = (self.pending.by_cell(self.cells.len()), self.plan.sum.len());
        for (slot, cell) in self.cells.iter_mut().enumerate() {
            let of_cell = rows.rows(slot);
            cell.records += of_cell.len() as u64;
            for subject in of_cell.iter().filter_map(|row| rows.subject(*row)) {
                if cell.subjects.enough() {
                    break;
                }
                self.bytes += cell.subjects.add(subject, self.plan.k);
            }
            for (at, sum) in self.sums[slot * sums..(slot + 1) * sums].iter_mut().enumerate() {
                of_cell.iter().for_each(|row| sum.add(rows.addend(at, *row), rows.subject(*row)));
            }
        }
        self.pending.clear();
    }

    /// Gives up the upper half of the cells until what is left is within the budget. One cell always stays.
    fn keep_budget(&mut self) {
        if self.bytes > self.budget {
            // Counted anew, since what became enough has let its memory go.
            self.bytes = self.cells.iter().map(|cell| cell.memory(self.plan.sum.len())).sum();
        }
        self.peak = self.peak.max(self.bytes);
        while self.bytes > self.budget && self.cells.len() > 1 {
            // What is still to be counted names cells by where they are.
            self.settle();
            let mut hashes: Vec<u128> = self.cells.iter().map(|cell| cell.hash).collect();
            let (_, until, _) = hashes.select_nth_unstable(self.cells.len() / 2);
            let until = *until;
            self.range.until = Some(until);
            let (sums, mut at) = (self.plan.sum.len().max(1), 0);
            self.sums.retain(|_| {
                at += 1;
                self.cells[(at - 1) / sums].hash < until
            });
            self.cells.retain(|cell| cell.hash < until);
            self.cells.shrink_to_fit();
            self.sums.shrink_to_fit();
            self.slots = self.cells.iter().zip(0..).map(|(cell, slot)| (cell.hash, slot)).collect();
            self.bytes = self.cells.iter().map(|cell| cell.memory(self.plan.sum.len())).sum();
        }
    }
}

/// The subjects of some rows as hashes.
pub(super) struct SubjectHashes<'a> {
    keys: &'a Keys,
    view: View<'a>,
    /// For a dictionary of few values: the hash of each.
    known: Option<Vec<Option<u64>>>,
}

impl<'a> SubjectHashes<'a> {
    pub(super) fn of(keys: &'a Keys, column: Option<&'a ArrayRef>) -> Self {
        let view = View::of(column);
        let known = match &view {
            View::Coded { values, count, keys: rows, .. } if *count <= rows.len() => {
                Some((0..*count).map(|at| hash(keys, values.bytes(at))).chain([None]).collect())
            }
            _ => None,
        };
        Self { keys, view, known }
    }

    /// The subject of a row; `None` for null and for an empty text, which names nobody.
    #[inline]
    pub(super) fn at(&self, row: usize) -> Option<u64> {
        match &self.known {
            Some(known) => known[self.view.code(row)],
            None => hash(self.keys, self.view.bytes(row)),
        }
    }
}

#[inline]
fn hash(keys: &Keys, subject: Option<&[u8]>) -> Option<u64> {
    subject.filter(|subject| !subject.is_empty()).map(|subject| keys.subject(subject))
}
