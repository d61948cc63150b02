//! Buckets of a zone: the day or hour of an instant, the start and the end of a bucket, and the
//! distance between two.
//!
//! Invariants: every instant of a bucket is in `start..end`, across daylight saving, half-hour
//! shifts and days that a zone skipped. A date outside the calendar gives `None` or saturates, and
//! never causes an action that cannot be undone.

use std::ops::Range;

use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::{GapInfo, Tz};

use ebbtide_base::ids::{Bucket, BucketUnit};

/// The calendar of a policy: its zone, and the unit in which data expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    zone: Tz,
    unit: BucketUnit,
}

/// The instants at which a clock of the zone shows a local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocalInstants {
    /// One instant, the usual case.
    Once(DateTime<Utc>),
    /// Two instants, the earlier first: the clock went back over it.
    Twice(DateTime<Utc>, DateTime<Utc>),
    /// None: the clock jumped over it.
    Never {
        /// The instant of the jump.
        jump: DateTime<Utc>,
        /// The time read with the offset after the jump: the earlier reading.
        by_new: DateTime<Utc>,
        /// The time read with the offset before the jump: the later reading.
        by_old: DateTime<Utc>,
    },
}

impl LocalInstants {
    /// Returns the earliest instant that the local time can mean.
    pub(super) fn earliest(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Twice(at, _) => at,
            Self::Never { by_new, .. } => by_new,
        }
    }

    /// Returns the latest instant that the local time can mean.
    pub(super) fn latest(self) -> DateTime<Utc> {
        match self {
            Self::Once(at) | Self::Twice(_, at) => at,
            Self::Never { by_old, .. } => by_old,
        }
    }
}

impl Calendar {
    /// Returns the calendar of `zone` in buckets of `unit`.
    #[must_use]
    pub fn new(zone: Tz, unit: BucketUnit) -> Self {
        Self { zone, unit }
    }

    /// Returns the zone.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// Returns the unit of the buckets.
    #[must_use]
    pub fn unit(&self) -> BucketUnit {
        self.unit
    }

    /// Returns true if deadlines can be counted from `at`: it is in the years 2 to 9998.
    #[must_use]
    pub fn is_countable(at: DateTime<Utc>) -> bool {
        (2..9999).contains(&at.year())
    }

    /// Returns the bucket of `at`: the local date, or the clock hour. `None` outside the years 2 to
    /// 9998.
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

    /// Returns the bucket of `at`, and a span around `at` in which every instant is in that bucket.
    /// The span is nearly always the whole bucket, so that a column of times costs one search each
    /// time that the bucket changes. `None` as for [`Calendar::bucket_of`].
    #[must_use]
    pub fn stretch(&self, at: DateTime<Utc>) -> Option<(Bucket, Range<DateTime<Utc>>)> {
        let bucket = self.bucket_of(at)?;
        let whole = self.start(bucket)..self.end(bucket);
        if let Bucket::Day(day) = bucket {
            // A few zones once set the clock back across midnight, so that two days interleave for
            // an hour.
            let before = day
                .pred_opt()
                .map_or(whole.start, |day| self.end(Bucket::Day(day)));
            let after = day
                .succ_opt()
                .map_or(whole.end, |day| self.start(Bucket::Day(day)));
            if before > whole.start || after < whole.end {
                let second = at - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
                return Some((bucket, second..second + TimeDelta::seconds(1)));
            }
        }
        Some((bucket, whole))
    }

    /// Returns the first instant of `bucket`. A day that the zone skipped starts and ends at the
    /// jump.
    #[must_use]
    pub fn start(&self, bucket: Bucket) -> DateTime<Utc> {
        match bucket {
            Bucket::Hour(start) => start,
            Bucket::Day(day) => match self.readings(midnight(day)) {
                LocalInstants::Never { jump, .. } => jump,
                seen => seen.earliest(),
            },
        }
    }

    /// Returns the first instant after all of `bucket`.
    #[must_use]
    pub fn end(&self, bucket: Bucket) -> DateTime<Utc> {
        match bucket {
            Bucket::Hour(start) => self.hour_end(start),
            Bucket::Day(day) => {
                let last = midnight(day.succ_opt().unwrap_or(day)) - TimeDelta::nanoseconds(1);
                match self.readings(last) {
                    LocalInstants::Never { jump, .. } => jump,
                    seen => seen.latest() + TimeDelta::nanoseconds(1),
                }
            }
        }
    }

    /// Returns the number of buckets by which `to` is after `from`; 0 if it is not after, or if
    /// their units differ.
    #[must_use]
    pub fn distance(&self, from: Bucket, to: Bucket) -> u32 {
        match (from, to) {
            (Bucket::Day(from), Bucket::Day(to)) => {
                u32::try_from((to - from).num_days()).unwrap_or(0)
            }
            (Bucket::Hour(from), Bucket::Hour(to)) => self.hours_on(from, to, u32::MAX).1,
            _ => 0,
        }
    }

