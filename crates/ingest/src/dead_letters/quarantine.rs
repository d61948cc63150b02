//! Format and expiry of a quarantine file, which contains letters that the topic refuses in every
//! form.
//!
//! Each letter is one line of JSON with its reason, source and sizes; then, without separators, the
//! bytes of its key, its value and its headers' values, and a line end. The bytes are unchanged, so
//! that a search of the root finds a value in them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rdkafka::message::Headers;
use serde_json::json;

use super::letter::{DeadLetter, digest};
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::Policy;
use ebbtide_table::{Quarantine, StoreError};

/// The folder, and the metrics' `product`, of letters that do not belong to a product: messages of
/// the notice topics.
pub const NOTICES: &str = "_notices";

/// The retention of letters in the quarantine.
#[derive(Debug, Clone)]
pub struct QuarantineTerms {
    /// The configured time, from the moment at which a letter is written.
    pub retention: Duration,
    /// The shortest maximum that the policy sets for each product, from the record's Kafka
    /// timestamp.
    pub maxima: BTreeMap<ProductKey, Duration>,
    /// The shortest of all products.
    pub shortest: Option<Duration>,
}

impl QuarantineTerms {
    /// Reads the maxima of `policy`.
    #[must_use]
    pub fn new(retention: Duration, policy: &Policy) -> Self {
        let maximum = |key: &ProductKey| {
            let ceiling = crate::preflight::shortest_ceiling(policy, Some(key))?;
            Some((key.clone(), ceiling))
        };
        Self {
            retention,
            maxima: policy.products.keys().filter_map(maximum).collect(),
            shortest: crate::preflight::shortest_ceiling(policy, None),
        }
    }

    /// Returns the time at which a letter that is written at `now` must be deleted, rounded down to
    /// a whole hour if that is still ahead. `None` if the bytes of its record may not be kept at
    /// all, since its maximum has passed.
    #[must_use]
    pub fn expiry(
        &self,
        product: Option<&ProductKey>,
        timestamp: Option<i64>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let maximum = product.map_or(self.shortest, |product| self.maxima.get(product).copied());
        let read = timestamp
            .and_then(DateTime::from_timestamp_millis)
            .unwrap_or(now)
            .min(now);
        let by_policy = maximum.map_or(DateTime::<Utc>::MAX_UTC, |maximum| after(read, maximum));
        let expires = by_policy.min(after(now, self.retention));
        let hour = expires
            .with_minute(0)
            .and_then(|time| time.with_second(0))
            .and_then(|time| time.with_nanosecond(0));
        [hour, Some(expires)]
            .into_iter()
            .flatten()
            .find(|expires| *expires > now)
    }
}

