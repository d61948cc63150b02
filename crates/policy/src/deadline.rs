//! The instant at which a category of a bucket's records is due.
//!
//! Invariants, for every record of the bucket: an `at_most` deadline is never later than the
//! record's own time + keep, an `at_least` deadline is never earlier, and neither differs from it
//! by more than the length of the bucket. A local time that a clock of the zone shows twice or
//! never is read as early as possible for a maximum, and as late as possible for a minimum.

use chrono::{DateTime, Days, Months, NaiveDateTime, TimeDelta, Utc};

use super::calendar::Calendar;
use super::model::{Boundary, RetentionPeriod};
use ebbtide_base::ids::{Bucket, Deadline};

/// Returns the deadline of the records of `bucket`. `at_most` is counted from the bucket's first
/// instant. `at_least` is counted from the last instant of the bucket that is `late` buckets later
/// (that of the later of event and arrival). Days and months are counted on the calendar *before*
/// the end of the bucket is taken, because 30 August + 6 months is as late in February as 31 August
/// + 6 months.
#[must_use]
pub fn deadline(
    calendar: &Calendar,
    bucket: Bucket,
    late: u32,
    keep: RetentionPeriod,
    boundary: Boundary,
) -> Deadline {
    let bucket = match boundary {
        Boundary::AtMost => bucket,
        Boundary::AtLeast => calendar.plus(bucket, late),
    };
    if let RetentionPeriod::Hours(hours) = keep {
        let from = match boundary {
            Boundary::AtMost => calendar.start(bucket),
            Boundary::AtLeast => calendar.end(bucket),
        };
        return Deadline(
            from.checked_add_signed(TimeDelta::hours(i64::from(hours)))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
        );
    }
    // The local times at both ends of the bucket: a day that begins with a jump begins at one
    // o'clock.
    let instant = TimeDelta::nanoseconds(1);
    let from = calendar.local(calendar.start(bucket));
    let length = calendar.local(calendar.end(bucket) - instant) + instant - from;
    let target = plus(from, keep).and_then(|from| Some((from, from.checked_add_signed(length)?)));
    let Some((from, to)) = target else {
        return Deadline(DateTime::<Utc>::MAX_UTC);
    };
    Deadline(match boundary {
        Boundary::AtMost => earliest(calendar, from, to),
        Boundary::AtLeast => latest(calendar, from, to),
    })
}

/// Returns the earliest instant that any local time of `from..to` can mean.
fn earliest(calendar: &Calendar, from: NaiveDateTime, to: NaiveDateTime) -> DateTime<Utc> {
    let first = calendar.readings(from).earliest();
    match calendar.shift(first, calendar.readings(to).latest()) {
        // The first local time of a skipped interval, read with the new offset, may be before the
        // bucket's own first instant.
        Some(shift) if shift.new > shift.old && from < shift.old && shift.old < to => {
            first.min(calendar.readings(shift.old).earliest())
        }
        _ => first,
    }
}

/// Returns the latest instant that any local time of `from..to` can mean.
fn latest(calendar: &Calendar, from: NaiveDateTime, to: NaiveDateTime) -> DateTime<Utc> {
    let instant = TimeDelta::nanoseconds(1);
    let last = calendar.readings(to - instant).latest() + instant;
    match calendar.shift(calendar.readings(from).earliest(), last) {
        Some(shift) if shift.new > shift.old && from < shift.new && shift.new < to => {
            last.max(calendar.readings(shift.new - instant).latest() + instant)
        }
        _ => last,
    }
}

fn plus(from: NaiveDateTime, keep: RetentionPeriod) -> Option<NaiveDateTime> {
    match keep {
        RetentionPeriod::Hours(hours) => {
            from.checked_add_signed(TimeDelta::hours(i64::from(hours)))
        }
        RetentionPeriod::Days(days) => from.checked_add_days(Days::new(u64::from(days))),
        RetentionPeriod::Months(months) => from.checked_add_months(Months::new(months)),
    }
}

#[cfg(test)]
mod tests;
