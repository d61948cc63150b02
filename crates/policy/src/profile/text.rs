//! Reads a profile from its text, as a table stores it: the terms that were promised for its rows,
//! independently of the current policy.
//!
//! Invariant: a profile that was read has the same text again; any other text is not read.

use super::{Profile, RetentionTerm};
use crate::model::{Boundary, Trigger};
use crate::parse::keep;
use ebbtide_base::ids::{Bucket, Category};

impl Profile {
    /// Returns the profile with that text; `None` if this version does not write such a text. Its
    /// terms name no rules.
    #[must_use]
    pub fn parse(text: &str) -> Option<Profile> {
        let (mut terms, mut late) = (Vec::new(), 0);
        for part in text.split(';').filter(|_| text != "none") {
            match part.split_once('=')? {
                ("late", count) => late = count.parse().ok()?,
                (category, of) => terms.push(term(category, of)?),
            }
        }
        Some(Self::build(terms, late)).filter(|profile| profile.text == text)
    }
}

/// Parses `6 months at_most event`, optionally followed by the bucket in which the trigger
/// occurred.
fn term(category: &str, text: &str) -> Option<RetentionTerm> {
    let words: Vec<&str> = text.split(' ').collect();
    let [number, unit, boundary, trigger, known @ ..] = words.as_slice() else {
        return None;
    };
    let known = match known {
        [] => None,
        [bucket] => Some(bucket.parse::<Bucket>().ok()?),
        _ => return None,
    };
    let boundary = [Boundary::AtMost, Boundary::AtLeast]
        .into_iter()
        .find(|of| of.to_string() == *boundary)?;
    let triggers = [
        Trigger::Event,
        Trigger::ContractEnd,
        Trigger::ConsentWithdrawn,
    ];
    let trigger = triggers.into_iter().find(|of| of.to_string() == *trigger)?;
    let (category, keep) = (
        Category::new(category).ok()?,
        keep(&format!("{number} {unit}")).ok()?,
    );
    Some(RetentionTerm {
        category,
        rule: None,
        keep,
        trigger,
        boundary,
        known,
    })
}
