//! A hold: an order to keep matching data although it is due, with its author, reason, end and
//! scope.
//!
//! Invariant: the scope of a hold has at least one condition.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::subject::Subject;
use ebbtide_base::ids::ProductKey;

/// The name of a hold: `hold-` and eight hexadecimal digits, chosen at random when it is placed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HoldId(String);

/// An order to keep matching data although it is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Its name.
    pub id: HoldId,
    /// The case that it belongs to, by its reference in another system.
    pub case: String,
    /// The legal basis.
    pub basis: String,
    /// The time at which it was placed.
    pub placed_at: DateTime<Utc>,
    /// The person who placed it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_by: Option<String>,
    /// The first instant at which it is no longer in force.
    pub until: DateTime<Utc>,
    /// The records that it covers.
    pub scope: Scope,
}

/// The scope of a hold: the records for which every given condition is true.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Any of a record's subjects is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Subject>,
    /// The record's tenant is this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The record belongs to one of these products. Empty means any product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductKey>,
    /// The record's event is in this range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<TimeRange>,
}

/// A range of event times: `from <= t < to`. The range has no limit at an end that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// The first instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// The first instant after the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
}

/// The reason why a scope is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The scope has no condition.
    #[error("a hold needs something to cover: a subject, a tenant, products or a time range")]
    Everything,
    /// The range ends before it begins.
    #[error("the time range ends before it begins")]
    NoTime,
    /// The tenant is empty.
    #[error("the tenant is empty")]
    NoTenant,
}

impl Scope {
    /// Checks that the scope has a condition and that every condition can be true. Errors
    /// otherwise.
    pub fn check(&self) -> Result<(), ScopeError> {
        if *self == Scope::default()
            || self.events
                == Some(TimeRange {
                    from: None,
                    to: None,
                })
        {
            return Err(ScopeError::Everything);
        }
        if self.events.is_some_and(|range| {
            range
                .from
                .zip(range.to)
                .is_some_and(|(from, to)| from >= to)
        }) {
            return Err(ScopeError::NoTime);
        }
        if self
            .tenant
            .as_deref()
            .is_some_and(|tenant| tenant.trim().is_empty())
        {
            return Err(ScopeError::NoTenant);
        }
        Ok(())
    }

    /// Returns true if the scope can cover records of the product.
    #[must_use]
    pub fn covers(&self, product: &ProductKey) -> bool {
        covers(&self.products, product)
    }
}

/// Returns true if the list contains the product, or is empty, which means any product.
pub(super) fn covers(products: &[ProductKey], product: &ProductKey) -> bool {
    products.is_empty() || products.contains(product)
}

impl Hold {
    /// Returns true if `now` is before the end of the hold.
    #[must_use]
    pub fn lasts(&self, now: DateTime<Utc>) -> bool {
        now < self.until
    }
}

impl TimeRange {
    /// Returns true if some instant of `from..to` is in the range.
    #[must_use]
    pub fn meets(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        self.from.is_none_or(|first| first < to) && self.to.is_none_or(|end| from < end)
    }
}

impl HoldId {
    /// Returns the name with that number.
    pub(super) fn of(number: u32) -> Self {
        Self(format!("hold-{number:08x}"))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HoldId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("hold-").unwrap_or_default();
        if digits.len() == 8
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "a hold's name is hold- and eight hexadecimal digits; `ebbtide hold list` shows them",
            )
        }
    }
}
