//! The exact weight of the few subjects that decide whether a sum may be published. Reads the rows
//! once more.
//!
//! The decision is then the same, whatever the order of the rows.

use std::collections::HashMap;

use arrow::array::RecordBatch;

use super::error::BatchError;
use super::groups::CellGroups;
use super::hash::RunKeys;
use super::numbers::{Addend, NumericColumn};
use super::pass::SubjectHashes;
use super::plan::CellPlan;
use super::view::{CellColumns, few};

/// The subjects of one cell that must be weighed: for each open sum, the weight of each subject so
/// far.
pub(super) type SubjectWeights = HashMap<usize, Vec<(u64, u128)>>;

/// A weighing in progress.
pub(super) struct WeighingPass<'a, F> {
    pub(super) plan: &'a CellPlan,
    pub(super) keys: &'a RunKeys,
    /// The function from a cell to its index in `suspects`; `None` for a cell that is not weighed.
    pub(super) which: F,
    pub(super) suspects: Vec<SubjectWeights>,
    /// The records read.
    pub(super) read: u64,
}

impl<F: Fn(u128) -> Option<usize>> WeighingPass<'_, F> {
    /// Adds the weights of the rows of a batch.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<(), BatchError> {
        few(batch).try_for_each(|few| self.few(&few))
    }

    fn few(&mut self, batch: &RecordBatch) -> Result<(), BatchError> {
        let columns = CellColumns::try_new(self.plan, batch)?;
        self.read += columns.rows as u64;
        let groups = CellGroups::new(self.keys, &columns);
        let suspects: Vec<Option<usize>> = groups
            .cells
            .iter()
            .map(|cell| (self.which)(*cell))
            .collect();
        if suspects.iter().all(Option::is_none) {
            return Ok(());
        }
        let subjects = SubjectHashes::new(self.keys, columns.subject.as_ref());
        let numbers: Vec<NumericColumn<'_>> = columns
            .sum
            .iter()
            .map(|column| NumericColumn::new(column.as_ref()))
            .collect();
        for row in 0..columns.rows {
            let Some(suspects) = suspects[groups.of_row(row)] else {
                continue;
            };
            let Some(subject) = subjects.at(row) else {
                continue;
            };
            for (sum, weights) in &mut self.suspects[suspects] {
                let Some((_, weight)) = weights.iter_mut().find(|(suspect, _)| *suspect == subject)
                else {
                    continue;
                };
                if let Addend::Of(number) = numbers[*sum].at(row) {
                    *weight = weight.saturating_add(number.unsigned_abs());
                }
            }
        }
        Ok(())
    }

    /// Returns the weight of the heaviest suspect of each open sum, in the order of `suspects`.
    pub(super) fn heaviest(self) -> Vec<HashMap<usize, u128>> {
        let most = |weights: Vec<(u64, u128)>| {
            weights
                .into_iter()
                .map(|(_, weight)| weight)
                .max()
                .unwrap_or(0)
        };
        let each = |suspects: SubjectWeights| {
            suspects
                .into_iter()
                .map(|(sum, weights)| (sum, most(weights)))
                .collect()
        };
        self.suspects.into_iter().map(each).collect()
    }
}
