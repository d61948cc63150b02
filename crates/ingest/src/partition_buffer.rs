//! Messages of one topic partition, copied out of the Kafka client into one buffer, in the order of
//! their offsets.
//!
//! Keeps the parts of a dead letter (bytes, key, headers, time) until the record is processed. It
//! has no limit of its own: the lane decides how much it adds. Must never be read after the
//! partition was revoked.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, OwnedHeaders};

/// Messages of one partition that wait to be decoded.
#[derive(Debug, Default)]
pub struct PartitionBuffer {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    /// Headers by row; most messages have none.
    headers: Vec<(usize, OwnedHeaders)>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    offset: i64,
    timestamp: Option<i64>,
    payload: Option<Span>,
    key: Option<Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl PartitionBuffer {
    /// Appends a copy of one message.
    pub fn push(&mut self, message: &BorrowedMessage<'_>) {
        let payload = message.payload().map(|bytes| self.copy(bytes));
        let key = message.key().map(|bytes| self.copy(bytes));
        if let Some(headers) = message.headers() {
            self.headers.push((self.rows.len(), headers.detach()));
        }
        self.rows.push(Row {
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            payload,
            key,
        });
    }

    fn copy(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span {
            start,
            end: self.bytes.len(),
        }
    }

    /// Returns the number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the allocated memory, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.rows.capacity() * size_of::<Row>()
    }

    /// Returns the number of bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the value of a row; `None` for a tombstone.
    #[must_use]
    pub fn payload(&self, row: usize) -> Option<&[u8]> {
        self.rows[row]
            .payload
            .map(|span| &self.bytes[span.start..span.end])
    }

    /// Returns the key of a row.
    #[must_use]
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.rows[row]
            .key
            .map(|span| &self.bytes[span.start..span.end])
    }

    /// Returns the offset of a row.
    #[must_use]
    pub fn offset(&self, row: usize) -> i64 {
        self.rows[row].offset
    }

    /// Returns Kafka's timestamp of a row, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(&self, row: usize) -> Option<i64> {
        self.rows[row].timestamp
    }

    /// Returns the headers of a row.
    #[must_use]
    pub fn headers(&self, row: usize) -> Option<&OwnedHeaders> {
        self.headers
            .iter()
            .find(|(of, _)| *of == row)
            .map(|(_, headers)| headers)
    }

    /// Removes all messages. Keeps the memory for later messages, unless a burst made it much
    /// larger than `usual` bytes.
    pub fn clear(&mut self, usual: usize) {
        self.bytes.clear();
        self.rows.clear();
        self.headers.clear();
        if self.bytes.capacity() > usual.saturating_mul(2) {
            self.bytes.shrink_to(usual);
        }
    }
}