    /// Returns the bucket `n` buckets after `bucket`; the inverse of [`Calendar::distance`].
    #[must_use]
    pub fn plus(&self, bucket: Bucket, n: u32) -> Bucket {
        match bucket {
            Bucket::Day(day) => Bucket::Day(
                day.checked_add_days(Days::new(u64::from(n)))
                    .unwrap_or(NaiveDate::MAX),
            ),
            Bucket::Hour(start) => {
                Bucket::Hour(self.hours_on(start, DateTime::<Utc>::MAX_UTC, n).0)
            }
        }
    }

    /// Returns the bucket of every midnight and noon of four years: enough to compare two windows.
    pub(super) fn four_years(&self) -> impl Iterator<Item = Bucket> + '_ {
        let first = midnight(NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default()).and_utc();
        (0..1461 * 2).filter_map(move |half| self.bucket_of(first + TimeDelta::hours(12 * half)))
    }

    /// Returns the time that a clock of the zone shows at `at`.
    pub(super) fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc()
            .checked_add_offset(self.offset(at))
            .unwrap_or(at.naive_utc())
    }

    /// Returns the earliest and the latest possible instant of the wall-clock time `local` in the
    /// zone. They differ if the clock goes back over it, and if it jumps over it.
    #[must_use]
    pub fn instants_of(&self, local: NaiveDateTime) -> (DateTime<Utc>, DateTime<Utc>) {
        let readings = self.readings(local);
        (readings.earliest(), readings.latest())
    }

    /// Returns the instants at which a clock of the zone shows `local`.
    pub(super) fn readings(&self, local: NaiveDateTime) -> LocalInstants {
        let at = |offset: chrono::FixedOffset| {
            local
                .checked_sub_offset(offset)
                .map_or(DateTime::<Utc>::MAX_UTC, |utc| utc.and_utc())
        };
        match self.zone.offset_from_local_datetime(&local) {
            chrono::LocalResult::Single(offset) => LocalInstants::Once(at(offset.fix())),
            chrono::LocalResult::Ambiguous(first, second) => {
                let (first, second) = (at(first.fix()), at(second.fix()));
                LocalInstants::Twice(first.min(second), first.max(second))
            }
            chrono::LocalResult::None => {
                let gap = GapInfo::new(&local, &self.zone);
                match gap.and_then(|gap| gap.begin.zip(gap.end)) {
                    Some(((_, old), end)) => LocalInstants::Never {
                        jump: end.with_timezone(&Utc),
                        by_new: at(end.offset().fix()),
                        by_old: at(old.fix()),
                    },
                    // This happens only at the edges of the zone's table.
                    None => LocalInstants::Once(local.and_utc()),
                }
            }
        }
    }

    /// Finds the shift of the zone's offset between `from` and `to`; `None` if the offsets at both
    /// are equal. Expects one shift; no zone has had two within a day.
    pub(super) fn shift(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<OffsetChange> {
        let old = self.offset(from);
        if self.offset(to) == old {
            return None;
        }
        let (mut before, mut after) = (from.timestamp(), to.timestamp());
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let at = DateTime::from_timestamp(middle, 0)?;
            if self.offset(at) == old {
                before = middle
            } else {
                after = middle
            }
        }
        let at = DateTime::from_timestamp(after, 0)?;
        Some(OffsetChange {
            at,
            old: at.naive_utc().checked_add_offset(old)?,
            new: self.local(at),
        })
    }

    fn offset(&self, at: DateTime<Utc>) -> chrono::FixedOffset {
        self.zone.offset_from_utc_datetime(&at.naive_utc()).fix()
    }

    fn hour_start(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        let local = self.local(at);
        let into = TimeDelta::seconds(i64::from(local.minute() * 60 + local.second()))
            + TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()));
        let start = at - into;
        // If the offset changed since then, this hour of the clock began with the change.
        self.shift(start, at).map_or(start, |shift| shift.at)
    }

    fn hour_end(&self, start: DateTime<Utc>) -> DateTime<Utc> {
        let local = self.local(start);
        let end =
            start + TimeDelta::seconds(3600 - i64::from(local.minute() * 60 + local.second()));
        self.shift(start, end)
            .map_or(end, |shift| shift.at.min(end))
    }

    /// Walks hour by hour from `start`, until `to` or `most` steps; a whole day in one step if no
    /// clock was changed. Returns the instant that was reached and the number of hours.
    fn hours_on(&self, start: DateTime<Utc>, to: DateTime<Utc>, most: u32) -> (DateTime<Utc>, u32) {
        let (mut at, mut steps) = (start, 0_u32);
        while at < to && steps < most {
            let Some(day) = at.checked_add_signed(TimeDelta::days(1)) else {
                break;
            };
            let whole_hour = self.local(at).minute() == 0 && self.local(at).second() == 0;
            if whole_hour && day <= to && most - steps >= 24 && self.offset(day) == self.offset(at)
            {
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
pub(super) struct OffsetChange {
    /// The first instant of the new offset.
    pub(super) at: DateTime<Utc>,
    /// The time that a clock would have shown at that instant without the shift.
    pub(super) old: NaiveDateTime,
    /// The time that a clock shows at that instant.
    pub(super) new: NaiveDateTime,
}

fn midnight(day: NaiveDate) -> NaiveDateTime {
    day.and_time(chrono::NaiveTime::MIN)
}

#[cfg(test)]
mod tests;