fn after(time: DateTime<Utc>, length: Duration) -> DateTime<Utc> {
    let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
    time.checked_add_signed(length)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Writes `letters` to the quarantine, one file for each time at which they expire.
///
/// # Errors
/// If a file cannot be written. Files that were written before it remain; their letters are written
/// again.
pub async fn write(
    quarantine: &Quarantine,
    terms: &QuarantineTerms,
    product: Option<&ProductKey>,
    letters: &[DeadLetter],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut files: BTreeMap<DateTime<Utc>, Vec<u8>> = BTreeMap::new();
    for letter in letters {
        let expires = terms.expiry(product, letter.timestamp, now);
        let file = files
            .entry(expires.unwrap_or_else(|| after(now, terms.retention)))
            .or_default();
        append(file, letter, expires.is_some(), now);
    }
    for (expires, content) in files {
        quarantine
            .put(
                product.map_or(NOTICES, ProductKey::as_str),
                expires,
                content,
            )
            .await?;
    }
    Ok(())
}

/// Appends one letter. Without `with_bytes`, its record is described but not stored.
fn append(file: &mut Vec<u8>, letter: &DeadLetter, with_bytes: bool, now: DateTime<Utc>) {
    let (payload, key) = (letter.payload.as_deref(), letter.key.as_deref());
    let headers: Vec<(&str, Option<&[u8]>)> = letter
        .headers
        .iter()
        .flat_map(Headers::iter)
        .map(|header| (header.key, header.value))
        .collect();
    let sizes: Vec<_> = headers
        .iter()
        .map(|(name, value)| json!([name, value.map(<[u8]>::len)]))
        .collect();
    let line = json!({
        "code": letter.fault.code(),
        "reason": letter.reason,
        "refused": letter.refused,
        "topic": letter.source.topic.as_str(),
        "partition": letter.source.partition.0,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "quarantined": now.to_rfc3339(),
        "sha256": payload.map(digest),
        "value_bytes": payload.map(<[u8]>::len),
        "key_bytes": key.map(<[u8]>::len),
        "headers": sizes,
        "bytes_follow": with_bytes,
    });
    file.extend_from_slice(line.to_string().as_bytes());
    file.push(b'\n');
    if with_bytes {
        let parts = [key, payload]
            .into_iter()
            .chain(headers.into_iter().map(|(_, value)| value));
        parts
            .flatten()
            .for_each(|part| file.extend_from_slice(part));
        file.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::testing::letter;
    use super::*;

    const HOUR: u64 = 3600;

    fn terms() -> QuarantineTerms {
        QuarantineTerms {
            retention: Duration::from_secs(7 * 24 * HOUR),
            maxima: [("sms".parse().unwrap(), Duration::from_secs(3 * HOUR))].into(),
            shortest: Some(Duration::from_secs(2 * HOUR)),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn letter_expires_by_the_retention_or_the_policys_maximum() {
        let now = at("2026-11-30T12:30:00Z");
        let read = |text: &str| Some(at(text).timestamp_millis());
        let (sms, voice): (ProductKey, ProductKey) =
            ("sms".parse().unwrap(), "voice".parse().unwrap());
        for (product, timestamp, expires) in [
            (
                Some(&sms),
                read("2026-11-30T12:10:00Z"),
                Some("2026-11-30T15:00:00Z"),
            ),
            (Some(&sms), None, Some("2026-11-30T15:00:00Z")),
            // A timestamp ahead of the clock does not extend the retention.
            (
                Some(&sms),
                read("2027-06-01T00:00:00Z"),
                Some("2026-11-30T15:00:00Z"),
            ),
            // Within its last hour: to the second.
            (
                Some(&sms),
                read("2026-11-30T09:45:00Z"),
                Some("2026-11-30T12:45:00Z"),
            ),
            (Some(&sms), read("2026-11-30T09:30:00Z"), None),
            (Some(&sms), read("2020-01-01T00:00:00Z"), None),
            // The policy sets no maximum.
            (
                Some(&voice),
                read("2020-01-01T00:00:00Z"),
                Some("2026-12-07T12:00:00Z"),
            ),
            (
                None,
                read("2026-11-30T12:30:00Z"),
                Some("2026-11-30T14:00:00Z"),
            ),
        ] {
            assert_eq!(
                terms().expiry(product, timestamp, now),
                expires.map(at),
                "{product:?} {timestamp:?}"
            );
        }
    }

    #[test]
    fn file_holds_the_bytes_as_they_were_or_none_of_them() {
        let now = at("2026-11-30T12:30:00Z");
        let (mut kept, mut described) = (Vec::new(), Vec::new());
        append(&mut kept, &letter(7, b"\x00value\n"), true, now);
        append(&mut described, &letter(7, b"\x00value\n"), false, now);
        let line: serde_json::Value =
            serde_json::from_slice(kept.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        assert_eq!(
            (&line["offset"], &line["value_bytes"], &line["key_bytes"]),
            (&json!(7), &json!(7), &json!(5))
        );
        assert_eq!(line["headers"], json!([["trace", 3]]));
        assert!(kept.ends_with(b"\na key\x00value\nabc\n"));
        assert!(!String::from_utf8(described).unwrap().contains("value\n"));
    }

    #[tokio::test]
    async fn letters_of_one_hour_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = ebbtide_table::Root::parse(&folder.path().display().to_string()).unwrap();
        let now = at("2026-11-30T12:30:00Z");
        let mut letters = vec![letter(1, b"one"), letter(2, b"two"), letter(3, b"three")];
        for (letter, minutes) in letters.iter_mut().zip([1, 2, 120]) {
            letter.timestamp = Some((now - TimeDelta::minutes(minutes)).timestamp_millis());
        }
        let sms = "sms".parse().unwrap();
        write(&Quarantine::new(root), &terms(), Some(&sms), &letters, now)
            .await
            .unwrap();
        let files = std::fs::read_dir(folder.path().join("_quarantine/sms")).unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap()[..16].to_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["20261130T130000Z", "20261130T150000Z"]);
    }
}
