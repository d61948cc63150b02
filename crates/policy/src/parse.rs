//! Parses the text of a policy file to a [`Policy`], or to all of its problems.
//!
//! Invariants: all problems are reported together, each with line, column and fix. A policy is
//! returned only if no problem is an error. No file is read here: the schemas come from a
//! [`SchemaSource`].

mod columns;
mod end;
mod period;
mod product;
mod records;
mod rule;
mod value_reader;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::str::FromStr;

use chrono_tz::{TZ_VARIANTS, Tz};

pub(super) use self::period::keep;
use self::value_reader::{TextForm, ValueReader};
use super::check;
use super::checked_policy::CheckedPolicy;
use super::draft::{DraftCategory, DraftProduct, PolicyDraft};
use super::model::{Policy, Product};
use super::text::{PolicyText, SchemaSource};
use ebbtide_base::ids::{BucketUnit, Category, PolicyVersion, ProductKey, Topic};
use ebbtide_base::problem::{Problems, nearest};
use ebbtide_base::yaml::{self, YamlNode, check_keys, join};

/// A schema source that loads from another one and stores the texts that it returned.
struct RecordingSource<'s> {
    of: &'s dyn SchemaSource,
    kept: RefCell<BTreeMap<String, String>>,
}

impl SchemaSource for RecordingSource<'_> {
    fn load(&self, path: &str) -> Result<String, String> {
        let text = self.of.load(path)?;
        self.kept.borrow_mut().insert(path.to_owned(), text.clone());
        Ok(text)
    }
}

/// Parses and checks the text of a policy. `file` is its name as the user knows it, for the
/// problems.
#[must_use]
pub fn parse(file: &str, text: &str, schemas: &dyn SchemaSource) -> CheckedPolicy {
    let mut problems = Problems::new(file);
    let schemas = RecordingSource {
        of: schemas,
        kept: RefCell::default(),
    };
    let policy = match yaml::parse(text) {
        Ok(root) => read(&root, &schemas, &mut problems),
        Err(error) => {
            problems.error(
                error.at,
                "",
                format!("this is not YAML: {}", error.what),
                "fix the line, or the one above it",
            );
            None
        }
    };
    let text = PolicyText {
        yaml: text.to_owned(),
        schemas: schemas.kept.into_inner(),
    };
    let policy = policy
        .filter(|_| !problems.any_error())
        .map(|policy| Policy {
            digest: text.digest(),
            ..policy
        });
    CheckedPolicy {
        policy,
        problems: problems.into_sorted(),
        text,
    }
}

impl PolicyText {
    /// Parses and checks the policy, with `file` as the name of its file.
    #[must_use]
    pub fn checked(&self, file: &str) -> CheckedPolicy {
        parse(file, &self.yaml, self)
    }
}

const KEYS: [&str; 6] = [
    "version",
    "zone",
    "bucket",
    "categories",
    "products",
    "rules",
];

fn read(root: &YamlNode, schemas: &dyn SchemaSource, problems: &mut Problems) -> Option<Policy> {
    check_keys(root, &KEYS, "", problems);
    if root.entries().is_empty() {
        return None;
    }
    let mut reading = ValueReader { problems };
    let version = reading
        .need(root, "version", "", "2026-11-01")
        .and_then(|node| reading.parsed::<PolicyVersion>(node, "version", "2026-11-01"));
    let mut draft = PolicyDraft {
        zone: reading
            .need(root, "zone", "", "Europe/Amsterdam")
            .and_then(|node| zone(node, "zone", &mut reading)),
        bucket: match reading.maybe(root, "bucket") {
            None => Some(BucketUnit::Day),
            Some(node) => bucket(node, &mut reading),
        },
        ..PolicyDraft::default()
    };
    categories(root, &mut draft, &mut reading);
    products(root, &mut draft, schemas, &mut reading);
    rule::read_all(root, &mut draft, &mut reading);
    check::check(&draft, reading.problems);
    finish(version?, draft)
}

fn finish(version: PolicyVersion, draft: PolicyDraft) -> Option<Policy> {
    let mut products = BTreeMap::new();
    for DraftProduct {
        key,
        title,
        has_records,
        records,
        ..
    } in draft.products
    {
        if has_records && records.is_none() {
            return None;
        }
        products.insert(
            key.clone(),
            Product {
                key,
                title,
                records,
            },
        );
    }
    Some(Policy {
        version,
        // The digest of the whole text is set once all of it is read.
        digest: PolicyText::default().digest(),
        zone: draft.zone?,
        bucket: draft.bucket?,
        categories: draft
            .categories
            .into_iter()
            .map(|(category, of)| (category, of.term))
            .collect(),
        products,
        rules: draft.rules.into_iter().map(|draft| draft.rule).collect(),
    })
}

/// Reads the name of a zone of the IANA time zone database.
fn zone(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> Option<Tz> {
    let text = reading.text(node, path, "Europe/Amsterdam")?;
    let zone = Tz::from_str(text).ok();
    if zone.is_none() {
        let help = match nearest(text, TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "write a name of the IANA time zone database, such as `Europe/Amsterdam`".to_owned()
            }
        };
        reading.problems.error(
            node.at,
            path,
            format!("there is no time zone `{text}`"),
            help,
        );
    }
    zone
}

fn bucket(node: &YamlNode, reading: &mut ValueReader<'_>) -> Option<BucketUnit> {
    reading.one_of(
        node,
        "bucket",
        &[("day", BucketUnit::Day), ("hour", BucketUnit::Hour)],
    )
}

fn categories(root: &YamlNode, draft: &mut PolicyDraft, reading: &mut ValueReader<'_>) {
    let example = "{ phone_number: { term: pd:TelephoneNumber } }";
    let Some(node) = reading.need(root, "categories", "", example) else {
        return;
    };
    for entry in reading.entries(node, "categories", example) {
        let path = join("categories", &entry.key);
        let Some(category) = reading.key::<Category>(entry, &path) else {
            continue;
        };
        check_keys(&entry.value, &["term"], &path, reading.problems);
        let term = reading
            .need(&entry.value, "term", &path, "pd:TelephoneNumber")
            .and_then(|node| {
                let path = join(&path, "term");
                reading.shaped(
                    node,
                    &path,
                    TextForm {
                        what: "a term of the W3C Data Privacy Vocabulary",
                        example: "pd:TelephoneNumber",
                    },
                    |text| {
                        text.strip_prefix("pd:").is_some_and(|name| {
                            name.starts_with(|first: char| first.is_ascii_uppercase())
                                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                        })
                    },
                )
            });
        let term = term.unwrap_or_default().to_owned();
        draft
            .categories
            .insert(category, DraftCategory { term, at: entry.at });
    }
}

fn products(
    root: &YamlNode,
    draft: &mut PolicyDraft,
    schemas: &dyn SchemaSource,
    reading: &mut ValueReader<'_>,
) {
    let example = "{ sms: { topics: [traffic.sms], ... } }";
    let Some(node) = reading.need(root, "products", "", example) else {
        return;
    };
    let mut topics: BTreeMap<Topic, product::TopicEntry> = BTreeMap::new();
    for entry in reading.entries(node, "products", example) {
        let path = join("products", &entry.key);
        let Some(key) = reading.key::<ProductKey>(entry, &path) else {
            continue;
        };
        let context = product::ProductContext {
            categories: &draft.categories,
            schemas,
            path,
        };
        let product = product::read(key, &entry.value, &context, &mut topics, reading);
        draft.products.push(product);
    }
}
