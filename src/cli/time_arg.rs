//! Dates and instants as they are written on a command line.
//!
//! A date means the whole of its day in the policy's zone, so that no part of the day is left out.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use ebbtide_base::ids::{Bucket, BucketUnit};
use ebbtide_controls::TimeRange;
use ebbtide_policy::{Calendar, Policy};

/// A text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {text:?} is no date like 2026-11-24 and no instant like 2026-11-24T10:00:00Z")]
pub(super) struct ParseTimeError {
    what: &'static str,
    text: String,
}

/// A time as it was written.
pub(super) enum TimeArg {
    /// A day of the policy's zone.
    Day(NaiveDate),
    /// An instant.
    At(DateTime<Utc>),
}

impl TimeArg {
    /// Reads `text`, given for the option `what`.
    pub(super) fn parse(what: &'static str, text: &str) -> Result<TimeArg, ParseTimeError> {
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Ok(TimeArg::Day(day));
        }
        let at = DateTime::parse_from_rfc3339(text);
        at.map(|at| TimeArg::At(at.with_timezone(&Utc)))
            .map_err(|_| ParseTimeError {
                what,
                text: text.to_owned(),
            })
    }

    /// Returns its first instant.
    pub(super) fn start(&self, policy: &Policy) -> DateTime<Utc> {
        match self {
            TimeArg::Day(day) => calendar(policy).start(Bucket::Day(*day)),
            TimeArg::At(at) => *at,
        }
    }

    /// Returns the first instant after a day; an instant itself.
    pub(super) fn end(&self, policy: &Policy) -> DateTime<Utc> {
        match self {
            TimeArg::Day(day) => calendar(policy).end(Bucket::Day(*day)),
            TimeArg::At(at) => *at,
        }
    }
}

/// Returns the range between `--from` and `--to`; `None` if neither is given.
pub(super) fn time_range(
    from: Option<&str>,
    to: Option<&str>,
    policy: &Policy,
) -> Result<Option<TimeRange>, ParseTimeError> {
    let from = from
        .map(|text| TimeArg::parse("--from", text))
        .transpose()?;
    let to = to.map(|text| TimeArg::parse("--to", text)).transpose()?;
    Ok((from.is_some() || to.is_some()).then(|| TimeRange {
        from: from.map(|from| from.start(policy)),
        to: to.map(|to| to.end(policy)),
    }))
}

/// Formats an instant as every command does, in UTC, followed by the time in the policy's zone.
pub(super) fn utc_and_local(at: DateTime<Utc>, policy: &Policy) -> String {
    let utc = instant(at);
    match policy.zone {
        Tz::UTC => utc,
        zone => format!(
            "{utc} ({} {zone})",
            at.with_timezone(&zone).format("%Y-%m-%d %H:%M")
        ),
    }
}

/// Formats an instant in UTC, to the second.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn calendar(policy: &Policy) -> Calendar {
    Calendar::new(policy.zone, BucketUnit::Day)
}
