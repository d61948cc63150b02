//! Wall-clock times of one zone as instants, for a whole column of event times.
//!
//! If a clock shows a time twice or never, the earlier reading becomes the event's instant, so that
//! no data under a ceiling is kept too long; the later one is passed on, so that a legal minimum is
//! counted from it.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch, TimestampMicrosecondArray};
use chrono::{DateTime, Datelike};
use chrono_tz::Tz;

use super::error::TagError;
use super::input::times;
use crate::Calendar;
use ebbtide_base::ids::BucketUnit;

const MICROS_AN_HOUR: i64 = 3_600_000_000;
/// A power of two with room for each hour of a day.
const PLACES: usize = 64;

/// A batch whose event times are instants.
pub(super) struct InstantBatch {
    /// The batch, with the earliest instant of each event.
    pub(super) rows: RecordBatch,
    /// The latest instant of each event that has several possible instants, with its row; in the
    /// order of the rows.
    pub(super) spreads: Vec<(usize, i64)>,
}

impl InstantBatch {
    /// Converts the wall-clock times of `column`, which are stored as if they were UTC.
    pub(super) fn from_wall_clock(
        rows: &RecordBatch,
        column: &str,
        zone: Tz,
    ) -> Result<InstantBatch, TagError> {
        let walls = times(rows, column)?;
        let mut clock = WallClock::new(zone);
        let mut spreads = Vec::new();
        let mut instants = Vec::with_capacity(walls.len());
        for (row, wall) in walls.values().iter().enumerate() {
            let (earliest, latest) = clock.instants(*wall);
            if latest != earliest && walls.is_valid(row) {
                spreads.push((row, latest));
            }
            instants.push(earliest);
        }
        let converted = TimestampMicrosecondArray::new(instants.into(), walls.nulls().cloned())
            .with_timezone("UTC");
        let misfit = || TagError::Column {
            column: column.to_owned(),
            wanted: "a timestamp in microseconds",
        };
        let place = rows.schema().index_of(column).map_err(|_| misfit())?;
        let mut columns = rows.columns().to_vec();
        columns[place] = Arc::new(converted);
        let rows = RecordBatch::try_new(rows.schema(), columns).map_err(|_| misfit())?;
        Ok(InstantBatch { rows, spreads })
    }
}

/// Remembers the zone's offset for the most recently converted hours.
struct WallClock {
    calendar: Calendar,
    /// The hour that the clock shows, and the microseconds east of UTC that are valid throughout
    /// it.
    known: [Option<(i64, i64)>; PLACES],
}

impl WallClock {
    fn new(zone: Tz) -> Self {
        Self {
            calendar: Calendar::new(zone, BucketUnit::Day),
            known: [None; PLACES],
        }
    }

    /// Returns the earliest and the latest instant at which the clock shows `wall`, in
    /// microseconds. A time outside the calendar is unchanged: it is a fault in any case.
    fn instants(&mut self, wall: i64) -> (i64, i64) {
        let hour = wall.div_euclid(MICROS_AN_HOUR);
        let place = hour.rem_euclid(PLACES as i64) as usize;
        if let Some((of, east)) = self.known[place]
            && of == hour
        {
            return (wall - east, wall - east);
        }
        let Some(found) = self.look_up(wall) else {
            return (wall, wall);
        };
        let start = hour.saturating_mul(MICROS_AN_HOUR);
        let ends = (
            self.look_up(start),
            self.look_up(start + MICROS_AN_HOUR - 1),
        );
        if let (Some((first, same)), Some((last, same_last))) = ends
            && first == same
            && last == same_last
            && last - first == MICROS_AN_HOUR - 1
        {
            self.known[place] = Some((hour, start - first));
        }
        found
    }

    fn look_up(&self, wall: i64) -> Option<(i64, i64)> {
        let shown = DateTime::from_timestamp_micros(wall)?.naive_utc();
        if !(2..=9998).contains(&shown.year()) {
            return None;
        }
        let (earliest, latest) = self.calendar.instants_of(shown);
        Some((earliest.timestamp_micros(), latest.timestamp_micros()))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
    use chrono_tz::Tz;
    use proptest::prelude::*;

    use super::WallClock;

    fn wall(text: &str) -> i64 {
        text.parse::<NaiveDateTime>()
            .unwrap()
            .and_utc()
            .timestamp_micros()
    }

    fn instant(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp_micros()
    }

    #[test]
    fn wall_clock_times_become_the_instants_of_their_zone() {
        for (zone, shown, earliest, latest) in [
            (
                "Asia/Kolkata",
                "2026-11-24T10:00:00",
                "2026-11-24T04:30:00Z",
                "2026-11-24T04:30:00Z",
            ),
            (
                "America/New_York",
                "2026-11-29T02:00:00",
                "2026-11-29T07:00:00Z",
                "2026-11-29T07:00:00Z",
            ),
            // The clock is set back over the time.
            (
                "Europe/Amsterdam",
                "2026-10-25T02:30:00",
                "2026-10-25T00:30:00Z",
                "2026-10-25T01:30:00Z",
            ),
            // The clock is set forward over the time.
            (
                "Europe/Amsterdam",
                "2026-03-29T02:30:00",
                "2026-03-29T00:30:00Z",
                "2026-03-29T01:30:00Z",
            ),
            // The clock is set by half an hour.
            (
                "Australia/Lord_Howe",
                "2026-04-05T01:45:00",
                "2026-04-04T14:45:00Z",
                "2026-04-04T15:15:00Z",
            ),
            (
                "Australia/Lord_Howe",
                "2026-04-05T01:15:00",
                "2026-04-04T14:15:00Z",
                "2026-04-04T14:15:00Z",
            ),
        ] {
            let mut clock = WallClock::new(zone.parse().unwrap());
            for _ in 0..2 {
                assert_eq!(
                    clock.instants(wall(shown)),
                    (instant(earliest), instant(latest)),
                    "{zone} {shown}"
                );
            }
        }
        let mut clock = WallClock::new(Tz::Europe__Amsterdam);
        for absurd in [i64::MIN, i64::MAX, -62_200_000_000_000_000] {
            assert_eq!(clock.instants(absurd), (absurd, absurd));
        }
    }

    proptest! {
        #[test]
        fn every_instant_is_between_the_readings_of_its_wall_clock(
            seconds in prop::collection::vec(631_152_000_i64..2_500_000_000, 1..60),
            zone in prop::sample::select(vec![Tz::Europe__Dublin, Tz::Australia__Lord_Howe, Tz::Asia__Kolkata, Tz::America__Sao_Paulo]),
        ) {
            let mut clock = WallClock::new(zone);
            for second in seconds {
                let at = Utc.timestamp_opt(second, 0).unwrap();
                let shown = at.with_timezone(&zone).naive_local().and_utc().timestamp_micros();
                let (earliest, latest) = clock.instants(shown);
                prop_assert!((earliest..=latest).contains(&at.timestamp_micros()));
                prop_assert!(latest - earliest <= TimeDelta::hours(1).num_microseconds().unwrap());
            }
        }
    }
}
