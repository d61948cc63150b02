//! A checked policy: what `parse` makes of the file, and what every other floor reads.
//!
//! Promises that all of it is legal and that names resolve: a value of these types has passed `policy check`
//! without an error. Must never hold a line number or a text that only the file needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono_tz::Tz;
use serde::Serialize;

use super::text::PolicyDigest;
use crate::ids::{BucketUnit, Category, Country, PolicyVersion, ProductKey, RuleId, Topic};
use crate::schema::Schema;

/// A whole policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The version that its author gave it.
    pub version: PolicyVersion,
    /// The digest of the texts that it was read from.
    pub digest: PolicyDigest,
    /// The zone in which days and months are counted.
    pub zone: Tz,
    /// The unit in which data expires.
    pub bucket: BucketUnit,
    /// Every kind of personal data, with its W3C DPV term (`pd:TelephoneNumber`).
    pub categories: BTreeMap<Category, String>,
    /// Every product.
    pub products: BTreeMap<ProductKey, Product>,
    /// Every rule, in the order of the file.
    pub rules: Vec<Rule>,
}

/// A service with its own record schema, topics and table.
#[derive(Debug, Clone)]
pub struct Product {
    /// Its key.
    pub key: ProductKey,
    /// What it is, for people.
    pub title: Option<String>,
    /// How its records arrive; `None` for a product that has none of its own (`numbers`).
    pub records: Option<Records>,
}

/// How a product's records arrive, what their fields are and how they end. All names are flattened column names.
#[derive(Debug, Clone)]
pub struct Records {
    /// The topics it is read from; no two products share one.
    pub topics: Vec<Topic>,
    /// The product's own (reader's) schema. It contains the names of the records that are the product's.
    pub schema: Arc<Schema>,
    /// The treatment of records of other names.
    pub others: OtherRecords,
    /// The timestamp column that says when the event was.
    pub event_time: String,
    /// The zone of the event time if it is a wall-clock time: the tagger converts it to instants.
    pub event_time_zone: Option<Tz>,
    /// The text column that says whose customer the subject is.
    pub tenant: Option<String>,
    /// Where the jurisdiction comes from.
    pub jurisdiction: Jurisdiction,
    /// The columns that name a person, and how.
    pub subjects: Vec<Subject>,
    /// The country of the national numbers in its phone columns; `None`: such numbers are unchanged.
    pub default_country: Option<Country>,
    /// What each column is. A column of the schema that is not here is never stored.
    pub fields: BTreeMap<String, Class>,
    /// The columns written at ingest from others.
    pub derive: Vec<Derived>,
    /// What happens when the last personal category is due.
    pub end: End,
}

/// The treatment of records of a product's topics whose names are not the product's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherRecords {
    /// They are sent to the dead letters, as `incompatible_schema`.
    #[default]
    DeadLetter,
    /// They are counted and skipped.
    Skip,
}

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Personal data of a category.
    Personal(Category),
    /// Not personal; written `none`.
    NotPersonal,
}

impl Class {
    /// The category, if it is personal.
    #[must_use]
    pub fn category(&self) -> Option<&Category> {
        match self {
            Class::Personal(category) => Some(category),
            Class::NotPersonal => None,
        }
    }
}

impl Serialize for Class {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.category().map_or("none", Category::as_str))
    }
}

/// Where a record's jurisdiction comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jurisdiction {
    /// The country of the number in this text column.
    CountryOf(String),
    /// The ISO 3166-1 alpha-2 code in this text column.
    Column(String),
    /// One for all records.
    Fixed(Country),
    /// It cannot be told: `ZZ`.
    Unknown,
}

/// A column that names a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The text column; it is stored in its canonical form.
    pub column: String,
    /// What kind of identifier it holds.
    pub kind: SubjectKind,
}

/// What kind of identifier a subject column holds, which says its canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectKind {
    /// A telephone number: E.164 without the plus. Text that is not a number (a short code, a sender's name) is trimmed
    /// and otherwise unchanged.
    Phone,
    /// A mail address: the address alone, in lower case, its domain in ASCII.
    Email,
    /// A channel's id: `platform:id`, the platform in lower case. If the platform's ids are telephone numbers, the id
    /// is E.164.
    Channel(Platform),
}

/// Which platform a channel id belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platform {
    /// The same for all records.
    Fixed(String),
    /// The text in this column.
    Column(String),
}

/// A column written at ingest from another one, so that expiry only ever leaves columns out. It is not personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// Its own name.
    pub name: String,
    /// What is taken of the other.
    pub how: Derive,
    /// The column it is made of.
    pub of: String,
}

/// What a derived column takes of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Derive {
    /// The country of a number: text, two letters, `ZZ` where it cannot be told.
    CountryOf,
    /// The hour of a time, 0 to 23, in the policy's zone: `Int32`.
    HourOf,
    /// The part of a mail address behind its last `@`, lower-cased: text.
    DomainOf,
}

/// What happens to a record when its last personal category is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It goes whole.
    Remove,
    /// It becomes part of a counted cell.
    Anonymize(Anonymize),
}

/// How a bucket's records become cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anonymize {
    /// The least number of distinct subjects that a cell stands for.
    pub k: u32,
    /// The subject column that is counted; it lives as long as the last category.
    pub of: String,
    /// The columns that make a cell; none of them personal.
    pub cell: Vec<String>,
    /// The numeric columns whose sums are kept.
    pub sum: Vec<String>,
}

/// Who and what it matches, and what then holds. An empty list of a match means all.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// The products that it matches.
    pub products: Vec<ProductKey>,
    /// The categories that it matches.
    pub categories: Vec<Category>,
    /// The jurisdictions that it matches.
    pub jurisdictions: Vec<Country>,
    /// The tenants that it matches.
    pub tenants: Vec<String>,
    /// How long the category is kept once its clock has started.
    pub keep: Keep,
    /// What starts the clock.
    pub trigger: Trigger,
    /// Whether `keep` is a ceiling or a legal minimum.
    pub boundary: Boundary,
    /// How long after its deadline a category may still be seen: at least the sweeps' and readers' own delay.
    pub grace: Keep,
    /// Legal bases, as DPV terms (`eu-gdpr:A6-1-c`).
    pub bases: Vec<String>,
    /// Purposes (`service-integrity`).
    pub purposes: Vec<String>,
    /// Where the rule comes from, for people.
    pub source: Option<String>,
}

/// A calendar duration in one unit: `6 months`, `24 hours`. Years count as 12 months, weeks as 7 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Keep {
    /// Elapsed hours.
    Hours(u32),
    /// Calendar days of the policy's zone.
    Days(u32),
    /// Calendar months of the policy's zone; a day that the month lacks is its last.
    Months(u32),
}

/// What starts the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The record's own event.
    Event,
    /// The end of the contract with the tenant; until it is known the deadline is open.
    ContractEnd,
    /// The event, or the withdrawal of consent where that makes the deadline earlier.
    ConsentWithdrawn,
}

/// Which promise `keep` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// A ceiling: never late.
    AtMost,
    /// A legal minimum: never early.
    AtLeast,
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match *self {
            Keep::Hours(number) => (number, "hour"),
            Keep::Days(number) => (number, "day"),
            Keep::Months(number) => (number, "month"),
        };
        write!(f, "{number} {unit}{}", if number == 1 { "" } else { "s" })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trigger::Event => "event",
            Trigger::ContractEnd => "contract_end",
            Trigger::ConsentWithdrawn => "consent_withdrawn",
        })
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Boundary::AtMost => "at_most",
            Boundary::AtLeast => "at_least",
        })
    }
}
