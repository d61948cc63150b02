use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::super::{Boundary, Calendar, RetentionPeriod};
use super::deadline;
use ebbtide_base::ids::{Bucket, BucketUnit};

/// Zones east and west, with shifts at midnight, of half an hour, across the date line, and of
/// three hours.
const ZONES: [Tz; 14] = [
    Tz::UTC,
    Tz::Europe__Amsterdam,
    Tz::America__New_York,
    Tz::America__Sao_Paulo,
    Tz::America__St_Johns,
    Tz::America__Havana,
    Tz::Asia__Kolkata,
    Tz::Asia__Beirut,
    Tz::Asia__Kathmandu,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::Pacific__Kiritimati,
    Tz::Antarctica__Casey,
    Tz::Africa__Casablanca,
];

/// The slow oracle. It knows a zone only as a function from an instant to the local time, and finds
/// everything else by trying every minute.
struct Minutes {
    from: DateTime<Utc>,
    shown: Vec<NaiveDateTime>,
}

impl Minutes {
    fn around(zone: Tz, middle: NaiveDateTime) -> Self {
        let from = middle.and_utc() - TimeDelta::hours(60);
        let shown = (0..120 * 60).map(|minute| {
            (from + TimeDelta::minutes(minute))
                .with_timezone(&zone)
                .naive_local()
        });
        Self {
            from,
            shown: shown.collect(),
        }
    }

    fn at(&self, index: usize) -> DateTime<Utc> {
        self.from + TimeDelta::minutes(i64::try_from(index).unwrap())
    }

    /// Returns all instants that `local` can mean.
    fn meant(&self, local: NaiveDateTime) -> Vec<DateTime<Utc>> {
        let seen: Vec<_> = (0..self.shown.len())
            .filter(|index| self.shown[*index] == local)
            .collect();
        if !seen.is_empty() {
            return seen.into_iter().map(|index| self.at(index)).collect();
        }
        let jump = (1..self.shown.len())
            .find(|index| self.shown[index - 1] < local && self.shown[*index] > local);
        let jump = jump.expect("a time that is never shown is jumped over");
        let old = self.shown[jump - 1] + TimeDelta::minutes(1);
        vec![
            self.at(jump) + (local - old),
            self.at(jump) + (local - self.shown[jump]),
        ]
    }
}

/// Returns the day that is `keep` after `from` on the calendar, counted day by day.
fn counted(from: NaiveDate, keep: RetentionPeriod) -> NaiveDate {
    match keep {
        RetentionPeriod::Days(days) => (0..days).fold(from, |day, _| day.succ_opt().unwrap()),
        RetentionPeriod::Months(months) => {
            let month0 = from.month0() + months;
            let (year, month) = (
                from.year() + i32::try_from(month0 / 12).unwrap(),
                month0 % 12 + 1,
            );
            let mut day = from.day();
            loop {
                if let Some(date) = NaiveDate::from_ymd_opt(year, month, day) {
                    return date;
                }
                day -= 1;
            }
        }
        RetentionPeriod::Hours(_) => unreachable!(),
    }
}

/// Adds `keep` to the local time of every minute of the bucket. Returns the earliest instant that a
/// result can mean, and the end of the latest minute.
fn extremes(
    zone: Tz,
    bucket: &[DateTime<Utc>],
    keep: RetentionPeriod,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let minute = TimeDelta::minutes(1);
    if let RetentionPeriod::Hours(hours) = keep {
        let hours = TimeDelta::hours(i64::from(hours));
        return (bucket[0] + hours, *bucket.last().unwrap() + minute + hours);
    }
    let targets: Vec<_> = bucket
        .iter()
        .map(|at| at.with_timezone(&zone).naive_local())
        .map(|local| counted(local.date(), keep).and_time(local.time()))
        .collect();
    let minutes = Minutes::around(zone, targets[0]);
    let meant: Vec<_> = targets
        .iter()
        .flat_map(|target| minutes.meant(*target))
        .collect();
    (
        *meant.iter().min().unwrap(),
        *meant.iter().max().unwrap() + minute,
    )
}

