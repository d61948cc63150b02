//! Messages of one topic partition, copied out of the Kafka client into one buffer, in the order of their offsets.
//!
//! Keeps what a dead letter must carry (bytes, key, headers, time) until the record is judged. Holds no more than its
//! lane feeds it; must never be read after the partition was revoked.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, OwnedHeaders};

/// Messages of one partition that wait to be decoded.
#[derive(Debug, Default)]
pub struct Intake {
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

impl Intake {
    /// Copies one message behind those that are here.
    pub fn push(&mut self, message: &BorrowedMessage<'_>) {
        let payload = message.payload().map(|bytes| self.copy(bytes));
        let key = message.key().map(|bytes| self.copy(bytes));
        if let Some(headers) = message.headers() {
            self.headers.push((self.rows.len(), headers.detach()));
        }
        self.rows.push(Row { offset: message.offset(), timestamp: message.timestamp().to_millis(), payload, key });
    }

    fn copy(&mut self, bytes: &[u8]) -> Span {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span { start, end: self.bytes.len() }
    }

    /// How many messages are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no message is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How much memory it has taken, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.rows.capacity() * size_of::<Row>()
    }

    /// How many bytes of keys and values are here.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The value of a row; `None` for a tombstone.
    #[must_use]
    pub fn payload(&self, row: usize) -> Option<&[u8]> {
        self.rows[row].payload.map(|span| &self.bytes[span.start..span.end])
    }

    /// The key of a row.
    #[must_use]
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.rows[row].key.map(|span| &self.bytes[span.start..span.end])
    }

    /// The offset of a row.
    #[must_use]
    pub fn offset(&self, row: usize) -> i64 {
        self.rows[row].offset
    }

    /// Kafka's timestamp of a row, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(&self, row: usize) -> Option<i64> {
        self.rows[row].timestamp
    }

    /// The headers of a row.
    #[must_use]
    pub fn headers(&self, row: usize) -> Option<&OwnedHeaders> {
        self.headers.iter().find(|(of, _)| *of == row).map(|(_, headers)| headers)
    }

    /// Forgets all messages and keeps the memory for the next, unless a burst made it much larger than `usual` bytes.
    pub fn clear(&mut self, usual: usize) {
        self.bytes.clear();
        self.rows.clear();
        self.headers.clear();
        if self.bytes.capacity() > usual.saturating_mul(2) {
            self.bytes.shrink_to(usual);
        }
    }
}
