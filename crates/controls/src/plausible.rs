//! The plausible dates of notices, and the number of records that one may make due immediately.
//! Pure.
//!
//! An implausible date is nearly always how a system writes that it has no date, and deletion by
//! such a date cannot be undone.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};

use ebbtide_config::NoticeLimits;
use ebbtide_policy::Trigger;

/// Dates that systems write for a missing date or after an overflow: year, month, day.
const SENTINELS: [(i32, u32, u32); 12] = [
    (1, 1, 1),
    (1582, 10, 15),
    (1753, 1, 1),
    (1899, 12, 30),
    (1899, 12, 31),
    (1900, 1, 1),
    (1901, 12, 13),
    (1970, 1, 1),
    (2038, 1, 19),
    (2262, 4, 11),
    (2999, 12, 31),
    (9999, 12, 31),
];

/// The maximum offset of a time zone: the time by which a date may differ if it was written in
/// another zone.
const ZONES: TimeDelta = TimeDelta::hours(14);

/// The reason why the date of a notice is implausible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImplausibleDate {
    /// The date is one that systems write for a missing date.
    Sentinel(NaiveDate),
    /// The date is before the earliest plausible one.
    Early {
        /// The date of the notice.
        at: DateTime<Utc>,
        /// `notices.earliest`.
        earliest: NaiveDate,
    },
    /// The date is too far in the future.
    Late {
        /// The date of the notice.
        at: DateTime<Utc>,
        /// The last instant that is accepted.
        latest: DateTime<Utc>,
    },
}

impl fmt::Display for ImplausibleDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImplausibleDate::Sentinel(day) if day.year() > 2200 => write!(
                f,
                "{day} is what systems write for \"no end\": what waits for the end of a contract is open without a notice"
            ),
            ImplausibleDate::Sentinel(day) => {
                write!(f, "{day} is what systems write where they have no date")
            }
            ImplausibleDate::Early { at, earliest } => {
                write!(
                    f,
                    "{} is before {earliest} (notices.earliest)",
                    at.format("%Y-%m-%dT%H:%M:%SZ")
                )
            }
            ImplausibleDate::Late { at, latest } => write!(
                f,
                "{} is after {}, the last that is accepted (notices.contract_ahead); without a notice the contract's \
                 records stay open",
                at.format("%Y-%m-%dT%H:%M:%SZ"),
                latest.format("%Y-%m-%dT%H:%M:%SZ")
            ),
        }
    }
}

/// Refuses a date of a trigger that is not plausible at `now`.
pub fn screen_date(
    trigger: Trigger,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
    limits: &NoticeLimits,
) -> Result<(), ImplausibleDate> {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    for (year, month, day) in SENTINELS {
        let Some(day) = NaiveDate::from_ymd_opt(year, month, day) else {
            continue;
        };
        let from = midnight(day)
            .checked_sub_signed(ZONES)
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        let to = midnight(day)
            .checked_add_signed(TimeDelta::hours(24) + ZONES)
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        if (from..to).contains(&at) {
            return Err(ImplausibleDate::Sentinel(day));
        }
    }
    // Before this instant, the earliest day has begun in no zone.
    if at < midnight(limits.earliest) - ZONES {
        return Err(ImplausibleDate::Early {
            at,
            earliest: limits.earliest,
        });
    }
    let ahead = TimeDelta::from_std(limits.contract_ahead).unwrap_or(TimeDelta::MAX);
    let latest = now
        .checked_add_signed(ahead)
        .unwrap_or(DateTime::<Utc>::MAX_UTC);
    if trigger == Trigger::ContractEnd && at > latest {
        return Err(ImplausibleDate::Late { at, latest });
    }
    Ok(())
}

/// Returns the maximum number of a table's `records` that notices may make due immediately.
#[must_use]
pub fn most_without_confirmation(records: u64, limits: &NoticeLimits) -> u64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count need not be exact"
    )]
    let share = (records as f64 * limits.max_share) as u64;
    if limits.max_share >= 1.0 {
        u64::MAX
    } else {
        share.max(limits.max_share_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn screened(text: &str, limits: &NoticeLimits) -> Result<(), ImplausibleDate> {
        screen_date(
            Trigger::ContractEnd,
            at(text),
            at("2026-11-30T12:00:00Z"),
            limits,
        )
    }

    #[test]
    fn dates_that_systems_write_for_none_are_never_plausible() {
        let limits = NoticeLimits {
            earliest: NaiveDate::from_ymd_opt(1, 1, 1).unwrap(),
            contract_ahead: std::time::Duration::from_secs(u64::MAX / 4),
            ..NoticeLimits::default()
        };
        for text in [
            "0001-01-01T00:00:00Z",
            "0000-12-31T23:00:00Z",
            "1753-01-01T00:00:00Z",
            "1899-12-30T00:00:00Z",
            "1900-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:00:00Z",
            "1970-01-01T00:00:00+14:00",
            "1969-12-31T23:59:59Z",
            "2038-01-19T03:14:07Z",
            "9999-12-31T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "9999-12-30T23:00:00Z",
        ] {
            assert!(
                matches!(screened(text, &limits), Err(ImplausibleDate::Sentinel(_))),
                "{text}"
            );
        }
        for text in [
            "1970-02-01T00:00:00Z",
            "1999-12-31T00:00:00Z",
            "2100-01-01T00:00:00Z",
        ] {
            assert_eq!(screened(text, &limits), Ok(()), "{text}");
        }
    }

    #[test]
    fn dates_too_early_and_too_late_are_refused_and_those_between_are_not() {
        let limits = NoticeLimits::default();
        for text in [
            "1999-12-31T09:00:00Z",
            "1980-01-06T00:00:00Z",
            "1601-01-01T00:00:00Z",
        ] {
            assert!(
                matches!(screened(text, &limits), Err(ImplausibleDate::Early { .. })),
                "{text}"
            );
        }
        for text in [
            "2037-01-01T00:00:00Z",
            "2099-12-31T00:00:00Z",
            "9999-11-01T00:00:00Z",
        ] {
            assert!(
                matches!(screened(text, &limits), Err(ImplausibleDate::Late { .. })),
                "{text}"
            );
        }
        for text in [
            "1999-12-31T23:00:00Z",
            "2001-05-31T00:00:00Z",
            "2026-11-30T00:00:00Z",
            "2031-12-31T00:00:00Z",
        ] {
            assert_eq!(screened(text, &limits), Ok(()), "{text}");
        }
    }

    #[test]
    fn few_records_and_small_shares_pass_without_confirmation() {
        let limits = NoticeLimits::default();
        assert_eq!(
            [0, 1_000, 5_000, 10_000].map(|records| most_without_confirmation(records, &limits)),
            [1_000, 1_000, 1_000, 2_000]
        );
        let all = NoticeLimits {
            max_share: 1.0,
            ..limits
        };
        assert_eq!(most_without_confirmation(7, &all), u64::MAX);
        let none = NoticeLimits {
            max_share: 0.0,
            max_share_from: 0,
            ..limits
        };
        assert_eq!(most_without_confirmation(7_000_000, &none), 0);
    }
}
