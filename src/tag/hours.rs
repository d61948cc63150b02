//! The hour of a time in a zone, for a whole column.
//!
//! Promises the zone's own answer for every instant, at the cost of one look into the zone for each hour of time seen.

use chrono::{DateTime, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

const MICROS_AN_HOUR: i64 = 3_600_000_000;
/// A power of two, so that a day's hours have a place each.
const PLACES: usize = 64;

/// Remembers the zone's offset for the hours of time that it was asked of last.
pub(super) struct Hours {
    zone: Tz,
    /// The hour since 1970, and the seconds east of UTC that hold all through it.
    known: [Option<(i64, i32)>; PLACES],
}

impl Hours {
    /// Hours of `zone`.
    pub(super) fn of(zone: Tz) -> Self {
        Self { zone, known: [None; PLACES] }
    }

    /// The hour, 0 to 23, at an instant in microseconds since 1970; `None` outside any calendar.
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

    /// Seconds east of UTC at an instant.
    fn offset(&self, micros: i64) -> Option<i32> {
        let at = DateTime::<Utc>::from_timestamp_micros(micros)?;
        Some(self.zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
    }

    /// The offset changes within this hour.
    fn slow(&self, micros: i64) -> Option<i32> {
        let at = DateTime::<Utc>::from_timestamp_micros(micros)?;
        Some(at.with_timezone(&self.zone).hour() as i32)
    }
}
