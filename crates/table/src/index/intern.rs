//! Values that many segments share, stored once: buckets, profiles, policy versions, and whole sets
//! of deadlines.
//!
//! A statistic that is not understood is ignored. Parsing a statistic costs no more than reading
//! it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use ebbtide_base::ids::{Bucket, Category, Deadline, PolicyVersion, ProfileId};
use ebbtide_policy::{expires_category, is_expires_column};

/// The part of a segment's statistics that expiry needs.
pub(super) struct SegmentStats {
    pub(super) rows: u64,
    pub(super) deadlines: Arc<BTreeMap<Category, Deadline>>,
    /// The policy version of all rows; `None` if they have several or the statistics do not contain
    /// it.
    pub(super) policy_version: Option<PolicyVersion>,
}

/// All values seen so far, by their text.
#[derive(Clone, Default)]
pub(super) struct Interner {
    buckets: HashMap<String, Bucket>,
    profiles: HashMap<String, ProfileId>,
    policies: HashMap<String, PolicyVersion>,
    categories: HashMap<String, Category>,
    instants: HashMap<String, Deadline>,
    deadlines: HashSet<Arc<BTreeMap<Category, Deadline>>>,
    /// True if statistics that mention no deadline column, not even its null count, are rejected as
    /// incomplete.
    strict: bool,
}

/// Returns the deadlines in a segment's statistics.
pub fn deadlines_in_stats(stats: &str) -> BTreeMap<Category, Deadline> {
    Interner::default()
        .parse_stats(stats)
        .map(|parsed| Arc::unwrap_or_clone(parsed.deadlines))
        .unwrap_or_default()
}

/// Returns the policy of all rows of a segment by its statistics; `None` if the rows have several
/// policies or none is named.
pub fn policy_in_stats(stats: &str) -> Option<PolicyVersion> {
    Interner::default().parse_stats(stats)?.policy_version
}

impl Interner {
    /// Creates an empty interner. `has_deadlines` is true if segments of the table can have
    /// deadlines.
    pub(super) fn new(has_deadlines: bool) -> Interner {
        Interner {
            strict: has_deadlines,
            ..Interner::default()
        }
    }

    pub(super) fn bucket(&mut self, text: &str) -> Option<Bucket> {
        known(&mut self.buckets, text, parse_bucket)
    }

    pub(super) fn profile(&mut self, text: &str) -> Option<ProfileId> {
        known(&mut self.profiles, text, |text| ProfileId::new(text).ok())
    }

    /// Parses statistics. Returns `None` if the number of rows is missing, or if they do not show
    /// whether there are deadlines.
    pub(super) fn parse_stats(&mut self, stats: &str) -> Option<SegmentStats> {
        let stats: Stats<'_> = serde_json::from_str(stats).ok()?;
        if self.strict && stats.least.expires.is_empty() && !stats.nulls.0 {
            return None;
        }
        let mut deadlines = BTreeMap::new();
        for (category, at) in &stats.least.expires {
            let category = known(&mut self.categories, category, |text| {
                Category::new(text).ok()
            });
            let at = known(&mut self.instants, at, |text| {
                parse_instant(text).map(Deadline)
            });
            deadlines.extend(category.zip(at));
        }
        let deadlines = match self.deadlines.get(&deadlines) {
            Some(shared) => shared.clone(),
            None => {
                let shared = Arc::new(deadlines);
                self.deadlines.insert(shared.clone());
                shared
            }
        };
        let greatest = stats.greatest.and_then(|greatest| greatest.policy_version);
        let policy = stats
            .least
            .policy_version
            .filter(|least| greatest.is_some_and(|Text(greatest)| greatest == *least));
        let policy_version = policy.and_then(|text| {
            known(&mut self.policies, &text, |text| {
                PolicyVersion::new(text).ok()
            })
        });
        Some(SegmentStats {
            rows: stats.rows?,
            deadlines,
            policy_version,
        })
    }
}

/// Returns the value of a text, which is parsed when it is seen first.
fn known<T: Clone>(
    seen: &mut HashMap<String, T>,
    text: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    if let Some(value) = seen.get(text) {
        return Some(value.clone());
    }
    let value = parse(text)?;
    seen.insert(text.to_owned(), value.clone());
    Some(value)
}

/// Parses a bucket as engines write the value of a partition: a day, or the start of an hour, with
/// its time zone or, as in the Delta protocol, without.
fn parse_bucket(text: &str) -> Option<Bucket> {
    let bare = || {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
            .ok()
            .map(|at| Bucket::Hour(at.and_utc()))
    };
    text.parse().ok().or_else(bare)
}

fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.with_timezone(&Utc))
}

#[derive(Deserialize)]
struct Stats<'a> {
    #[serde(rename = "numRecords")]
    rows: Option<u64>,
    #[serde(rename = "minValues", default, borrow)]
    least: Minima<'a>,
    #[serde(rename = "maxValues", borrow)]
    greatest: Option<Maxima<'a>>,
    #[serde(rename = "nullCount", default)]
    nulls: Nulls,
}

/// True if the statistics contain the null count of a column of deadlines.
#[derive(Default)]
struct Nulls(bool);

impl<'de> Deserialize<'de> for Nulls {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NullsVisitor)
    }
}

struct NullsVisitor;

impl<'de> Visitor<'de> for NullsVisitor {
    type Value = Nulls;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the nulls of each column")
    }

    fn visit_unit<E>(self) -> Result<Nulls, E> {
        Ok(Nulls::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nulls, A::Error> {
        let mut nulls = Nulls::default();
        while let Some((Text(name), IgnoredAny)) = map.next_entry()? {
            nulls.0 |= is_expires_column(&name);
        }
        Ok(nulls)
    }
}

/// The minimum values that expiry needs: deadlines, by the category in the name of their column,
/// and the policy's version.
#[derive(Default)]
struct Minima<'a> {
    expires: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    policy_version: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Minima<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(MinimaVisitor)
    }
}

struct MinimaVisitor;

impl<'de> Visitor<'de> for MinimaVisitor {
    type Value = Minima<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the least value of each column")
    }

    fn visit_unit<E>(self) -> Result<Minima<'de>, E> {
        Ok(Minima::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Minima<'de>, A::Error> {
        let mut least = Minima::default();
        while let Some(Text(name)) = map.next_key()? {
            match expires_category(&name) {
                Some(category) => {
                    let category = category.to_owned();
                    let at: Option<Text<'de>> = map.next_value()?;
                    least
                        .expires
                        .extend(at.map(|Text(at)| (Cow::Owned(category), at)));
                }
                None if name == "policy_version" => {
                    least.policy_version = map
                        .next_value::<Option<Text<'de>>>()?
                        .map(|Text(text)| text);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(least)
    }
}

/// The maximum values that expiry needs.
#[derive(Deserialize)]
struct Maxima<'a> {
    #[serde(borrow)]
    policy_version: Option<Text<'a>>,
}

/// A text, borrowed if it contains no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
