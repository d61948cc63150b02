//! Buckets of a zone: which day or hour an instant lies in, where each begins and ends, how far two lie apart.
//!
//! Promises that every instant of a bucket lies in `start..end`, through daylight saving, half-hour shifts and days that a
//! zone skipped. Must never do what cannot be undone on a strange date: out of the calendar it says so or saturates.

use std::ops::Range;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::{GapInfo, Tz};

use crate::ids::{Bucket, BucketUnit};

/// The calendar of a policy: its zone, and the unit in which data expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
    unit: BucketUnit,
}

/// The instants at which a clock of the zone shows a local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readings {
    /// One instant, as most times have.
    Once(DateTime<Utc>),
    /// Two instants, the earlier first: the clock went back over it.
    Twice(DateTime<Utc>, DateTime<Utc>),
    /// None: the clock jumped over it.
    Never {
        /// The instant of the jump.
        jump: DateTime<Utc>,
        /// The time by the offset that held after the jump: the earlier reading.
        by_new: DateTime<Utc>,
        /// The time by the offset that held before the jump: the later reading.
        by_old: DateTime<Utc>,
    },
}

impl Readings {
    /// The earliest instant that anyone could mean.
    pub(super) fn earliest(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Twice(at, _) => at,
            Self::Never { by_new, .. } => by_new,
        }
    }

    /// The latest instant that anyone could mean.
    pub(super) fn latest(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Twice(_, at) => at,
            Self::Never { by_old, .. } => by_old,
        }
    }
}

impl Calendar {
    /// The calendar of `zone` in buckets of `unit`.
    #[must_use]
    pub fn new(zone: Tz, unit: BucketUnit) -> Self {
        Self { zone, unit }
    }

    /// Its zone.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Its unit.
    #[must_use]
    pub fn unit(&self) -> BucketUnit {
        self.unit
    }

    /// Returns true if deadlines can be counted from `at`: it is in the years 2 to 9998.
    #[must_use]
    pub fn is_countable(at: DateTime<Utc>) -> bool {
        (2..9999).contains(&at.year())
    }

    /// The bucket that `at` lies in: the local date, or the clock hour. `None` outside the years 2 to 9998.
    #[must_use]
    pub fn bucket_of(&self, at: DateTime<Utc>) -> Option<Bucket> {
        if !Self::is_countable(at) {
            return None;
        }
        match self.unit {
            BucketUnit::Day => Some(Bucket::Day(self.local(at).date())),
            BucketUnit::Hour => Some(Bucket::Hour(self.hour_start(at))),
        }
    }

    /// The bucket that `at` lies in, and a span around `at` of which every instant lies in that bucket: nearly always the
    /// whole bucket, so that a column of times costs one search each time that the bucket changes. `None` as [`Calendar::bucket_of`].
    #[must_use]
    pub fn stretch(&self, at: DateTime<Utc>) -> Option<(Bucket, Range<DateTime<Utc>>)> {
        let bucket = self.bucket_of(at)?;
        let whole = self.start(bucket)..self.end(bucket);
        if let Bucket::Day(day) = bucket {
            // A few zones once set the clock back across midnight, so that two days interleave for an hour.
            let before = day.pred_opt().map_or(whole.start, |day| self.end(Bucket::Day(day)));
            let after = day.succ_opt().map_or(whole.end, |day| self.start(Bucket::Day(day)));
            if before > whole.start || after < whole.end {
                let second = at - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
                return Some((bucket, second..second + TimeDelta::seconds(1)));
            }
        }
        Some((bucket, whole))
    }

    /// The first instant of `bucket`. A day that the zone skipped starts and ends at the jump.
    #[must_use]
    pub fn start(&self, bucket: Bucket) -> DateTime<Utc> {
        match bucket {
            Bucket::Hour(start) => start,
            Bucket::Day(day) => match self.readings(midnight(day)) {
                Readings::Never { jump, .. } => jump,
                seen => seen.earliest(),
            },
        }
    }

    /// The first instant after all of `bucket`.
    #[must_use]
    pub fn end(&self, bucket: Bucket) -> DateTime<Utc> {
        match bucket {
            Bucket::Hour(start) => self.hour_end(start),
            Bucket::Day(day) => {
                let last = midnight(day.succ_opt().unwrap_or(day)) - TimeDelta::nanoseconds(1);
                match self.readings(last) {
                    Readings::Never { jump, .. } => jump,
                    seen => seen.latest() + TimeDelta::nanoseconds(1),
                }
            }
        }
    }

    /// How many buckets `to` lies after `from`; 0 if it does not, or if they are of two units.
    #[must_use]
    pub fn distance(&self, from: Bucket, to: Bucket) -> u32 {
        match (from, to) {
            (Bucket::Day(from), Bucket::Day(to)) => u32::try_from((to - from).num_days()).unwrap_or(0),
            (Bucket::Hour(from), Bucket::Hour(to)) => self.hours_on(from, to, u32::MAX).1,
            _ => 0,
        }
    }

