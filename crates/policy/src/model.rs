//! A checked policy: the result of `parse`, which all other modules read.
//!
//! Invariants: a value of these types has passed `policy check` without an error, so it is valid
//! and its names resolve. It contains no line numbers and no texts that only the file needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono_tz::Tz;
use serde::Serialize;

use super::text::PolicyDigest;
use crate::schema::Schema;
use ebbtide_base::ids::{BucketUnit, Category, Country, PolicyVersion, ProductKey, RuleId, Topic};

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
    /// A title for people.
    pub title: Option<String>,
    /// The description of its records; `None` for a product that has no records of its own
    /// (`numbers`).
    pub records: Option<Records>,
}

/// The source, the fields and the end of a product's records. All names are flattened column names.
#[derive(Debug, Clone)]
pub struct Records {
    /// The topics that it is read from; no two products share one.
    pub topics: Vec<Topic>,
    /// The product's own (reader's) schema. It contains the names of the records that are the
    /// product's.
    pub schema: Arc<Schema>,
    /// The treatment of records of other names.
    pub others: OtherRecords,
    /// The timestamp column with the time of the event.
    pub event_time: String,
    /// The zone of the event time if it is a wall-clock time: the tagger converts it to instants.
    pub event_time_zone: Option<Tz>,
    /// The text column with the tenant: the one whose customer the subject is.
    pub tenant: Option<String>,
    /// The source of the jurisdiction.
    pub jurisdiction: Jurisdiction,
    /// The columns that name a person, with the kinds of their identifiers.
    pub subjects: Vec<SubjectColumn>,
    /// The country of the national numbers in its phone columns; `None`: such numbers are
    /// unchanged.
    pub default_country: Option<Country>,
    /// The class of each column. A column of the schema that is not in this map is never stored.
    pub fields: BTreeMap<String, ColumnClass>,
    /// The columns that ingest derives from others.
    pub derive: Vec<DerivedColumn>,
    /// The treatment of a record whose last personal category is due.
    pub end: EndRule,
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

/// The class of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnClass {
    /// Personal data of a category.
    Personal(Category),
    /// Not personal; written `none`.
    NotPersonal,
}

impl ColumnClass {
    /// Returns the category, if the column is personal.
    #[must_use]
    pub fn category(&self) -> Option<&Category> {
        match self {
            ColumnClass::Personal(category) => Some(category),
            ColumnClass::NotPersonal => None,
        }
    }
}

impl Serialize for ColumnClass {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.category().map_or("none", Category::as_str))
    }
}

/// The source of a record's jurisdiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Jurisdiction {
    /// The country of the number in this text column.
    CountryOf(String),
    /// The ISO 3166-1 alpha-2 code in this text column.
    Column(String),
    /// The same for all records.
    Fixed(Country),
    /// Unknown: `ZZ`.
    Unknown,
}

/// A column that names a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectColumn {
    /// The text column; it is stored in its canonical form.
    pub column: String,
    /// The kind of identifier in the column.
    pub kind: SubjectKind,
}

/// The kind of identifier in a subject column. It determines the canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectKind {
    /// A telephone number: E.164 without the plus. Text that is not a number (a short code, a
    /// sender's name) is trimmed and otherwise unchanged.
    Phone,
    /// A mail address: the address alone, in lower case, its domain in ASCII.
    Email,
    /// A channel's id: `platform:id`, the platform in lower case. If the platform's ids are
    /// telephone numbers, the id is E.164.
    Channel(Platform),
}

/// The platform of a channel id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platform {
    /// The same for all records.
    Fixed(String),
    /// The text in this column.
    Column(String),
}

/// A column that ingest derives from another one, so that expiry only ever drops columns. It is not
/// personal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedColumn {
    /// The name of the derived column.
    pub name: String,
    /// The part that is taken of the source column.
    pub how: Derivation,
    /// The source column.
    pub of: String,
}

/// The part of its source column that a derived column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Derivation {
    /// The country of a number: text, two letters, `ZZ` if it is unknown.
    CountryOf,
    /// The hour of a time, 0 to 23, in the policy's zone: `Int32`.
    HourOf,
    /// The part of a mail address after its last `@`, lower-cased: text.
    DomainOf,
}

/// The treatment of a record whose last personal category is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndRule {
    /// The whole record is deleted.
    Remove,
    /// It becomes part of a counted cell.
    Anonymize(Anonymize),
}

/// The aggregation of a bucket's records to cells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anonymize {
    /// The minimum number of distinct subjects in a cell.
    pub k: u32,
    /// The subject column that is counted; it is kept as long as the last category.
    pub of: String,
    /// The columns whose values define a cell; none of them is personal.
    pub cell: Vec<String>,
    /// The numeric columns whose sums are kept.
    pub sum: Vec<String>,
}

/// A retention rule: what it matches, and the terms that then apply. An empty list of a match means
/// all.
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
    /// The retention period of the category, counted from the trigger.
    pub keep: RetentionPeriod,
    /// The trigger that starts the retention period.
    pub trigger: Trigger,
    /// The kind of limit that `keep` is: a maximum or a legal minimum.
    pub boundary: Boundary,
    /// The time after its deadline during which a category may still be visible: at least the
    /// delays of sweeps and readers.
    pub grace: RetentionPeriod,
    /// Legal bases, as DPV terms (`eu-gdpr:A6-1-c`).
    pub bases: Vec<String>,
    /// Purposes (`service-integrity`).
    pub purposes: Vec<String>,
    /// The source of the rule, for people.
    pub source: Option<String>,
}

/// A calendar duration in one unit: `6 months`, `24 hours`. Years count as 12 months, weeks as 7
/// days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RetentionPeriod {
    /// Elapsed hours.
    Hours(u32),
    /// Calendar days of the policy's zone.
    Days(u32),
    /// Calendar months of the policy's zone; a day that the month does not have becomes the last
    /// day of the month.
    Months(u32),
}

/// The event that starts a retention period.
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

/// The kind of limit that a retention period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// A maximum: the deadline is never late.
    AtMost,
    /// A legal minimum: the deadline is never early.
    AtLeast,
}

impl fmt::Display for RetentionPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match *self {
            RetentionPeriod::Hours(number) => (number, "hour"),
            RetentionPeriod::Days(number) => (number, "day"),
            RetentionPeriod::Months(number) => (number, "month"),
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
