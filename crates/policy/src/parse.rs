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
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use chrono_tz::{TZ_VARIANTS, Tz};

pub(super) use self::period::keep;
use self::value_reader::{TextForm, ValueReader};
use super::check;
use super::model::{Policy, Product, Records, Rule};
use super::text::PolicyText;
use ebbtide_base::ids::{BucketUnit, Category, PolicyVersion, ProductKey, Topic};
use ebbtide_base::problem::{Problem, Problems, TextPosition, nearest};
use ebbtide_base::yaml::{self, YamlNode, check_keys, join};

/// A source of the texts of the products' schemas.
pub trait SchemaSource {
    /// Returns the text of the schema at `path`, which is relative to the folder of the policy
    /// file, as in the policy. The error says in a few words why it cannot be read.
    fn load(&self, path: &str) -> Result<String, String>;
}

/// The result of a parsed and checked policy file.
#[derive(Debug, Clone)]
pub struct CheckedPolicy {
    /// The policy; `None` if any problem is an error.
    pub policy: Option<Policy>,
    /// All problems, in the order of the file.
    pub problems: Vec<Problem>,
    /// The texts that were read: the file, and each schema that it names and that could be loaded.
    pub text: PolicyText,
}

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

/// The part of a policy that was read so far, possibly with errors: enough to find more of them.
#[derive(Debug, Default)]
pub(super) struct PolicyDraft {
    pub(super) zone: Option<Tz>,
    pub(super) bucket: Option<BucketUnit>,
    pub(super) categories: BTreeMap<Category, DraftCategory>,
    pub(super) products: Vec<DraftProduct>,
    pub(super) rules: Vec<DraftRule>,
}

/// A category and its position.
#[derive(Debug)]
pub(super) struct DraftCategory {
    pub(super) term: String,
    pub(super) at: TextPosition,
}

/// A product as far as it could be read.
#[derive(Debug)]
pub(super) struct DraftProduct {
    pub(super) key: ProductKey,
    pub(super) title: Option<String>,
    /// True if it has records.
    pub(super) has_records: bool,
    /// Its records, if they could be read in full.
    pub(super) records: Option<Records>,
    /// The first column of each category, with its position.
    pub(super) personal: BTreeMap<Category, (String, TextPosition)>,
    /// The source of its jurisdictions, if it could be read.
    pub(super) jurisdiction: Option<super::model::Jurisdiction>,
    /// True if its records name a tenant.
    pub(super) has_tenant: bool,
    /// The category of the subject column that `end` counts, and the position at which `end` names
    /// it.
    pub(super) counted: Option<(Category, TextPosition)>,
    /// The categories of its subjects, and the position of their list.
    pub(super) subjects: Option<(BTreeSet<Category>, TextPosition)>,
}

/// A rule as far as it could be read.
#[derive(Debug)]
pub(super) struct DraftRule {
    pub(super) rule: Rule,
    pub(super) at: TextPosition,
    /// True if what it matches could not be read completely, so that it proves neither a hole nor a
    /// clash.
    pub(super) vague: bool,
    /// True if its window (`keep`, `trigger` or `boundary`) could not be read.
    pub(super) broken: bool,
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
    let mut topics: BTreeMap<Topic, (String, TextPosition)> = BTreeMap::new();
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
