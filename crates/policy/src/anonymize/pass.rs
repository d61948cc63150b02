//! One reading of the rows for the cells of one range of hashes, within a memory budget.
//!
//! A pass gives up the upper half of its range before it holds more than the budget and the data of
//! the current rows. Another pass counts the cells that were given up. Must never count a record
//! twice, or a record of a cell that was given up.

use std::collections::HashMap;
use std::mem::size_of;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{cast, take};
use arrow::row::RowConverter;

use super::error::BatchError;
use super::groups::CellGroups;
use super::hash::{IdentityHasher, RunKeys};
use super::numbers::NumericColumn;
use super::pending::PendingRows;
use super::plan::CellPlan;
use super::rows;
use super::subjects::DistinctSubjects;
use super::sums::CellSum;
use super::view::{CellColumns, ColumnView, few};

/// The memory of a cell except its parts on the heap: the cell and its entry in the table. Both may
/// be half empty.
const CELL_BYTES: usize = 2 * (size_of::<CellTotals>() + size_of::<(u128, u32)>() + 1);

/// The divisor of the growth of the list of sums: a full list grows by its length divided by this.
const GROWTH: usize = 8;

/// The totals of records with the same values.
#[derive(Debug, Default)]
pub(super) struct CellTotals {
    pub(super) hash: u128,
    /// The values of its columns, in a form that has the same sort order.
    pub(super) key: Box<[u8]>,
    /// True if all its columns are null.
    pub(super) is_null: bool,
    pub(super) records: u64,
    pub(super) subjects: DistinctSubjects,
}

impl CellTotals {
    /// Adds the records of another cell, except their sums.
    pub(super) fn absorb(&mut self, other: CellTotals, k: usize) {
        self.records += other.records;
        self.subjects.absorb(other.subjects, k);
    }

    /// Returns the memory of the cell with this number of sums, in bytes.
    fn memory(&self, sums: usize) -> usize {
        CELL_BYTES
            + self.key.len()
            + self.subjects.memory()
            + sums * (size_of::<CellSum>() + size_of::<CellSum>() / GROWTH)
    }
}

/// A cell that a pass has counted completely.
#[derive(Debug, Default)]
pub(super) struct CountedCell {
    pub(super) cell: CellTotals,
    pub(super) sums: Box<[CellSum]>,
}

impl CountedCell {
    /// Creates a cell without records.
    pub(super) fn none(plan: &CellPlan) -> Self {
        Self {
            cell: CellTotals::default(),
            sums: plan.sum.iter().map(|_| CellSum::default()).collect(),
        }
    }

    /// Adds the records of another cell.
    pub(super) fn absorb(&mut self, other: CountedCell, k: usize) {
        self.cell.absorb(other.cell, k);
        self.sums
            .iter_mut()
            .zip(&other.sums)
            .for_each(|(sum, other)| sum.absorb(other));
    }
}

/// The range of hashes that a pass keeps: from the first hash (inclusive) to another (exclusive),
/// or to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashRange {
    pub(super) from: u128,
    pub(super) until: Option<u128>,
}

impl HashRange {
    fn holds(self, hash: u128) -> bool {
        hash >= self.from && self.until.is_none_or(|until| hash < until)
    }
}

/// A pass in progress.
pub(super) struct CountingPass<'a> {
    plan: &'a CellPlan,
    keys: &'a RunKeys,
    converter: Option<RowConverter>,
    pub(super) range: HashRange,
    slots: HashMap<u128, u32, IdentityHasher>,
    cells: Vec<CellTotals>,
    /// The sums of all cells, cell after cell.
    sums: Vec<CellSum>,
    /// Rows that are not counted yet.
    pending: PendingRows,
    /// The records read, kept or not.
    pub(super) read: u64,
    bytes: usize,
    budget: usize,
    /// The maximum of `bytes` so far.
    pub(super) peak: usize,
}

/// Marks a group of rows whose cell belongs to another pass.
const ELSEWHERE: u32 = u32::MAX;

impl<'a> CountingPass<'a> {
    pub(super) fn new(
        plan: &'a CellPlan,
        keys: &'a RunKeys,
        from: u128,
        budget: usize,
    ) -> Result<Self, BatchError> {
        Ok(Self {
            plan,
            keys,
            converter: rows::converter(plan)?,
            range: HashRange { from, until: None },
            slots: HashMap::default(),
            cells: Vec::new(),
            sums: Vec::new(),
            pending: PendingRows::within(budget, plan.sum.len()),
            read: 0,
            bytes: 0,
            budget,
            peak: 0,
        })
    }

    /// Counts the rows that are not counted yet, within the budget.
    pub(super) fn end(&mut self) {
        self.settle();
        self.keep_budget();
    }

    /// Returns the cells of its range. Call it after [`CountingPass::end`].
    pub(super) fn counted(self) -> impl Iterator<Item = CountedCell> {
        let (count, mut sums) = (self.plan.sum.len(), self.sums.into_iter());
        let cells = self.cells.into_iter();
        cells.map(move |cell| CountedCell {
            cell,
            sums: sums.by_ref().take(count).collect(),
        })
    }

