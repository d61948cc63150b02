//! One dead letter, and the forms in which it can be sent: whole, or as headers that name the place
//! of the original.

use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use sha2::{Digest, Sha256};

use super::{
    BYTES, CODE, DIGEST, KEY_BYTES, OFFSET, OMITTED, PARTITION, REASON, REFUSED, TIMESTAMP, TOPIC,
};
use crate::decode::RejectedRow;
use crate::partition_buffer::PartitionBuffer;
use ebbtide_base::ids::TopicPartition;
use ebbtide_base::record::Fault;

/// The form in which a letter is sent next. A form that is refused because of the letter itself is
/// followed by the next form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LetterForm {
    /// With the record's value, key and headers.
    Whole,
    /// With headers only: reason, source, sizes and digest.
    HeaderOnly,
    /// To the quarantine under the root.
    Quarantined,
}

impl LetterForm {
    /// Returns the form that follows when this one is refused.
    #[must_use]
    pub fn next(self) -> LetterForm {
        match self {
            LetterForm::Whole => LetterForm::HeaderOnly,
            LetterForm::HeaderOnly | LetterForm::Quarantined => LetterForm::Quarantined,
        }
    }
}

/// One record that waits for its delivery to the dead-letter topic.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The partition that the record came from.
    pub source: TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// Its Kafka timestamp, in milliseconds since 1970.
    pub timestamp: Option<i64>,
    /// The fault of the record.
    pub fault: Fault,
    /// The fault in words.
    pub reason: String,
    /// Its value.
    pub payload: Option<Vec<u8>>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its own headers.
    pub headers: Option<OwnedHeaders>,
    /// The form in which it is sent next.
    pub form: LetterForm,
    /// The reason why the last form was refused, in the client's words.
    pub refused: Option<String>,
}

impl DeadLetter {
    /// Copies a rejected row of `buffer`, which was read from `source`, into a letter.
    #[must_use]
    pub fn of(buffer: &PartitionBuffer, source: &TopicPartition, rejected: &RejectedRow) -> Self {
        let RejectedRow { row, fault, reason } = rejected;
        let row = *row;
        Self {
            source: source.clone(),
            offset: buffer.offset(row),
            timestamp: buffer.timestamp(row),
            fault: *fault,
            reason: reason
                .as_ref()
                .map_or_else(|| fault.to_string(), |reason| format!("{fault}: {reason}")),
            payload: buffer.payload(row).map(<[u8]>::to_vec),
            key: buffer.key(row).map(<[u8]>::to_vec),
            headers: buffer.headers(row).cloned(),
            form: LetterForm::Whole,
            refused: None,
        }
    }

    /// Returns the approximate memory of the letter, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let headers = self.headers.iter().flat_map(Headers::iter);
        let headers: usize = headers
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len))
            .sum();
        512 + headers
            + self.payload.as_ref().map_or(0, Vec::len)
            + self.key.as_ref().map_or(0, Vec::len)
    }

    /// Returns the message key of a letter without its record: the partition and offset of the
    /// record. With a key, a compacted topic accepts the letter too.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", self.source, self.offset)
    }

    /// Creates the message for `topic`. `place` is [`DeadLetter::place`], which must live as long
    /// as the message.
    pub(super) fn message<'l>(
        &'l self,
        topic: &'l str,
        place: &'l str,
    ) -> FutureRecord<'l, [u8], [u8]> {
        let mut record = FutureRecord::to(topic);
        if self.form == LetterForm::Whole {
            record.payload = self.payload.as_deref();
            record.key = self.key.as_deref();
            return record.headers(self.describe(self.headers.clone().unwrap_or_default()));
        }
        record.key = Some(place.as_bytes());
        record.headers(self.describe_omitted(self.describe(OwnedHeaders::new())))
    }

    /// Adds the reason and the source.
    fn describe(&self, mut headers: OwnedHeaders) -> OwnedHeaders {
        headers = text(headers, CODE, self.fault.code());
        headers = text(headers, REASON, &self.reason);
        headers = text(headers, TOPIC, self.source.topic.as_str());
        headers = text(headers, PARTITION, &self.source.partition.to_string());
        headers = text(headers, OFFSET, &self.offset.to_string());
        match self.timestamp {
            Some(timestamp) => text(headers, TIMESTAMP, &timestamp.to_string()),
            None => headers,
        }
    }

    /// Adds the headers that describe the omitted record.
    fn describe_omitted(&self, mut headers: OwnedHeaders) -> OwnedHeaders {
        headers = text(headers, OMITTED, "value,key,headers");
        if let Some(why) = &self.refused {
            headers = text(headers, REFUSED, why);
        }
        if let Some(value) = &self.payload {
            headers = text(headers, BYTES, &value.len().to_string());
            headers = text(headers, DIGEST, &digest(value));
        }
        match &self.key {
            Some(key) => text(headers, KEY_BYTES, &key.len().to_string()),
            None => headers,
        }
    }
}