/// Returns the minutes in the same bucket as `at`, found minute by minute: one local date, or one
/// unbroken clock hour.
fn bucket_minutes(zone: Tz, unit: BucketUnit, at: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let minutes = Minutes::around(zone, at.naive_utc());
    let middle = 60 * 60;
    assert_eq!(minutes.at(middle), at);
    match unit {
        BucketUnit::Day => {
            let day = minutes.shown[middle].date();
            (0..minutes.shown.len())
                .filter(|index| minutes.shown[*index].date() == day)
                .map(|i| minutes.at(i))
                .collect()
        }
        BucketUnit::Hour => {
            let hour = |index: usize| (minutes.shown[index].date(), minutes.shown[index].hour());
            let ticks = |index: usize| {
                minutes.shown[index] - minutes.shown[index - 1] == TimeDelta::minutes(1)
            };
            let (mut first, mut last) = (middle, middle);
            while hour(first - 1) == hour(middle) && ticks(first) {
                first -= 1;
            }
            while hour(last + 1) == hour(middle) && ticks(last + 1) {
                last += 1;
            }
            (first..=last).map(|index| minutes.at(index)).collect()
        }
    }
}

fn keeps() -> impl Strategy<Value = RetentionPeriod> {
    prop_oneof![
        (0_u32..60).prop_map(RetentionPeriod::Hours),
        (0_u32..800).prop_map(RetentionPeriod::Days),
        (0_u32..130).prop_map(RetentionPeriod::Months),
    ]
}

/// Generates any minute of 1992 to 2040, and often one near a shift of the zone.
fn moments() -> impl Strategy<Value = (Tz, DateTime<Utc>)> {
    (
        proptest::sample::select(&ZONES[..]),
        11_563_200_i64..36_800_000,
        any::<bool>(),
    )
        .prop_map(|(zone, minute, near)| {
            let mut at = DateTime::from_timestamp(minute * 60, 0).unwrap();
            if near {
                let offset =
                    |at: DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
                for _ in 0..400 {
                    let next = at + TimeDelta::hours(12);
                    if offset(next) != offset(at) {
                        break;
                    }
                    at = next;
                }
                at += TimeDelta::minutes(minute % 1000);
            }
            (zone, at)
        })
}

fn check(
    zone: Tz,
    unit: BucketUnit,
    at: DateTime<Utc>,
    keep: RetentionPeriod,
) -> Result<(), TestCaseError> {
    let calendar = Calendar::new(zone, unit);
    let bucket = calendar.bucket_of(at).unwrap();
    let minutes = bucket_minutes(zone, unit, at);
    prop_assert_eq!(calendar.start(bucket), minutes[0], "start of {}", bucket);
    prop_assert_eq!(
        calendar.end(bucket),
        *minutes.last().unwrap() + TimeDelta::minutes(1),
        "end of {}",
        bucket
    );
    let (earliest, latest) = extremes(zone, &minutes, keep);
    prop_assert_eq!(
        deadline(&calendar, bucket, 7, keep, Boundary::AtMost).0,
        earliest,
        "{} + {}",
        bucket,
        keep
    );
    prop_assert_eq!(
        deadline(&calendar, bucket, 0, keep, Boundary::AtLeast).0,
        latest,
        "{} + {}",
        bucket,
        keep
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn deadline_is_the_extreme_over_every_minute_of_its_bucket(
        (zone, at) in moments(), keep in keeps(), hour in any::<bool>(),
    ) {
        check(zone, if hour { BucketUnit::Hour } else { BucketUnit::Day }, at, keep)?;
    }

    #[test]
    fn a_deadline_that_falls_near_a_shift_is_the_extreme_too(
        (zone, shift) in moments(), keep in keeps(), hour in any::<bool>(),
    ) {
        // Goes back from the shift by about `keep`, so that the deadline is near the shift.
        let at = match keep {
            RetentionPeriod::Hours(hours) => shift - TimeDelta::hours(i64::from(hours)),
            RetentionPeriod::Days(days) => shift - TimeDelta::days(i64::from(days)),
            RetentionPeriod::Months(months) => shift.checked_sub_months(chrono::Months::new(months)).unwrap(),
        };
        prop_assume!(at.year() >= 1991);
        check(zone, if hour { BucketUnit::Hour } else { BucketUnit::Day }, at, keep)?;
    }

    #[test]
    fn no_record_breaks_a_boundary_or_is_further_off_than_its_bucket(
        (zone, at) in moments(), keep in keeps(), hour in any::<bool>(),
    ) {
        let calendar = Calendar::new(zone, if hour { BucketUnit::Hour } else { BucketUnit::Day });
        let bucket = calendar.bucket_of(at).unwrap();
        let (first, last) = extremes(zone, &[at], keep);
        let last = last - TimeDelta::minutes(1);
        let most = deadline(&calendar, bucket, 0, keep, Boundary::AtMost).0;
        let least = deadline(&calendar, bucket, 0, keep, Boundary::AtLeast).0;
        // A shift on the target day adds its own length.
        let length = if hour { TimeDelta::hours(1) } else { TimeDelta::hours(24) } + (last - first) + TimeDelta::hours(3);
        let length = if zone == Tz::Pacific__Apia { length + TimeDelta::hours(24) } else { length };
        prop_assert!(most <= first && first - most <= length, "{most} {first}");
        prop_assert!(least > last && least - last <= length, "{least} {last}");
    }
}

fn utc(year: i32, month: u32, day: u32, hour: u32, minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, month, day, hour, minute, 0)
        .unwrap()
}

