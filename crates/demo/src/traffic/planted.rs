//! People who are planted in the traffic: their numbers and all texts to them are known, and occur
//! in SMS only.
//!
//! No other message of any traffic contains one of these values, so a search can show whether any
//! data of these people is left. The numbers must not belong to real people: they are invented like
//! all others.

use chrono::{DateTime, Utc};

use super::chance::SplitMix64;
use super::{Framing, TrafficMessage, TrafficSource, avro};

/// The number of planted people. The first one gets every second text.
const PEOPLE: u64 = 12;

/// Writes texts to the planted people.
#[derive(Debug)]
pub struct PlantedPeople {
    source: TrafficSource,
    chance: SplitMix64,
    texts: u64,
    values: Vec<String>,
}

/// Returns the number of a planted person: Dutch, and outside the numbers of the other traffic.
fn number(person: u64) -> String {
    format!("31687654{person:03}")
}

impl PlantedPeople {
    /// Creates the texts of the SMS producer `source`.
    #[must_use]
    pub fn new(seed: u64, source: TrafficSource) -> Self {
        Self {
            source,
            chance: SplitMix64::new(seed ^ 0x9e37),
            texts: 0,
            values: Vec::new(),
        }
    }

    /// Returns the number that gets the most texts.
    #[must_use]
    pub fn busiest() -> String {
        number(0)
    }

    /// Returns every value so far that identifies a planted person or is in a text to one: numbers,
    /// texts and the ids of the texts.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Returns the next text, as of `now`.
    pub fn next(&mut self, now: DateTime<Utc>) -> TrafficMessage {
        let person = if self.texts.is_multiple_of(2) {
            0
        } else {
            1 + self.texts / 2 % (PEOPLE - 1)
        };
        self.texts += 1;
        let body = format!(
            "Planted text {:016x}: no other record has these words.",
            self.chance.bits()
        );
        let mut payload = Vec::with_capacity(256);
        if let Framing::Confluent(id) = self.source.framing {
            payload.push(0);
            payload.extend_from_slice(&id.to_be_bytes());
        }
        let start = payload.len();
        avro::uuid(self.chance.bits(), self.chance.bits(), &mut payload);
        // After the length of the UUID's text, which is one byte.
        let id = String::from_utf8_lossy(&payload[start + 1..]).into_owned();
        self.rest(&mut payload, now, &number(person), &body);
        let number = number(person);
        if !self.values.contains(&number) {
            self.values.push(number);
        }
        self.values.extend([body, id]);
        TrafficMessage {
            product: self.source.product.clone(),
            topic: self.source.topic.clone(),
            key: format!("planted-{person:08}"),
            payload: Some(payload),
            flaw: None,
        }
    }

    /// Writes the fields after the id, in the order of the shipped schema.
    fn rest(&self, to: &mut Vec<u8>, now: DateTime<Utc>, number: &str, body: &str) {
        const OUTBOUND: i64 = 0;
        const DELIVERED: i64 = 2;
        let text = |text: &str, to: &mut Vec<u8>| avro::bytes(text.as_bytes(), to);
        text("tenant-0001", to);
        avro::long(OUTBOUND, to);
        avro::long(DELIVERED, to);
        text("EXAMPLE", to);
        text(&format!("+{number}"), to);
        avro::long(now.timestamp_millis(), to);
        avro::long(1, to);
        avro::long(now.timestamp_millis(), to);
        avro::long(1, to);
        text(body, to);
        avro::long(0, to);
        avro::long(1, to);
        avro::long(1, to);
        text("20408", to);
        text("carrier-a>carrier-b", to);
        // No error, no price.
        avro::long(0, to);
        avro::long(0, to);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use apache_avro::Schema;
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value;

    use super::*;
    use ebbtide_base::ids::{ProductKey, Topic};

    #[test]
    fn planted_text_reads_back_and_all_names_of_its_person_are_known() {
        let text = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../schemas/sms.avsc"
        ))
        .unwrap();
        let schema = Schema::parse_str(&text).unwrap();
        let (product, topic) = (
            ProductKey::new("sms").unwrap(),
            Topic::new("traffic.sms").unwrap(),
        );
        let mut planted = PlantedPeople::new(
            1,
            TrafficSource {
                product,
                topic,
                schema: text,
                framing: Framing::Confluent(1),
            },
        );
        for _ in 0..50 {
            let payload = planted
                .next("2026-11-24T12:00:00Z".parse().unwrap())
                .payload
                .unwrap();
            let mut rest = &payload[5..];
            let value = GenericDatumReader::builder(&schema)
                .build()
                .unwrap()
                .read_value(&mut rest)
                .unwrap();
            assert!(rest.is_empty());
            let Value::Record(fields) = value else {
                panic!("no record")
            };
            let known: BTreeSet<&str> = planted.values().iter().map(String::as_str).collect();
            for (name, value) in fields {
                let text = match value {
                    Value::Uuid(id) => id.to_string(),
                    Value::String(text) => text,
                    Value::Union(_, inner) => match *inner {
                        Value::String(text) => text,
                        _ => continue,
                    },
                    _ => continue,
                };
                if ["message_id", "recipient", "body"].contains(&name.as_str()) {
                    assert!(known.contains(text.trim_start_matches('+')), "{name}");
                }
            }
        }
        let mut values = planted.values().to_vec();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 12 + 50 * 2);
        assert_eq!(PlantedPeople::busiest(), planted.values()[0]);
    }

    #[test]
    fn a_planted_number_is_one_of_the_netherlands() {
        for person in 0..PEOPLE {
            let number = phonenumber::parse(None, format!("+{}", number(person))).unwrap();
            assert!(phonenumber::is_valid(&number));
            assert_eq!(
                number
                    .country()
                    .id()
                    .map(|id| id.as_ref().to_owned())
                    .as_deref(),
                Some("NL")
            );
        }
    }
}
