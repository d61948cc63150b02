//! Messages of one topic partition, copied out of the Kafka client into one buffer, in the order of
//! their offsets.
//!
//! Keeps the parts of a dead letter (bytes, key, headers, time) until the record is processed. The
//! frame of a value is read once, when it is copied. It has no limit of its own: the lane decides
//! how much it adds. Must never be read after the partition was revoked.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, OwnedHeaders};

use crate::producer_schemas::SchemaRef;
use ebbtide_base::record::Fault;
use ebbtide_policy::schema::{Frame, frame};

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
    /// The frame of the value, or the fault of a value without a frame.
    frame: Result<RowFrame, Fault>,
}

/// The schema that a value names, and the place of its body.
#[derive(Debug, Clone, Copy)]
struct RowFrame {
    schema: SchemaRef,
    body: Span,
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
        let frame = self.frame_of(payload);
        let key = message.key().map(|bytes| self.copy(bytes));
        if let Some(headers) = message.headers() {
            self.headers.push((self.rows.len(), headers.detach()));
        }
        self.rows.push(Row {
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            payload,
            key,
            frame,
        });
    }

    fn frame_of(&self, payload: Option<Span>) -> Result<RowFrame, Fault> {
        let value = payload.map(|span| &self.bytes[span.start..span.end]);
        let (schema, body) = match frame(value)? {
            Frame::Confluent { id, body } => (SchemaRef::Id(id), body),
            Frame::SingleObject { fingerprint, body } => {
                (SchemaRef::Fingerprint(fingerprint), body)
            }
        };
        // The body is the end of the value, which is the newest of the bytes.
        let end = self.bytes.len();
        let start = end - body.len();
        Ok(RowFrame {
            schema,
            body: Span { start, end },
        })
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

    /// Returns the schema that the value of a row names, and its body. Errors with the fault of a
    /// value without a frame.
    pub fn framed(&self, row: usize) -> Result<(SchemaRef, &[u8]), Fault> {
        let RowFrame { schema, body } = self.rows[row].frame?;
        Ok((schema, &self.bytes[body.start..body.end]))
    }

    /// Returns the length of the value of a row, in bytes; zero for a tombstone.
    #[must_use]
    pub fn payload_len(&self, row: usize) -> usize {
        self.rows[row]
            .payload
            .map_or(0, |span| span.end - span.start)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_is_the_schema_and_the_body_after_earlier_messages() {
        let mut buffer = PartitionBuffer::default();
        buffer.copy(b"earlier message");
        let mut read = |value: &[u8]| {
            let span = buffer.copy(value);
            let frame = buffer.frame_of(Some(span));
            buffer.copy(b"key");
            frame.map(|RowFrame { schema, body }| {
                (schema, buffer.bytes[body.start..body.end].to_vec())
            })
        };
        let confluent = (SchemaRef::Id(258), vec![9, 8]);
        assert_eq!(read(&[0, 0, 0, 1, 2, 9, 8]), Ok(confluent));
        let single = SchemaRef::Fingerprint(0x0102_0304_0506_0708);
        let value = [0xC3, 1, 8, 7, 6, 5, 4, 3, 2, 1, 42];
        assert_eq!(read(&value), Ok((single, vec![42])));
        assert_eq!(read(&value[..10]), Ok((single, Vec::new())));
        assert_eq!(read(&value[..9]), Err(Fault::Truncated));
        assert_eq!(read(&[]), Err(Fault::Empty));
        assert_eq!(read(b"{}"), Err(Fault::BadMagic));
    }

    #[test]
    fn value_that_is_absent_is_a_tombstone() {
        let buffer = PartitionBuffer::default();
        assert!(matches!(buffer.frame_of(None), Err(Fault::Tombstone)));
    }
}
