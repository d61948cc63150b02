//! Tests of the names and units: valid texts and texts that do not parse.

use super::*;

#[test]
fn illegal_names_do_not_parse() {
    for bad in ["", "Sms", "1a", "a-b", "a b", &"a".repeat(65)] {
        assert!(ProductKey::new(bad).is_err(), "{bad:?}");
        assert!(Category::new(bad).is_err(), "{bad:?}");
    }
    assert!(Category::new("none").is_err());
    assert!(ProductKey::new("sms").is_ok());
    for bad in ["", "..", "a/b", &"t".repeat(250)] {
        assert!(Topic::new(bad).is_err(), "{bad:?}");
    }
    for bad in ["NLD", "nl", "N1", ""] {
        assert!(Country::new(bad).is_err(), "{bad:?}");
    }
    assert!(ProfileId::new("0123456789AB").is_err());
    assert!(ProfileId::new("0123456789ab").is_ok());
}

#[test]
fn every_country_has_an_index_of_its_own() {
    let mut seen = vec![false; Country::INDEXES];
    for a in b'A'..=b'Z' {
        for b in b'A'..=b'Z' {
            let country = Country([a, b]);
            assert!(!std::mem::replace(&mut seen[country.index()], true));
            assert_eq!(Country::new(country.as_str()), Ok(country));
        }
    }
}

#[test]
fn buckets_read_back_as_written() {
    for text in ["2026-11-24", "2026-10-25T00:00:00Z"] {
        assert_eq!(
            text.parse::<Bucket>().map(|b| b.to_string()).as_deref(),
            Ok(text)
        );
    }
    assert!("yesterday".parse::<Bucket>().is_err());
}

#[test]
fn a_deadline_is_due_at_its_very_instant() {
    let at = DateTime::<Utc>::UNIX_EPOCH;
    assert!(Deadline(at).is_due(at));
    assert!(!Deadline(at + chrono::TimeDelta::microseconds(1)).is_due(at));
}

#[test]
fn topic_ids_are_written_as_kafka_writes_them() {
    let text = |id: u128| TopicId(id).to_string();
    assert_eq!(text(0), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(text(1), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(text(u128::MAX), "_____________________w");
    assert_eq!(
        text(0x4d1e_8a3f_5b2c_4d6e_9f80_1122_3344_5566),
        "TR6KP1ssTW6fgBEiM0RVZg"
    );
    assert!(TopicId(u128::MAX >> 64).mark().0 >= 0);
    assert_ne!(TopicId(1).mark(), TopicId(1 << 65).mark());
}
