//! The instant of a notice that is given by its day.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use ebbtide_base::ids::{Bucket, BucketUnit};
use ebbtide_policy::{Boundary, Calendar, Policy, Trigger};

/// The reason why a text is not the instant of a notice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeDateError {
    /// It is not a time.
    #[error("--at: {0:?} is no date like 2026-11-24 and no instant like 2026-11-24T10:00:00Z")]
    When(String),
    /// A day does not say the hour, and the policy's rules need it.
    #[error(
        "{0} can be the whole day in a policy of hours: some rules keep at least so long and others at most; give the instant, like {0}T18:00:00Z"
    )]
    WholeDay(NaiveDate),
}

/// Returns the instant that `--at` means for a trigger at `now`. A date means its whole day in the
/// policy's zone: if buckets are hours, a withdrawal uses the last hour of the day (or now), so
/// that it concerns all of the day. The end of a contract uses the first hour for ceilings and the
/// last for minimums; a policy that has both requires the instant.
pub fn notice_date(
    policy: &Policy,
    text: &str,
    trigger: Trigger,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, NoticeDateError> {
    let Ok(day) = text.parse::<NaiveDate>() else {
        let at = DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc));
        return at.map_err(|_| NoticeDateError::When(text.to_owned()));
    };
    let calendar = Calendar::new(policy.zone, BucketUnit::Day);
    let start = calendar.start(Bucket::Day(day));
    let last = calendar.end(Bucket::Day(day)) - TimeDelta::seconds(1);
    if policy.bucket == BucketUnit::Day {
        return Ok(start);
    }
    let waiting = || policy.rules.iter().filter(|rule| rule.trigger == trigger);
    let minimum = waiting().any(|rule| rule.boundary == Boundary::AtLeast);
    let ceiling = waiting().any(|rule| rule.boundary == Boundary::AtMost);
    match trigger {
        Trigger::ContractEnd if minimum && ceiling => Err(NoticeDateError::WholeDay(day)),
        Trigger::ContractEnd => Ok(if minimum { last } else { start }),
        _ if start <= now => Ok(last.min(now)),
        _ => Ok(last),
    }
}
