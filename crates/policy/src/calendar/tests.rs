use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::Calendar;
use ebbtide_base::ids::{Bucket, BucketUnit};

const ZONES: [Tz; 8] = [
    Tz::Europe__Amsterdam,
    Tz::America__Los_Angeles,
    Tz::America__St_Johns,
    Tz::Asia__Kolkata,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::Antarctica__Casey,
    Tz::Asia__Gaza,
];

fn utc(year: i32, month: u32, day: u32, hour: u32, minute: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, month, day, hour, minute, 0)
        .unwrap()
}

#[test]
fn the_hour_that_autumn_repeats_is_two_buckets() {
    let hours = Calendar::new(Tz::Europe__Amsterdam, BucketUnit::Hour);
    let first = hours.bucket_of(utc(2026, 10, 25, 0, 59)).unwrap();
    let second = hours.bucket_of(utc(2026, 10, 25, 1, 0)).unwrap();
    assert_eq!(first, Bucket::Hour(utc(2026, 10, 25, 0, 0)));
    assert_eq!(second, Bucket::Hour(utc(2026, 10, 25, 1, 0)));
    assert_eq!(hours.distance(first, second), 1);
}

#[test]
fn a_half_hour_shift_makes_a_bucket_of_half_an_hour() {
    let hours = Calendar::new(Tz::Australia__Lord_Howe, BucketUnit::Hour);
    // On 5 April 2026 at 02:00 the clock goes back to 01:30.
    let again = hours.bucket_of(utc(2026, 4, 4, 15, 10)).unwrap();
    assert_eq!(again, Bucket::Hour(utc(2026, 4, 4, 15, 0)));
    assert_eq!(hours.end(again), utc(2026, 4, 4, 15, 30));
}

#[test]
fn a_day_that_starts_with_a_jump_starts_after_it() {
    let days = Calendar::new(Tz::America__Sao_Paulo, BucketUnit::Day);
    let day = Bucket::Day(NaiveDate::from_ymd_opt(2018, 11, 4).unwrap());
    assert_eq!(days.start(day), utc(2018, 11, 4, 3, 0));
    assert_eq!(days.end(day), utc(2018, 11, 5, 2, 0));
}

#[test]
fn a_skipped_day_is_no_time_at_all() {
    let days = Calendar::new(Tz::Pacific__Apia, BucketUnit::Day);
    let skipped = Bucket::Day(NaiveDate::from_ymd_opt(2011, 12, 30).unwrap());
    assert_eq!(days.start(skipped), utc(2011, 12, 30, 10, 0));
    assert_eq!(days.end(skipped), utc(2011, 12, 30, 10, 0));
    assert_eq!(
        days.bucket_of(utc(2011, 12, 30, 10, 0)),
        NaiveDate::from_ymd_opt(2011, 12, 31).map(Bucket::Day)
    );
}

#[test]
fn interleaved_days_are_distinguished_second_by_second() {
    // In 2006 Newfoundland set the clock back from 00:01 to 23:01.
    let days = Calendar::new(Tz::America__St_Johns, BucketUnit::Day);
    let (saturday, sunday) = (
        NaiveDate::from_ymd_opt(2006, 10, 28).unwrap(),
        NaiveDate::from_ymd_opt(2006, 10, 29).unwrap(),
    );
    assert_eq!(
        days.bucket_of(utc(2006, 10, 29, 2, 30)),
        Some(Bucket::Day(sunday))
    );
    assert_eq!(
        days.bucket_of(utc(2006, 10, 29, 2, 31)),
        Some(Bucket::Day(saturday))
    );
    assert!(days.end(Bucket::Day(saturday)) > days.start(Bucket::Day(sunday)));
    let (bucket, span) = days.stretch(utc(2006, 10, 29, 2, 30)).unwrap();
    assert_eq!(
        (bucket, span.end - span.start),
        (Bucket::Day(sunday), TimeDelta::seconds(1))
    );
}

#[test]
fn times_outside_the_calendar_have_no_bucket() {
    let days = Calendar::new(Tz::UTC, BucketUnit::Day);
    assert_eq!(days.bucket_of(DateTime::<Utc>::MAX_UTC), None);
    assert_eq!(days.bucket_of(DateTime::<Utc>::MIN_UTC), None);
    assert_eq!(days.bucket_of(utc(9999, 1, 1, 0, 0)), None);
    assert!(days.bucket_of(utc(9998, 12, 31, 23, 59)).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn instant_is_within_its_bucket_and_its_stretch_is_of_that_bucket(
        zone in proptest::sample::select(&ZONES[..]), hour in any::<bool>(),
        at in 700_000_000_000_i64..3_000_000_000_000, part in 0.0..1.0_f64,
    ) {
        let calendar = Calendar::new(zone, if hour { BucketUnit::Hour } else { BucketUnit::Day });
        let at = DateTime::from_timestamp_millis(at).unwrap();
        let (bucket, span) = calendar.stretch(at).unwrap();
        prop_assert!(span.contains(&at));
        prop_assert!(calendar.start(bucket) <= span.start && span.end <= calendar.end(bucket));
        let within = span.start + (span.end - span.start) * (part * 1000.0) as i32 / 1000;
        prop_assert_eq!(calendar.bucket_of(within), Some(bucket));
        prop_assert_eq!(calendar.bucket_of(span.end - TimeDelta::microseconds(1)), Some(bucket));
    }

    #[test]
    fn distance_and_plus_are_inverse_and_count_every_hour(
        zone in proptest::sample::select(&ZONES[..]), at in 11_600_000_i64..50_000_000, steps in 0_u32..3000,
    ) {
        let calendar = Calendar::new(zone, BucketUnit::Hour);
        let from = calendar.bucket_of(DateTime::from_timestamp(at * 60, 0).unwrap()).unwrap();
        let mut walked = from;
        for _ in 0..steps {
            walked = calendar.bucket_of(calendar.end(walked)).unwrap();
        }
        prop_assert_eq!(calendar.plus(from, steps), walked);
        prop_assert_eq!(calendar.distance(from, walked), steps);
        prop_assert_eq!(calendar.distance(walked, from), 0);
        if let Bucket::Hour(start) = walked {
            prop_assert_eq!(calendar.bucket_of(start), Some(walked));
        }
    }
}