/// Returns the SHA-256 of a value, in hexadecimal, as `sha256sum` prints it.
pub(super) fn digest(value: &[u8]) -> String {
    Sha256::digest(value)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn text(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header {
        key,
        value: Some(value),
    })
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Returns partition 0 of a topic.
    pub fn partition(topic: &str) -> TopicPartition {
        TopicPartition {
            topic: ebbtide_base::ids::Topic::new(topic).unwrap(),
            partition: ebbtide_base::ids::Partition(0),
        }
    }

    /// Returns a letter of `value` from `traffic.sms/0` at `offset`.
    pub fn letter(offset: i64, value: &[u8]) -> DeadLetter {
        DeadLetter {
            source: partition("traffic.sms"),
            offset,
            timestamp: Some(1_000),
            fault: Fault::BadMagic,
            reason: Fault::BadMagic.to_string(),
            payload: Some(value.to_vec()),
            key: Some(b"a key".to_vec()),
            headers: Some(text(OwnedHeaders::new(), "trace", "abc")),
            form: LetterForm::Whole,
            refused: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::letter;
    use super::*;

    fn headers(letter: &DeadLetter) -> Vec<(String, String)> {
        let place = letter.place();
        let record = letter.message("dead", &place);
        let headers = record.headers.unwrap();
        let text =
            |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        headers
            .iter()
            .map(|header| (header.key.to_owned(), text(header.value)))
            .collect()
    }

    #[test]
    fn whole_letter_keeps_the_record_and_adds_reason_and_source() {
        let letter = letter(7, b"value");
        let place = letter.place();
        let record = letter.message("dead", &place);
        assert_eq!(
            (record.payload, record.key),
            (Some(&b"value"[..]), Some(&b"a key"[..]))
        );
        let names: Vec<String> = headers(&letter).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["trace", CODE, REASON, TOPIC, PARTITION, OFFSET, TIMESTAMP]
        );
    }

    #[test]
    fn header_only_letter_holds_no_byte_of_the_record() {
        let mut letter = letter(7, b"value");
        letter.form = LetterForm::HeaderOnly;
        letter.refused = Some("too large".to_owned());
        let place = letter.place();
        let record = letter.message("dead", &place);
        assert_eq!(
            (record.payload, record.key),
            (None, Some(&b"traffic.sms/0/7"[..]))
        );
        let headers = headers(&letter);
        let value = |name: &str| {
            headers
                .iter()
                .find(|(of, _)| of == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(value("trace"), None);
        assert_eq!(
            (value(OFFSET), value(BYTES), value(KEY_BYTES)),
            (Some("7"), Some("5"), Some("5"))
        );
        // printf value | sha256sum
        assert_eq!(
            value(DIGEST),
            Some("cd42404d52ad55ccfa9aca4adc828aa5800ad9d385a0671fbcbf724118320619")
        );
        assert_eq!(value(REFUSED), Some("too large"));
    }

    #[test]
    fn forms_end_in_the_quarantine() {
        assert_eq!(LetterForm::Whole.next(), LetterForm::HeaderOnly);
        assert_eq!(LetterForm::HeaderOnly.next(), LetterForm::Quarantined);
        assert_eq!(LetterForm::Quarantined.next(), LetterForm::Quarantined);
    }

    #[test]
    fn memory_counts_the_records_own_headers() {
        let plain = letter(1, b"value").memory();
        let mut heavy = letter(1, b"value");
        heavy.headers = Some(text(OwnedHeaders::new(), "trace", &"x".repeat(100_000)));
        assert!(heavy.memory() >= plain + 99_000);
    }
}
