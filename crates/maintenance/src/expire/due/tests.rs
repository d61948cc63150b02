//! Plans of due work over made-up segments.

use std::sync::Arc;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::task::in_order;
use ebbtide_base::ids::Bucket;
use ebbtide_table::testing::{noon, stored_segment};

fn segment(bucket: u32, number: u32, deadlines: &[(&str, i64)]) -> StoredSegment {
    let day =
        chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap() + chrono::Days::new(u64::from(bucket));
    let deadlines = deadlines
        .iter()
        .map(|(name, hours)| {
            (
                name.parse().unwrap(),
                Deadline(noon() + TimeDelta::hours(*hours)),
            )
        })
        .collect();
    StoredSegment {
        bucket: Bucket::Day(day),
        rows: 10,
        records: 10,
        size: 100,
        deadlines: Arc::new(deadlines),
        ..stored_segment(&format!(
            "bucket={day}/profile=0123456789ab/{number}.parquet"
        ))
    }
}

fn plan(segments: &[StoredSegment], bounds: PlanBounds) -> SweepPlan {
    select(segments, noon(), bounds, |_| false, |_| false)
}

#[test]
fn due_columns_are_dropped_and_records_without_data_end() {
    let segments = [
        segment(0, 0, &[("content", -5), ("phone_number", 5)]),
        segment(1, 0, &[("content", -3), ("phone_number", 0)]),
        segment(2, 0, &[("content", 1)]),
        segment(3, 0, &[]),
    ];
    let found = plan(&segments, PlanBounds::default());
    let actions: Vec<&SweepAction> = found.works.iter().map(|work| &work.action).collect();
    let drop = |names: &[&str]| {
        let categories = names.iter().map(|name| name.parse().unwrap()).collect();
        SweepAction::Drop(DropColumns { categories })
    };
    assert_eq!(
        actions,
        [&drop(&["content"]), &SweepAction::End(EndRecords)]
    );
    // A category whose deadline is not known yet keeps the record from ending.
    let open = select(
        &segments,
        noon(),
        PlanBounds::default(),
        |_| true,
        |_| false,
    );
    assert_eq!(
        open.works
            .iter()
            .map(|work| &work.action)
            .collect::<Vec<_>>(),
        [&drop(&["content"]), &drop(&["content", "phone_number"])]
    );
}

#[test]
fn cells_and_what_waits_are_not_planned() {
    let cells = StoredSegment {
        cells: true,
        ..segment(0, 0, &[("content", -5)])
    };
    assert!(plan(&[cells], PlanBounds::default()).works.is_empty());
    let due = segment(0, 0, &[("content", -5)]);
    assert!(
        select([&due], noon(), PlanBounds::default(), |_| false, |_| true)
            .works
            .is_empty()
    );
}

#[test]
fn a_bucket_ends_whole_and_drops_in_parts() {
    let bounds = PlanBounds {
        works: 100,
        bytes: 250,
        segments: 10,
    };
    let ending: Vec<StoredSegment> = (0..7)
        .map(|number| segment(0, number, &[("content", -5)]))
        .collect();
    assert_eq!(
        plan(&ending, bounds)
            .works
            .iter()
            .map(|work| work.segments.len())
            .collect::<Vec<_>>(),
        [7]
    );
    let dropping: Vec<StoredSegment> = (0..7)
        .map(|number| segment(0, number, &[("content", -5), ("phone_number", 5)]))
        .collect();
    assert_eq!(
        plan(&dropping, bounds)
            .works
            .iter()
            .map(|work| work.segments.len())
            .collect::<Vec<_>>(),
        [2, 2, 2, 1]
    );
    // A segment that is larger than the bound is a separate part.
    let bounds = PlanBounds {
        bytes: 50,
        ..bounds
    };
    assert_eq!(plan(&dropping, bounds).works.len(), 7);
}

proptest! {
    #[test]
    fn a_plan_is_the_longest_overdue_part_of_all_that_is_due(
        hours in prop::collection::vec(-50_i64..50, 0..60),
        works in 1_usize..20,
    ) {
        let segments: Vec<StoredSegment> = hours
            .iter()
            .zip(0..)
            .map(|(hours, bucket)| segment(bucket, 0, &[("content", *hours), ("phone_number", *hours + 7)]))
            .collect();
        let found = plan(&segments, PlanBounds { works, ..PlanBounds::default() });
        let mut due: Vec<i64> = hours.iter().copied().filter(|hours| *hours <= 0).collect();
        due.sort_unstable();
        let planned: Vec<i64> = found.works.iter().map(|work| (work.due.0 - noon()).num_hours()).collect();
        prop_assert_eq!(found.more, due.len() > works);
        due.truncate(works);
        prop_assert_eq!(planned, due);
        for work in &found.works {
            let named = work.segments.iter().flat_map(|segment| segment.deadlines.iter());
            let past = named.filter(|(category, deadline)| match &work.action {
                SweepAction::Drop(drop) => drop.categories.contains(*category) != deadline.is_due(noon()),
                SweepAction::End(_) => !deadline.is_due(noon()),
                SweepAction::Migrate(_) | SweepAction::ApplyTriggers(_) => true,
            });
            prop_assert_eq!(past.count(), 0);
        }
    }
}

proptest! {
    #[test]
    fn the_plans_of_several_tables_are_the_longest_overdue_of_all_of_them(
        tables in prop::collection::vec(prop::collection::vec(-50_i64..1, 0..30), 1..5),
        works in 1_usize..8,
    ) {
        let bounds = PlanBounds { works, ..PlanBounds::default() };
        let of = |hours: &Vec<i64>| -> Vec<StoredSegment> {
            hours.iter().zip(0..).map(|(hours, bucket)| segment(bucket, 0, &[("content", *hours)])).collect()
        };
        let plans = tables.iter().map(|hours| plan(&of(hours), bounds));
        let (found, more) = in_order(plans.enumerate());
        let planned: Vec<i64> = found.iter().map(|(_, work)| (work.due.0 - noon()).num_hours()).collect();
        let mut due: Vec<i64> = tables.iter().flatten().copied().collect();
        due.sort_unstable();
        prop_assert_eq!(more, planned.len() < due.len());
        prop_assert!(planned.len() >= works.min(due.len()));
        due.truncate(planned.len());
        prop_assert_eq!(planned, due);
    }
}
