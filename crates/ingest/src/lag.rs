//! The lag of a table in one partition, from the durably committed offset to Kafka's end. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use ebbtide_base::ids::Offset;

/// The time after which an end that the brokers do not confirm counts as unknown.
const END_LIFETIME: Duration = Duration::from_secs(30);

/// The progress of a lane in one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LanePosition {
    /// Everything readable below this offset is committed.
    pub done: Offset,
    /// The offset after the last record that was read, committed or not.
    pub read: Offset,
    /// The write time of the oldest record that was read and is not committed, in milliseconds
    /// since 1970.
    pub oldest: Option<i64>,
}

/// The lag of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PartitionLag {
    progress: LanePosition,
    /// The offset after the last record that may be read; `None` until the brokers have reported
    /// it.
    end: Option<Offset>,
    /// The last time at which the brokers reported the end, or at which it was first wanted, on the
    /// monotonic clock.
    end_known: Option<Duration>,
    /// The time at which an uncommitted record was first seen, in milliseconds since 1970.
    lagging_since: Option<i64>,
}

impl PartitionLag {
    /// Takes over the progress of the lane. While nothing more was committed, the oldest record
    /// remains the oldest.
    pub fn advance(&mut self, now: LanePosition) {
        let same = self.progress.done == now.done;
        let oldest = if same {
            self.progress.oldest.or(now.oldest)
        } else {
            now.oldest
        };
        if !same {
            self.lagging_since = None;
        }
        self.progress = LanePosition { oldest, ..now };
    }

    /// Takes over the end that the brokers reported at `at`, on the monotonic clock.
    pub fn know_end(&mut self, end: Offset, at: Duration) {
        (self.end, self.end_known) = (Some(end), Some(at));
    }

    /// Returns true if the brokers have not reported the end for so long that it counts as unknown
    /// at `now`, on the monotonic clock.
    pub fn has_lost_its_end(&mut self, now: Duration) -> bool {
        now.saturating_sub(*self.end_known.get_or_insert(now)) > END_LIFETIME
    }

    /// Records whether a record waits at `now`.
    pub fn look(&mut self, now: DateTime<Utc>) {
        self.lagging_since = self
            .is_lagging()
            .then(|| self.lagging_since.unwrap_or(now.timestamp_millis()));
        if self.lagging_since.is_none() {
            self.progress.oldest = None;
        }
    }

    /// Returns the number of offsets that are not committed yet; `None` while the end is unknown.
    #[must_use]
    pub fn records(&self) -> Option<i64> {
        // A record that was read exists, even if the brokers have not reported the new end yet.
        let end = self.end?.max(self.progress.read);
        Some((end.0 - self.progress.done.0).max(0))
    }

    /// Returns true if Kafka has records that are not committed, as far as its end was reported.
    #[must_use]
    pub fn is_lagging(&self) -> bool {
        // A record that was read counts before the brokers report the new end.
        self.progress.oldest.is_some() || self.records().is_some_and(|records| records > 0)
    }

    /// Returns the age of the oldest record that is not committed, in whole seconds; zero if all is
    /// committed.
    #[must_use]
    pub fn seconds(&self, now: DateTime<Utc>) -> i64 {
        let since = self.progress.oldest.or(self.lagging_since);
        since.map_or(0, |since| ((now.timestamp_millis() - since) / 1000).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(seconds * 1000).unwrap()
    }

    fn progress(done: i64, oldest: Option<i64>) -> LanePosition {
        LanePosition {
            done: Offset(done),
            read: Offset(done),
            oldest: oldest.map(|seconds| seconds * 1000),
        }
    }

    #[test]
    fn lag_grows_while_nothing_is_committed_and_returns_to_zero() {
        let mut lag = PartitionLag {
            end: Some(Offset(10)),
            ..PartitionLag::default()
        };
        lag.advance(progress(10, None));
        lag.look(at(100));
        assert_eq!((lag.records(), lag.seconds(at(100))), (Some(0), 0));
        // Records arrive; the lane has not read them.
        lag.end = Some(Offset(14));
        lag.look(at(101));
        assert_eq!((lag.records(), lag.seconds(at(105))), (Some(4), 4));
        // The lane reads them, and waits: the age is that of the record.
        lag.advance(progress(10, Some(99)));
        for second in 106..200 {
            lag.look(at(second));
            assert_eq!(lag.seconds(at(second)), second - 99);
        }
        // It moves them into a commit that waits for the store: they are still the oldest.
        lag.advance(progress(10, None));
        lag.look(at(200));
        assert_eq!(lag.seconds(at(200)), 101);
        lag.advance(progress(14, None));
        lag.look(at(201));
        assert_eq!((lag.records(), lag.seconds(at(201))), (Some(0), 0));
    }

    #[test]
    fn records_after_a_commit_have_their_own_age() {
        let mut lag = PartitionLag {
            end: Some(Offset(10)),
            ..PartitionLag::default()
        };
        lag.advance(progress(5, Some(10)));
        lag.look(at(50));
        lag.advance(progress(8, Some(45)));
        lag.look(at(51));
        assert_eq!((lag.records(), lag.seconds(at(51))), (Some(2), 6));
    }

    #[test]
    fn records_that_were_read_count_before_the_brokers_report_the_new_end() {
        let mut lag = PartitionLag {
            end: Some(Offset(10)),
            ..PartitionLag::default()
        };
        lag.advance(LanePosition {
            read: Offset(15),
            ..progress(10, Some(99))
        });
        lag.look(at(100));
        assert_eq!((lag.records(), lag.seconds(at(100))), (Some(5), 1));
    }

    #[test]
    fn end_that_is_not_confirmed_for_half_a_minute_is_unknown() {
        let at = Duration::from_secs;
        for first in [None, Some(Offset(10))] {
            let mut lag = PartitionLag {
                end: first,
                ..PartitionLag::default()
            };
            for (second, lost) in [(100, false), (130, false), (131, true), (900, true)] {
                assert_eq!(lag.has_lost_its_end(at(second)), lost, "{second}");
            }
            lag.know_end(Offset(12), at(901));
            for (second, lost) in [(901, false), (931, false), (932, true)] {
                assert_eq!(lag.has_lost_its_end(at(second)), lost, "{second}");
            }
        }
    }

    #[test]
    fn an_unknown_end_and_a_clock_before_kafkas_give_no_false_number() {
        let mut lag = PartitionLag::default();
        lag.advance(progress(3, None));
        lag.look(at(9));
        assert_eq!((lag.records(), lag.seconds(at(9))), (None, 0));
        lag.end = Some(Offset(4));
        lag.advance(progress(3, Some(20)));
        lag.look(at(9));
        assert_eq!(lag.seconds(at(9)), 0);
        // The lag is zero, not negative, if the table is ahead of Kafka, as after Kafka lost
        // records.
        lag.end = Some(Offset(1));
        lag.advance(progress(3, None));
        assert_eq!(lag.records(), Some(0));
    }
}
