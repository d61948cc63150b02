//! The bucket of each event of a batch, and the lateness of the event.
//!
//! The calendar is read once for each bucket of a batch, not for each record.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use crate::Calendar;
use ebbtide_base::ids::Bucket;
use ebbtide_base::record::Fault;

/// 1990-01-01T00:00:00Z in microseconds: no platform has older traffic, but many have clocks that
/// started at 0.
const EARLIEST: i64 = 631_152_000_000_000;

/// The bucket and lateness of the records in a span of event times.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpanBucket {
    /// The bucket of the earlier of event and arrival.
    pub(super) bucket: Bucket,
    /// The number of buckets from the earlier to the later of the two.
    pub(super) late: u32,
}

/// Finds the places of event times. Remembers the spans of time that it has found.
pub(super) struct BucketFinder<'a> {
    calendar: &'a Calendar,
    arrival: DateTime<Utc>,
    arrived_in: Bucket,
    /// The latest event time that is not a fault, in microseconds.
    latest: i64,
    /// The first microsecond of each span, the first after it, and the number of its place; sorted,
    /// without overlaps.
    spans: Vec<(i64, i64, u32)>,
    last: (i64, i64, u32),
    /// The places, by number.
    pub(super) places: Vec<SpanBucket>,
}

impl<'a> BucketFinder<'a> {
    /// Creates the buckets for records that arrive at `arrival`, up to `tolerance` before their
    /// event. `None` if `arrival` is outside the calendar.
    pub(super) fn new(
        calendar: &'a Calendar,
        arrival: DateTime<Utc>,
        tolerance: TimeDelta,
    ) -> Option<Self> {
        let arrived_in = calendar.bucket_of(arrival)?;
        let latest = arrival
            .checked_add_signed(tolerance)
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
            .timestamp_micros();
        let (spans, places) = (Vec::new(), Vec::new());
        Some(Self {
            calendar,
            arrival,
            arrived_in,
            latest,
            spans,
            last: (0, 0, 0),
            places,
        })
    }

    /// Returns the number of the place of an event at `micros` microseconds since
    /// 1970-01-01T00:00:00Z.
    pub(super) fn place(&mut self, micros: i64) -> Result<u32, Fault> {
        if (self.last.0..self.last.1).contains(&micros) {
            return Ok(self.last.2);
        }
        if micros < EARLIEST {
            return Err(Fault::AbsurdEventTime);
        }
        let at = Utc
            .timestamp_micros(micros)
            .single()
            .ok_or(Fault::AbsurdEventTime)?;
        if micros > self.latest {
            return Err(Fault::FutureEventTime);
        }
        let next = self.spans.partition_point(|span| span.0 <= micros);
        let known = next
            .checked_sub(1)
            .map(|before| self.spans[before])
            .filter(|span| micros < span.1);
        self.last = match known {
            Some(span) => span,
            None => {
                let span = self.meet(at)?;
                self.spans.insert(next, span);
                span
            }
        };
        Ok(self.last.2)
    }

    /// Returns the number of the place of an event whose clock time means an instant between
    /// `earliest` and `latest`: its bucket is that of `earliest`, and its lateness is that of
    /// `latest`.
    pub(super) fn place_between(&mut self, earliest: i64, latest: i64) -> Result<u32, Fault> {
        let number = self.place(earliest)?;
        let SpanBucket { bucket, late } = self.places[number as usize];
        let latest = Utc
            .timestamp_micros(latest.min(self.latest))
            .single()
            .ok_or(Fault::AbsurdEventTime)?;
        let until = self
            .calendar
            .bucket_of(latest)
            .ok_or(Fault::AbsurdEventTime)?;
        let late = late.max(self.calendar.distance(bucket, until));
        // The two rarely differ: in an hour of a day on which a clock was set.
        let known = self
            .places
            .iter()
            .position(|place| place.bucket == bucket && place.late == late);
        Ok(known.unwrap_or_else(|| {
            self.places.push(SpanBucket { bucket, late });
            self.places.len() - 1
        }) as u32)
    }

    fn meet(&mut self, at: DateTime<Utc>) -> Result<(i64, i64, u32), Fault> {
        let (bucket, span) = self.calendar.stretch(at).ok_or(Fault::AbsurdEventTime)?;
        let (arrived_in, number) = (self.arrived_in, self.places.len() as u32);
        // If the span contains the arrival too, both are in one bucket, and neither is late.
        self.places.push(if at <= self.arrival {
            SpanBucket {
                bucket,
                late: self.calendar.distance(bucket, arrived_in),
            }
        } else {
            SpanBucket {
                bucket: arrived_in,
                late: self.calendar.distance(arrived_in, bucket),
            }
        });
        // A time after the tolerance or before the earliest time is a fault, even in a valid
        // bucket.
        let start = span.start.timestamp_micros().max(EARLIEST);
        let end = span
            .end
            .timestamp_micros()
            .min(self.latest.saturating_add(1));
        Ok((start, end, number))
    }
}
