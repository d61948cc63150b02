//! Selections of the rows of a row group, which has `total` rows. Pure.

use std::ops::Range;

use parquet::arrow::arrow_reader::RowSelection;

/// Returns the selection of some ranges of rows, which are in order and do not overlap.
pub(super) fn rows_in(
    ranges: impl IntoIterator<Item = Range<usize>>,
    total: usize,
) -> RowSelection {
    RowSelection::from_consecutive_ranges(ranges.into_iter(), total)
}

/// Returns the selection of all rows.
pub(super) fn all_rows(total: usize) -> RowSelection {
    rows_in(std::iter::once(0..total), total)
}

/// Returns the selected rows in parts of at most `most` rows each, in order.
pub(super) fn parts(selection: &RowSelection, most: usize, total: usize) -> Vec<RowSelection> {
    let most = most.max(1);
    let (mut parts, mut part, mut room, mut at) = (Vec::new(), Vec::new(), most, 0);
    for selector in selection.iter() {
        let mut rest = at..at + selector.row_count;
        at = rest.end;
        while !selector.skip && !rest.is_empty() {
            let end = rest.end.min(rest.start.saturating_add(room));
            part.push(rest.start..end);
            room -= end - rest.start;
            rest.start = end;
            if room == 0 {
                parts.push(rows_in(std::mem::take(&mut part), total));
                room = most;
            }
        }
    }
    if !part.is_empty() {
        parts.push(rows_in(part, total));
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bits: &[bool]) -> RowSelection {
        let ones = bits.iter().enumerate().filter(|(_, bit)| **bit);
        rows_in(ones.map(|(at, _)| at..at + 1), bits.len())
    }

    fn bits(selection: &RowSelection) -> Vec<bool> {
        selection
            .iter()
            .flat_map(|rows| std::iter::repeat_n(!rows.skip, rows.row_count))
            .collect()
    }

    proptest! {
        #[test]
        fn selections_are_sets_of_rows(pairs in prop::collection::vec(any::<(bool, bool)>(), 0..60), most in 1_usize..20) {
            let (a, b): (Vec<bool>, Vec<bool>) = pairs.iter().copied().unzip();
            let total = pairs.len();
            let each = |join: fn(bool, bool) -> bool| pairs.iter().map(|(a, b)| join(*a, *b)).collect::<Vec<_>>();
            prop_assert_eq!(bits(&of(&a).union(&of(&b))), each(|a, b| a | b));
            prop_assert_eq!(bits(&of(&a).intersection(&of(&b))), each(|a, b| a & b));
            prop_assert_eq!(bits(&of(&a).intersection(&all_rows(total))), a.clone());
            let parts = parts(&of(&a), most, total);
            prop_assert!(parts.iter().all(|part| (1..=most).contains(&part.row_count())));
            let whole = parts.iter().fold(rows_in([], total), |all, part| all.union(part));
            prop_assert_eq!(bits(&whole), a);
        }
    }
}
