//! The hour of a time in a zone, for a whole column.
//!
//! Gives the result of the zone for every instant, with one look-up in the zone for each hour of
//! time.

use chrono::{DateTime, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

const MICROS_AN_HOUR: i64 = 3_600_000_000;
/// A power of two that has room for each hour of a day.
const PLACES: usize = 64;

/// Caches the zone's offset for the most recently used hours of time.
pub(super) struct HourCache {
    zone: Tz,
    /// The hour since 1970-01-01T00:00:00Z, and the seconds east of UTC that are valid throughout
    /// it.
    known: [Option<(i64, i32)>; PLACES],
}

impl HourCache {
    /// Creates the cache for `zone`.
    pub(super) fn new(zone: Tz) -> Self {
        Self {
            zone,
            known: [None; PLACES],
        }
    }

    /// Returns the hour, 0 to 23, at an instant in microseconds since 1970-01-01T00:00:00Z; `None`
    /// outside the calendar.
    pub(super) fn hour(&mut self, micros: i64) -> Option<i32> {
        let hour = micros.div_euclid(MICROS_AN_HOUR);
        let place = hour.rem_euclid(PLACES as i64) as usize;
        let east = match self.known[place] {
            Some((of, east)) if of == hour => east,
            _ => {
                let east = self.offset(hour.checked_mul(MICROS_AN_HOUR)?)?;
                if self.offset(hour.checked_add(1)?.checked_mul(MICROS_AN_HOUR)? - 1)? != east {
                    return self.slow(micros);
                }
                self.known[place] = Some((hour, east));
                east
            }
        };
        Some(((micros.div_euclid(1_000_000) + i64::from(east)).rem_euclid(86_400) / 3600) as i32)
    }

    /// Returns the seconds east of UTC at an instant.
    fn offset(&self, micros: i64) -> Option<i32> {
        let at = DateTime::<Utc>::from_timestamp_micros(micros)?;
        Some(
            self.zone
                .offset_from_utc_datetime(&at.naive_utc())
                .fix()
                .local_minus_utc(),
        )
    }

    /// Returns the hour if the offset changes within this hour of time.
    fn slow(&self, micros: i64) -> Option<i32> {
        let at = DateTime::<Utc>::from_timestamp_micros(micros)?;
        Some(at.with_timezone(&self.zone).hour() as i32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_chrono(zone: Tz, micros: i64) -> Option<i32> {
        let at = DateTime::<Utc>::from_timestamp_micros(micros)?;
        Some(at.with_timezone(&zone).hour() as i32)
    }

    #[test]
    fn an_offset_that_changes_within_an_hour_is_seen_to_the_second() {
        // Liberia went from 00:44:30 behind UTC to UTC at 1972-01-07T00:44:30Z.
        let change = 63_593_070_000_000;
        let mut hours = HourCache::new(Tz::Africa__Monrovia);
        let found: Vec<_> = [-1_800_000_000, -1, 0, 1_800_000_000]
            .map(|by| hours.hour(change + by))
            .into();
        assert_eq!(found, [Some(23), Some(23), Some(0), Some(1)]);
    }

    #[test]
    fn a_time_outside_any_calendar_has_no_hour() {
        let mut hours = HourCache::new(Tz::Europe__Amsterdam);
        assert_eq!(
            [i64::MIN, i64::MAX].map(|micros| hours.hour(micros)),
            [None, None]
        );
    }

    proptest! {
        #[test]
        fn the_hour_is_the_zones_own(
            zone in proptest::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
            times in proptest::collection::vec(-3_000_000_000_i64..5_000_000_000, 1..50),
            micros in 0..1_000_000_i64,
        ) {
            let mut hours = HourCache::new(zone);
            for seconds in times {
                // Adjacent times use the same cached offset.
                for by in [0, 1, 1800, 3600, 86_400] {
                    let at = (seconds + by) * 1_000_000 + micros;
                    prop_assert_eq!(hours.hour(at), by_chrono(zone, at));
                }
            }
        }
    }
}
