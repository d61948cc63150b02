//! Groups the rows of a batch by cell, column by column.
//!
//! If all cell columns have few values (dictionaries, booleans or absent columns), the cell is
//! hashed once for each combination of values. Otherwise it is hashed for each row.

use std::collections::HashMap;

use super::hash::{IdentityHasher, RunKeys, ValueHash};
use super::view::{CellColumns, ColumnView};

/// The rows of a batch, grouped by cell. Two groups may belong to the same cell.
pub(super) struct CellGroups {
    of_row: Option<Vec<u32>>,
    /// One row of each group.
    pub(super) firsts: Vec<u32>,
    /// The hash of the cell of each group.
    pub(super) cells: Vec<u128>,
}

impl CellGroups {
    /// Groups the rows by their cell columns.
    pub(super) fn new(keys: &RunKeys, columns: &CellColumns) -> Self {
        let rows = columns.rows;
        let views: Vec<ColumnView<'_>> = columns
            .cell
            .iter()
            .map(|column| ColumnView::new(column.as_ref()))
            .collect();
        let rows_32 = u32::try_from(rows).unwrap_or(u32::MAX);
        let (of_row, firsts) = if views.iter().all(|view| view.codes().is_some()) {
            let (of_row, firsts) = combine(&views, rows);
            (Some(of_row), firsts)
        } else {
            (None, (0..rows_32).collect())
        };
        let values: Vec<ValueHashes<'_>> = views
            .iter()
            .map(|view| ValueHashes::new(keys, view, rows))
            .collect();
        let cell =
            |row: &u32| keys.cell(values.iter().map(|values| values.at(keys, *row as usize)));
        let cells = firsts.iter().map(cell).collect();
        Self {
            of_row,
            firsts,
            cells,
        }
    }

    /// Returns the group of a row.
    #[inline]
    pub(super) fn of_row(&self, row: usize) -> usize {
        self.of_row
            .as_ref()
            .map_or(row, |of_row| of_row[row] as usize)
    }
}

/// The hashes of a column's values.
struct ValueHashes<'a> {
    view: &'a ColumnView<'a>,
    /// The hash of each value, null last, if the column has few values.
    known: Option<Vec<ValueHash>>,
}

impl<'a> ValueHashes<'a> {
    fn new(keys: &RunKeys, view: &'a ColumnView<'a>, rows: usize) -> Self {
        let known = match view {
            ColumnView::Coded { values, count, .. } if *count <= rows => Some(
                (0..*count)
                    .map(|at| keys.value(values.bytes(at)))
                    .chain([keys.value(None)])
                    .collect(),
            ),
            _ => None,
        };
        Self { view, known }
    }

    #[inline]
    fn at(&self, keys: &RunKeys, row: usize) -> ValueHash {
        match &self.known {
            Some(known) => known[self.view.code(row)],
            None => keys.value(self.view.bytes(row)),
        }
    }
}

/// Returns a number for each row, equal for rows with equal codes, and one row for each number.
fn combine(views: &[ColumnView<'_>], rows: usize) -> (Vec<u32>, Vec<u32>) {
    let mut of_row = vec![0; rows];
    let mut firsts = if rows == 0 { Vec::new() } else { vec![0] };
    for (view, count) in views
        .iter()
        .filter_map(|view| Some((view, view.codes()?)))
        .filter(|(_, count)| *count > 1)
    {
        let room = firsts.len().saturating_mul(count);
        firsts.clear();
        if room <= rows.saturating_mul(4) {
            let mut known = vec![u32::MAX; room];
            number(view, count, &mut of_row, &mut firsts, |pair, fresh| {
                let number = &mut known[pair];
                *number = (*number).min(fresh);
                *number
            });
        } else {
            let mut known: HashMap<u64, u32, IdentityHasher> = HashMap::default();
            number(view, count, &mut of_row, &mut firsts, |pair, fresh| {
                *known.entry(spread(pair)).or_insert(fresh)
            });
        }
    }
    (of_row, firsts)
}

/// Numbers the pairs of a row's current number and its code in `view`, in the order in which they
/// occur. `known` returns the number of a pair. If the pair is new, that is the number that `known`
/// is given.
fn number(
    view: &ColumnView<'_>,
    count: usize,
    of_row: &mut [u32],
    firsts: &mut Vec<u32>,
    mut known: impl FnMut(usize, u32) -> u32,
) {
    let mut fresh = 0;
    for (row, group) in (0..).zip(of_row) {
        *group = known(*group as usize * count + view.code(row as usize), fresh);
        if *group == fresh {
            firsts.push(row);
            fresh += 1;
        }
    }
}

/// Spreads small numbers over all bits. Different numbers give different results.
fn spread(number: usize) -> u64 {
    (number as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(32)
}
