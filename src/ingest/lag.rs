//! How far the tables are behind Kafka, counted from what is durably committed. Pure.

use chrono::{DateTime, Utc};

use crate::ids::Offset;

/// Where one partition stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// The next offset that its table wants.
    pub committed: Option<Offset>,
    /// The offset that its next record will have.
    pub end: Option<Offset>,
    /// When the oldest record came that is not committed, as far as is known: Kafka's time of it if it was read, else
    /// when it was first seen that there is one; in milliseconds since 1970.
    pub oldest: Option<i64>,
}

impl Standing {
    /// How many offsets are not committed yet; `None` while the end is unknown.
    #[must_use]
    pub fn records(&self) -> Option<i64> {
        let committed = self.committed.map_or(0, |offset| offset.0);
        Some((self.end?.0 - committed).max(0))
    }

    /// Whether Kafka has records that are not committed.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.records().is_some_and(|records| records > 0)
    }

    /// How old the oldest record is that is not committed, in whole seconds; zero where all is committed.
    #[must_use]
    pub fn seconds(&self, now: DateTime<Utc>) -> i64 {
        self.oldest.map_or(0, |oldest| ((now.timestamp_millis() - oldest) / 1000).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_counted_from_what_is_committed() {
        let now = DateTime::from_timestamp_millis(10_000).unwrap();
        let standing = Standing { committed: Some(Offset(5)), end: Some(Offset(9)), oldest: Some(4_000) };
        assert_eq!((standing.records(), standing.seconds(now)), (Some(4), 6));
        let done = Standing { committed: Some(Offset(9)), end: Some(Offset(9)), oldest: None };
        assert_eq!((done.records(), done.seconds(now), done.is_behind()), (Some(0), 0, false));
        assert_eq!(Standing { end: None, ..done }.records(), None);
    }

    #[test]
    fn a_clock_behind_kafka_gives_no_negative_lag() {
        let now = DateTime::from_timestamp_millis(1_000).unwrap();
        let standing = Standing { committed: None, end: Some(Offset(1)), oldest: Some(4_000) };
        assert_eq!(standing.seconds(now), 0);
    }
}
