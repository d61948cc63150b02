//! Tests with more cells than fit: several passes, each within the budget, and the same result.

use super::world::{TestRecord, batches, made, plan, rows};

/// Returns records of ten thousand cells of three people, and of one cell of a hundred.
fn many() -> Vec<TestRecord> {
    let record = |cell: usize, person: usize| TestRecord {
        tenant: Some(format!("tenant-{cell}")),
        recipient: Some(format!("31612{person}")),
        segments: Some(1),
        ..TestRecord::default()
    };
    let small = (0..30_000).map(|at| record(at % 10_000, at));
    small
        .chain((0..100).map(|person| record(10_000, person)))
        .collect()
}

#[test]
fn a_small_budget_is_kept_by_reading_more_often_and_changes_nothing_else() {
    let batches = batches(&many(), 8192);
    let free = made(&plan(3), usize::MAX, &batches);
    assert_eq!(
        (free.work.passes, free.counts.cells, free.counts.suppressed),
        (1, 10_001, 0)
    );
    // The most that the current rows can add to existing cells: a subject, in a list that may be
    // half empty, and a key.
    let rows_at_hand = |budget: usize| (8192 + (budget / 32 / 24).max(1024)) * (2 * 8 + 32);
    for share in [3, 10, 50] {
        let budget = free.work.peak / share;
        let found = made(&plan(3), budget, &batches);
        assert!(
            found.work.passes as usize >= share,
            "{} passes for 1/{share}",
            found.work.passes
        );
        assert!(
            found.work.passes as usize <= 4 * share + 2,
            "{} passes for 1/{share}",
            found.work.passes
        );
        assert!(
            found.work.peak <= budget + rows_at_hand(budget),
            "{} for {budget}",
            found.work.peak
        );
        assert_eq!((&found.rows, found.counts), (&free.rows, free.counts));
    }
}

#[test]
fn a_cell_keeps_no_more_than_k_subjects_however_many_it_has() {
    let busy: Vec<TestRecord> = (0..200_000)
        .map(|person| TestRecord {
            recipient: Some(format!("3161{person}")),
            status: Some(7),
            ..TestRecord::default()
        })
        .collect();
    let found = made(&plan(20), usize::MAX, &batches(&busy, 50_000));
    assert_eq!((found.counts.cells, found.counts.records), (1, 200_000));
    assert!(found.work.peak < 8192, "{}", found.work.peak);
}

#[test]
fn empty_input_makes_no_cells() {
    let found = made(&plan(2), 0, &[]);
    assert_eq!(
        (
            rows(&found.rows).len(),
            found.counts.read,
            found.counts.other
        ),
        (0, 0, false)
    );
}