fn day(
    zone: Tz,
    date: (i32, u32, u32),
    keep: RetentionPeriod,
    boundary: Boundary,
) -> DateTime<Utc> {
    let bucket = Bucket::Day(NaiveDate::from_ymd_opt(date.0, date.1, date.2).unwrap());
    deadline(
        &Calendar::new(zone, BucketUnit::Day),
        bucket,
        0,
        keep,
        boundary,
    )
    .0
}

#[test]
fn the_last_days_of_august_and_six_months_end_with_february() {
    for date in [(2025, 8, 28), (2025, 8, 29), (2025, 8, 30), (2025, 8, 31)] {
        assert_eq!(
            day(Tz::UTC, date, RetentionPeriod::Months(6), Boundary::AtMost),
            utc(2026, 2, 28, 0, 0)
        );
        assert_eq!(
            day(Tz::UTC, date, RetentionPeriod::Months(6), Boundary::AtLeast),
            utc(2026, 3, 1, 0, 0)
        );
    }
    assert_eq!(
        day(
            Tz::UTC,
            (2027, 8, 31),
            RetentionPeriod::Months(6),
            Boundary::AtMost
        ),
        utc(2028, 2, 29, 0, 0)
    );
    assert_eq!(
        day(
            Tz::UTC,
            (2024, 2, 29),
            RetentionPeriod::Months(12),
            Boundary::AtLeast
        ),
        utc(2025, 3, 1, 0, 0)
    );
    assert_eq!(
        day(
            Tz::UTC,
            (2024, 2, 29),
            RetentionPeriod::Months(48),
            Boundary::AtMost
        ),
        utc(2028, 2, 29, 0, 0)
    );
}

#[test]
fn months_are_counted_on_the_calendar_of_the_zone() {
    let amsterdam = Tz::Europe__Amsterdam;
    assert_eq!(
        day(
            amsterdam,
            (2026, 1, 15),
            RetentionPeriod::Months(6),
            Boundary::AtMost
        ),
        utc(2026, 7, 14, 22, 0)
    );
    assert_eq!(
        day(
            amsterdam,
            (2026, 7, 15),
            RetentionPeriod::Months(6),
            Boundary::AtLeast
        ),
        utc(2027, 1, 15, 23, 0)
    );
}

#[test]
fn a_deadline_on_a_day_that_the_zone_skipped_is_read_each_way() {
    let apia = Tz::Pacific__Apia;
    let jump = utc(2011, 12, 30, 10, 0);
    assert_eq!(
        day(
            apia,
            (2011, 11, 30),
            RetentionPeriod::Months(1),
            Boundary::AtMost
        ),
        jump - TimeDelta::days(1)
    );
    assert_eq!(
        day(
            apia,
            (2011, 11, 30),
            RetentionPeriod::Months(1),
            Boundary::AtLeast
        ),
        jump + TimeDelta::days(1)
    );
}

#[test]
fn a_minimum_counts_from_the_bucket_of_the_arrival_and_a_ceiling_does_not() {
    let calendar = Calendar::new(Tz::UTC, BucketUnit::Day);
    let bucket = Bucket::Day(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap());
    assert_eq!(
        deadline(
            &calendar,
            bucket,
            3,
            RetentionPeriod::Days(10),
            Boundary::AtLeast
        )
        .0,
        utc(2026, 1, 15, 0, 0)
    );
    assert_eq!(
        deadline(
            &calendar,
            bucket,
            3,
            RetentionPeriod::Days(10),
            Boundary::AtMost
        )
        .0,
        utc(2026, 1, 11, 0, 0)
    );
}

#[test]
fn an_endless_keep_is_the_end_of_time_and_no_panic() {
    for keep in [
        RetentionPeriod::Hours(u32::MAX),
        RetentionPeriod::Days(u32::MAX),
        RetentionPeriod::Months(u32::MAX),
    ] {
        assert!(day(Tz::UTC, (2026, 1, 1), keep, Boundary::AtLeast) > utc(9999, 1, 1, 0, 0));
    }
}
