//! A profile read back from its text, as a table keeps it: what rows of it were promised, whatever the policy says now.
//!
//! Promises that what it reads writes itself the same again, or that it reads nothing.

use super::{Profile, Term};
use crate::ids::{Bucket, Category};
use crate::policy::model::{Boundary, Trigger};
use crate::policy::parse::keep;

impl Profile {
    /// The profile of that text; `None` if it is none that this version writes. Its terms name no rules.
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

/// `6 months at_most event`, or with the bucket in which the trigger came behind it.
fn term(category: &str, text: &str) -> Option<Term> {
    let words: Vec<&str> = text.split(' ').collect();
    let [number, unit, boundary, trigger, known @ ..] = words.as_slice() else { return None };
    let known = match known {
        [] => None,
        [bucket] => Some(bucket.parse::<Bucket>().ok()?),
        _ => return None,
    };
    let boundary = [Boundary::AtMost, Boundary::AtLeast].into_iter().find(|of| of.to_string() == *boundary)?;
    let triggers = [Trigger::Event, Trigger::ContractEnd, Trigger::ConsentWithdrawn];
    let trigger = triggers.into_iter().find(|of| of.to_string() == *trigger)?;
    let (category, keep) = (Category::new(category).ok()?, keep(&format!("{number} {unit}")).ok()?);
    Some(Term { category, rule: None, keep, trigger, boundary, known })
}