    /// The bucket `n` after `bucket`; the inverse of [`Calendar::distance`].
    #[must_use]
    pub fn plus(&self, bucket: Bucket, n: u32) -> Bucket {
        match bucket {
            Bucket::Day(day) => Bucket::Day(day.checked_add_days(Days::new(u64::from(n))).unwrap_or(NaiveDate::MAX)),
            Bucket::Hour(start) => Bucket::Hour(self.hours_on(start, DateTime::<Utc>::MAX_UTC, n).0),
        }
    }

    /// A bucket of every midnight and noon of four years: enough to tell how two windows lie to one another.
    pub(super) fn four_years(&self) -> impl Iterator<Item = Bucket> + '_ {
        let first = midnight(NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default()).and_utc();
        (0..1461 * 2).filter_map(move |half| self.bucket_of(first + TimeDelta::hours(12 * half)))
    }

    /// What a clock of the zone shows at `at`.
    pub(super) fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc().checked_add_offset(self.offset(at)).unwrap_or(at.naive_utc())
    }

    /// Returns the earliest and the latest possible instant of the wall-clock time `local` in the zone. They differ if
    /// the clock goes back over it, and if it jumps over it.
    #[must_use]
    pub fn instants_of(&self, local: NaiveDateTime) -> (DateTime<Utc>, DateTime<Utc>) {
        let readings = self.readings(local);
        (readings.earliest(), readings.latest())
    }

    /// When a clock of the zone shows `local`.
    pub(super) fn readings(&self, local: NaiveDateTime) -> Readings {
        let at = |offset: chrono::FixedOffset| {
            local.checked_sub_offset(offset).map_or(DateTime::<Utc>::MAX_UTC, |utc| utc.and_utc())
        };
        match self.zone.offset_from_local_datetime(&local) {
            chrono::LocalResult::Single(offset) => Readings::Once(at(offset.fix())),
            chrono::LocalResult::Ambiguous(first, second) => {
                let (first, second) = (at(first.fix()), at(second.fix()));
                Readings::Twice(first.min(second), first.max(second))
            }
            chrono::LocalResult::None => {
                let gap = GapInfo::new(&local, &self.zone);
                match gap.and_then(|gap| gap.begin.zip(gap.end)) {
                    Some(((_, old), end)) => Readings::Never {
                        jump: end.with_timezone(&Utc),
                        by_new: at(end.offset().fix()),
                        by_old: at(old.fix()),
                    },
                    // Only at the edges of what the zone's table knows.
                    None => Readings::Once(local.and_utc()),
                }
            }
        }
    }

    /// The instant in `from..to` from which the zone's offset is another than at `from`, if it is another at `to`; with
    /// the local times just before and at it. Looks for one shift; no zone has had two within a day.
    pub(super) fn shift(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Shift> {
        let old = self.offset(from);
        if self.offset(to) == old {
            return None;
        }
        let (mut before, mut after) = (from.timestamp(), to.timestamp());
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let at = DateTime::from_timestamp(middle, 0)?;
            if self.offset(at) == old { before = middle } else { after = middle }
        }
        let at = DateTime::from_timestamp(after, 0)?;
        Some(Shift { at, old: at.naive_utc().checked_add_offset(old)?, new: self.local(at) })
    }

    fn offset(&self, at: DateTime<Utc>) -> chrono::FixedOffset {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix()
    }

    fn hour_start(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let local = self.local(at);
        let into = TimeDelta::seconds(i64::from(local.minute() * 60 + local.second()))
            + TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
        let start = at - into;
        // Where the offset changed since, this hour of the clock began with the change.
        self.shift(start, at).map_or(start, |shift| shift.at)
    }

    fn hour_end(&self, start: DateTime<Utc>) -> DateTime<Utc> {
        let local = self.local(start);
        let end = start + TimeDelta::seconds(3600 - i64::from(local.minute() * 60 + local.second()));
        self.shift(start, end).map_or(end, |shift| shift.at.min(end))
    }

    /// Walks hour by hour from `start`, until `to` or `most` steps; a whole day at once where no clock was changed.
    fn hours_on(&self, start: DateTime<Utc>, to: DateTime<Utc>, most: u32) -> (DateTime<Utc>, u32) {
        let (mut at, mut steps) = (start, 0_u32);
        while at < to && steps < most {
            let Some(day) = at.checked_add_signed(TimeDelta::days(1)) else { break };
            let whole_hour = self.local(at).minute() == 0 && self.local(at).second() == 0;
            if whole_hour && day <= to && most - steps >= 24 && self.offset(day) == self.offset(at) {
                (at, steps) = (day, steps + 24);
            } else {
                (at, steps) = (self.hour_end(at), steps + 1);
            }
        }
        (at, steps)
    }
}

/// A change of a zone's offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    /// The first instant of the new offset.
    pub(super) at: DateTime<Utc>,
    /// What a clock would have shown then without it.
    pub(super) old: NaiveDateTime,
    /// What a clock shows then.
    pub(super) new: NaiveDateTime,
}

fn midnight(day: NaiveDate) -> NaiveDateTime {
    day.and_time(chrono::NaiveTime::MIN)
}

#[cfg(test)]
mod tests;
