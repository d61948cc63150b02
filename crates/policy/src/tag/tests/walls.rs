//! Event times that are wall-clock times: converted by the product's zone, on the safe side where
//! the clock was set.

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::tag;
use super::world::{SmsRow, at, policy, records, row, rule};
use crate::tag::TaggedBatch;
use crate::{Boundary, Policy, Records, RetentionPeriod};
use ebbtide_base::ids::{Bucket, BucketUnit};
use ebbtide_base::record::Fault;

const TOLERANCE: TimeDelta = TimeDelta::hours(1);
const KEEP: i64 = 100;

/// Returns a policy of that zone whose event times are wall-clock times of `clocks`.
fn by(zone: Tz, unit: BucketUnit, clocks: Tz, boundary: Boundary) -> Policy {
    let records = Records {
        event_time_zone: Some(clocks),
        ..records()
    };
    policy(
        zone,
        unit,
        records,
        vec![rule("only", RetentionPeriod::Hours(KEEP as u32), boundary)],
    )
}

/// Returns the wall-clock time of the zone at an instant, as in messages.
fn shown(zone: Tz, at: DateTime<Utc>) -> SmsRow {
    SmsRow {
        sent_at: Some(
            at.with_timezone(&zone)
                .naive_local()
                .and_utc()
                .timestamp_micros(),
        ),
        ..row("2026-11-24T10:00:00Z")
    }
}

fn stored(tagged: &TaggedBatch) -> Vec<DateTime<Utc>> {
    let of_group = |group: &crate::tag::TaggedGroup| {
        let column = group
            .rows
            .column_by_name("sent_at")
            .unwrap()
            .as_primitive::<TimestampMicrosecondType>()
            .clone();
        (0..column.len())
            .map(|row| Utc.timestamp_micros(column.value(row)).unwrap())
            .collect::<Vec<_>>()
    };
    tagged.groups.iter().flat_map(of_group).collect()
}

#[test]
fn wall_clock_events_are_stored_as_instants_in_their_bucket() {
    let (kolkata, york) = (Tz::Asia__Kolkata, Tz::America__New_York);
    let policy = by(kolkata, BucketUnit::Day, kolkata, Boundary::AtMost);
    let arrival = at("2026-11-30T06:00:00Z");
    let event = arrival - TimeDelta::minutes(5);
    let tagged = tag(&policy, &[shown(kolkata, event)], arrival, TOLERANCE);
    assert_eq!((tagged.faults.len(), stored(&tagged)), (0, vec![event]));
    let policy = by(york, BucketUnit::Day, york, Boundary::AtLeast);
    let tagged = tag(
        &policy,
        &[row("2026-11-29T02:00:00Z")],
        at("2026-11-29T07:00:05Z"),
        TOLERANCE,
    );
    assert_eq!(
        tagged.groups[0].bucket,
        "2026-11-29".parse::<Bucket>().unwrap()
    );
    assert_eq!(stored(&tagged), [at("2026-11-29T07:00:00Z")]);
    // Wall clocks of another zone than the policy's: in Kolkata the day ends at half past six in
    // the evening in UTC.
    let policy = by(Tz::UTC, BucketUnit::Day, kolkata, Boundary::AtMost);
    let tagged = tag(
        &policy,
        &[row("2026-11-30T01:00:00Z")],
        at("2026-11-29T19:31:00Z"),
        TOLERANCE,
    );
    assert_eq!(
        tagged.groups[0].bucket,
        "2026-11-29".parse::<Bucket>().unwrap()
    );
}

#[test]
fn a_ceiling_takes_the_earlier_reading_and_a_minimum_the_later() {
    let amsterdam = Tz::Europe__Amsterdam;
    for (wall, earliest, latest, arrival) in [
        // A time that is shown twice; the clock of the arrival is slightly slow.
        (
            "2026-10-25T02:30:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T00:55:00Z",
        ),
        (
            "2026-10-25T02:30:00Z",
            "2026-10-25T00:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T02:10:00Z",
        ),
        // A time that is never shown: the clock was not set.
        (
            "2026-03-29T02:30:00Z",
            "2026-03-29T00:00:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T00:55:00Z",
        ),
    ] {
        let due = |boundary| {
            let policy = by(amsterdam, BucketUnit::Hour, amsterdam, boundary);
            let tagged = tag(&policy, &[row(wall)], at(arrival), TOLERANCE);
            assert_eq!(tagged.groups.len(), 1, "{wall}");
            tagged.groups[0].deadlines[0].unwrap().0
        };
        assert_eq!(
            due(Boundary::AtMost),
            at(earliest) + TimeDelta::hours(KEEP),
            "{wall}"
        );
        assert_eq!(
            due(Boundary::AtLeast),
            at(latest) + TimeDelta::hours(KEEP + 1),
            "{wall}"
        );
    }
}

#[test]
fn wall_clock_times_of_no_calendar_are_faults_as_others_are() {
    let policy = by(
        Tz::UTC,
        BucketUnit::Day,
        Tz::Asia__Kolkata,
        Boundary::AtMost,
    );
    let micros = |text: &str| Some(at(text).timestamp_micros());
    for (sent_at, fault) in [
        (None, Fault::MissingEventTime),
        (Some(i64::MIN), Fault::AbsurdEventTime),
        (Some(i64::MAX), Fault::AbsurdEventTime),
        (micros("1970-01-01T00:00:00Z"), Fault::AbsurdEventTime),
        (micros("9999-12-31T23:59:59Z"), Fault::FutureEventTime),
    ] {
        let rows = [SmsRow {
            sent_at,
            ..row("2026-11-24T10:00:00Z")
        }];
        assert_eq!(
            tag(&policy, &rows, at("2026-11-24T10:00:00Z"), TOLERANCE).faults,
            [(0, fault)],
            "{sent_at:?}"
        );
    }
}

proptest! {
    #[test]
    fn no_ceiling_is_late_and_no_minimum_early_whatever_a_clock_showed(
        start in prop::sample::select(vec!["2026-10-25T00:00:00Z", "2026-03-29T00:00:00Z", "2026-04-04T14:00:00Z", "2026-10-03T15:00:00Z"]),
        minutes in prop::collection::vec((-120i64..180, 0i64..120), 1..20),
        clocks in prop::sample::select(vec![Tz::Europe__Amsterdam, Tz::Australia__Lord_Howe]),
        unit in prop::sample::select(vec![BucketUnit::Day, BucketUnit::Hour]),
    ) {
        let keep = TimeDelta::hours(KEEP);
        for boundary in [Boundary::AtMost, Boundary::AtLeast] {
            let policy = by(Tz::Europe__London, unit, clocks, boundary);
            for (event, later) in &minutes {
                let event = at(start) + TimeDelta::minutes(*event);
                let tagged = tag(&policy, &[shown(clocks, event)], event + TimeDelta::minutes(*later), TOLERANCE);
                let due = tagged.groups[0].deadlines[0].unwrap().0;
                match boundary {
                    Boundary::AtMost => prop_assert!(due <= event + keep),
                    Boundary::AtLeast => prop_assert!(due >= event + keep),
                }
            }
        }
    }
}
