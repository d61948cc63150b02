//! Tests of the names and units: what parses, and what does not.

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
        assert_eq!(text.parse::<Bucket>().map(|b| b.to_string()).as_deref(), Ok(text));
    }
    assert!("yesterday".parse::<Bucket>().is_err());
}

#[test]
fn a_deadline_is_due_at_its_very_instant() {
    let at = DateTime::<Utc>::UNIX_EPOCH;
    assert!(Deadline(at).is_due(at));
    assert!(!Deadline(at + chrono::TimeDelta::microseconds(1)).is_due(at));
}