    /// Counts the rows of a batch.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), BatchError> {
        few(batch).try_for_each(|few| self.few(&few))
    }

    fn few(&mut self, batch: &RecordBatch) -> Result<(), BatchError> {
        let columns = CellColumns::try_new(self.plan, batch)?;
        let groups = CellGroups::new(self.keys, &columns);
        let slots = self.slots(&groups, &columns)?;
        self.read += columns.rows as u64;
        self.count(&groups, &slots, &columns);
        self.keep_budget();
        Ok(())
    }

    /// Returns the cell of each group. Creates the cells that are new.
    fn slots(
        &mut self,
        groups: &CellGroups,
        columns: &CellColumns,
    ) -> Result<Vec<u32>, BatchError> {
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
        let (cell, sums) = (
            CellTotals {
                hash,
                ..CellTotals::default()
            },
            self.plan.sum.len(),
        );
        self.bytes += cell.memory(sums);
        self.cells.push(cell);
        if self.sums.capacity() - self.sums.len() < sums {
            self.sums.reserve_exact(sums.max(self.sums.len() / GROWTH));
        }
        self.sums
            .resize_with(self.sums.len() + sums, CellSum::default);
    }

    /// Sets the column values of new cells, each from one of its rows.
    fn name(
        &mut self,
        mut made: Vec<(u128, u32)>,
        columns: &CellColumns,
    ) -> Result<(), BatchError> {
        made.retain(|(hash, _)| self.slots.contains_key(hash));
        if made.is_empty() {
            return Ok(());
        }
        let firsts = UInt32Array::from_iter_values(made.iter().map(|(_, first)| *first));
        let values = self
            .plan
            .cell
            .iter()
            .zip(&columns.cell)
            .map(|((_, wanted), column)| {
                let Some(column) = column else {
                    return Ok(new_null_array(wanted, firsts.len()));
                };
                Ok(cast(&take(column, &firsts, None)?, wanted)?)
            });
        let values: Vec<ArrayRef> = values.collect::<Result<_, BatchError>>()?;
        let keys = self
            .converter
            .as_ref()
            .map(|converter| converter.convert_columns(&values))
            .transpose()?;
        for (at, (hash, _)) in made.iter().enumerate() {
            let Some(cell) = self
                .slots
                .get(hash)
                .and_then(|slot| self.cells.get_mut(*slot as usize))
            else {
                continue;
            };
            cell.is_null = values.iter().all(|column| column.is_null(at));
            if let Some(keys) = &keys {
                cell.key = keys.row(at).data().into();
                self.bytes += cell.key.len();
            }
        }
        Ok(())
    }

    /// Collects the rows, and counts the collected rows when there is no room for more.
    fn count(&mut self, groups: &CellGroups, slots: &[u32], columns: &CellColumns) {
        let subjects = SubjectHashes::new(self.keys, columns.subject.as_ref());
        let numbers: Vec<NumericColumn<'_>> = columns
            .sum
            .iter()
            .map(|column| NumericColumn::new(column.as_ref()))
            .collect();
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
                        && let Some(sum) =
                            self.sums.get_mut(slot(row) as usize * numbers.len() + at)
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

    /// Counts the collected rows, cell after cell.
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
            for (at, sum) in self.sums[slot * sums..(slot + 1) * sums]
                .iter_mut()
                .enumerate()
            {
                of_cell
                    .iter()
                    .for_each(|row| sum.add(rows.addend(at, *row), rows.subject(*row)));
            }
        }
        self.pending.clear();
    }

    /// Gives up the upper half of the cells until the rest is within the budget. One cell always
    /// stays.
    fn keep_budget(&mut self) {
        if self.bytes > self.budget {
            // Calculated again, because cells that reached enough subjects have released memory.
            self.bytes = self
                .cells
                .iter()
                .map(|cell| cell.memory(self.plan.sum.len()))
                .sum();
        }
        self.peak = self.peak.max(self.bytes);
        while self.bytes > self.budget && self.cells.len() > 1 {
            // The collected rows refer to cells by position, so they are counted before cells move.
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
            self.slots = self
                .cells
                .iter()
                .zip(0..)
                .map(|(cell, slot)| (cell.hash, slot))
                .collect();
            self.bytes = self
                .cells
                .iter()
                .map(|cell| cell.memory(self.plan.sum.len()))
                .sum();
        }
    }
}

/// The subjects of some rows, as hashes.
pub(super) struct SubjectHashes<'a> {
    keys: &'a RunKeys,
    view: ColumnView<'a>,
    /// The hash of each value, if the column is a dictionary of few values.
    known: Option<Vec<Option<u64>>>,
}

impl<'a> SubjectHashes<'a> {
    pub(super) fn new(keys: &'a RunKeys, column: Option<&'a ArrayRef>) -> Self {
        let view = ColumnView::new(column);
        let known = match &view {
            ColumnView::Coded {
                values,
                count,
                keys: rows,
                ..
            } if *count <= rows.len() => Some(
                (0..*count)
                    .map(|at| hash(keys, values.bytes(at)))
                    .chain([None])
                    .collect(),
            ),
            _ => None,
        };
        Self { keys, view, known }
    }

    /// Returns the subject of a row; `None` for null and for an empty text, which identifies no
    /// one.
    #[inline]
    pub(super) fn at(&self, row: usize) -> Option<u64> {
        match &self.known {
            Some(known) => known[self.view.code(row)],
            None => hash(self.keys, self.view.bytes(row)),
        }
    }
}

#[inline]
fn hash(keys: &RunKeys, subject: Option<&[u8]>) -> Option<u64> {
    subject
        .filter(|subject| !subject.is_empty())
        .map(|subject| keys.subject(subject))
}
