//! Reads `derive` and `end`: the columns that are written in addition to a record's fields, and the
//! end of the record.
//!
//! Invariants: no derived column has the name of a field or a tag, and a cell identifies no one.

use std::collections::BTreeSet;

use super::super::model::{Anonymize, Derivation, DerivedColumn, EndRule};
use super::super::tags::is_tag;
use super::columns::{ColumnUse, ProductColumns, RequiredType};
use super::value_reader::{ValueReader, did_you_mean};
use ebbtide_base::ids::{Category, is_snake};
use ebbtide_base::problem::{TextPosition, nearest};
use ebbtide_base::yaml::{YamlNode, check_keys, join};

const HOWS: [(&str, Derivation, RequiredType); 3] = [
    ("country_of", Derivation::CountryOf, RequiredType::Text),
    ("hour_of", Derivation::HourOf, RequiredType::Time),
    ("domain_of", Derivation::DomainOf, RequiredType::Text),
];

/// Reads `derive`: `{ recipient_country: { country_of: recipient } }`.
pub(super) fn derive(
    columns: &ProductColumns,
    node: &YamlNode,
    path: &str,
    reading: &mut ValueReader<'_>,
) -> Vec<DerivedColumn> {
    let mut derived: Vec<DerivedColumn> = Vec::new();
    for entry in reading.entries(
        node,
        path,
        "{ recipient_country: { country_of: recipient } }",
    ) {
        let path = join(path, &entry.key);
        let taken = columns.schema.as_ref().is_some_and(|schema| {
            schema
                .columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(&entry.key))
        });
        let what = if !is_snake(&entry.key) {
            Some((
                "is no column name",
                "use lower-case letters, digits and `_`, a letter first, 64 at most",
            ))
        } else if is_tag(&entry.key) {
            Some(("is the name of a tag column", "choose another name"))
        } else if taken {
            Some(("is a field of the schema already", "choose another name"))
        } else {
            None
        };
        if let Some((what, help)) = what {
            reading
                .problems
                .error(entry.at, &path, format!("`{}` {what}", entry.key), help);
        }
        let known = HOWS.map(|(word, ..)| word);
        check_keys(&entry.value, &known, &path, reading.problems);
        let mut found = HOWS
            .iter()
            .filter_map(|how| Some((how, entry.value.get(how.0)?)));
        let (first, second) = (found.next(), found.next());
        let Some(((word, how, kind), of)) = first.filter(|_| second.is_none()) else {
            if second.is_some() || entry.value.entries().is_empty() {
                let what = "a derived column is taken of one other in one way";
                reading.problems.error(
                    entry.value.at,
                    &path,
                    what,
                    "write one of country_of, hour_of, domain_of",
                );
            }
            continue;
        };
        let wanted = ColumnUse {
            role: "this column",
            kind: *kind,
        };
        if let Some(of) = columns.want(of, &join(&path, word), wanted, reading) {
            derived.push(DerivedColumn {
                name: entry.key.clone(),
                how: *how,
                of,
            });
        }
    }
    derived
}

/// The names that `end` may use.
pub(super) struct EndNames<'a> {
    pub(super) columns: &'a ProductColumns,
    /// The names under `subjects`, readable or not.
    pub(super) subjects: &'a [&'a str],
    /// The names under `derive`, readable or not.
    pub(super) derived: &'a [&'a str],
}

/// The content of `end`, and the category of the counted subjects with the position at which they
/// are named.
pub(super) type ParsedEnd = (EndRule, Option<(Category, TextPosition)>);

/// Reads `end`: `remove`, or
/// `{ anonymize: { k: 11, of: recipient, cell: [status], sum: [segments] } }`.
pub(super) fn end(
    node: &YamlNode,
    path: &str,
    named: &EndNames<'_>,
    reading: &mut ValueReader<'_>,
) -> Option<ParsedEnd> {
    const FORMS: &str =
        "write `end: remove` or `end: { anonymize: { k: 11, of: recipient, cell: [status] } }`";
    if let Some(text) = node.text() {
        if text != "remove" {
            reading.problems.error(
                node.at,
                path,
                format!("`{text}` is no end of a record"),
                FORMS,
            );
            return None;
        }
        return Some((EndRule::Remove, None));
    }
    check_keys(node, &["anonymize"], path, reading.problems);
    let Some(anonymize) = reading.maybe(node, "anonymize") else {
        if node.entries().iter().all(|entry| entry.key == "anonymize") {
            reading
                .problems
                .error(node.at, path, "it is not said what happens", FORMS);
        }
        return None;
    };
    let path = join(path, "anonymize");
    check_keys(
        anonymize,
        &["k", "of", "cell", "sum"],
        &path,
        reading.problems,
    );
    let k = reading
        .need(anonymize, "k", &path, "11")
        .and_then(|node| k(node, &join(&path, "k"), reading));
    let of = reading
        .need(anonymize, "of", &path, "recipient")
        .and_then(|node| Some((counted(node, &join(&path, "of"), named, reading)?, node.at)));
    let mut seen = BTreeSet::new();
    let mut list = |key: &str, reading: &mut ValueReader<'_>| {
        let mut read = Vec::new();
        let Some(node) = reading.maybe(anonymize, key) else {
            return read;
        };
        let path = join(&path, key);
        for item in reading.items(node, &path, "[status]") {
            let Some(name) = named.part(item, &path, key == "sum", reading) else {
                continue;
            };
            if seen.insert(name.clone()) {
                read.push(name);
            } else {
                let what = format!("`{name}` is listed twice");
                reading
                    .problems
                    .error(item.at, &path, what, "list it once, in `cell` or in `sum`");
            }
        }
        read
    };
    let (cell, sum) = (list("cell", reading), list("sum", reading));
    let (k, (of, at)) = (k?, of?);
    let category = named
        .columns
        .category(&of)
        .map(|category| (category.clone(), at));
    Some((EndRule::Anonymize(Anonymize { k, of, cell, sum }), category))
}

fn k(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> Option<u32> {
    let text = reading.text(node, path, "11")?;
    let k = text.parse().ok().filter(|k| (2..=1_000_000).contains(k));
    if k.is_none() {
        let what = format!("`{text}` is no number of people to hide among");
        reading.problems.error(
            node.at,
            path,
            what,
            "write a whole number of at least 2; 11 is usual",
        );
    }
    k
}

fn counted(
    node: &YamlNode,
    path: &str,
    named: &EndNames<'_>,
    reading: &mut ValueReader<'_>,
) -> Option<String> {
    let name = reading.text(node, path, "recipient")?;
    if !named.subjects.contains(&name) {
        let what = format!("cells count people, and `{name}` is not one of the product's subjects");
        let help = match named.subjects {
            [] => "list it under subjects".to_owned(),
            known => did_you_mean(name, known),
        };
        reading.problems.error(node.at, path, what, help);
        return None;
    }
    Some(name.to_owned())
}

impl EndNames<'_> {
    /// Reads a column that is kept: of a cell, or to be summed.
    fn part(
        &self,
        node: &YamlNode,
        path: &str,
        sum: bool,
        reading: &mut ValueReader<'_>,
    ) -> Option<String> {
        let name = reading.text(node, path, "status")?;
        if self.derived.contains(&name) {
            if !sum {
                return Some(name.to_owned());
            }
            reading.problems.error(
                node.at,
                path,
                format!("`{name}` is derived, and its sum says nothing"),
                "leave it out",
            );
            return None;
        }
        let refused = if self.subjects.contains(&name) {
            Some(format!("`{name}` names a person and would stay for ever"))
        } else {
            let category = self.columns.category(name);
            category.map(|category| {
                format!("`{name}` is personal ({category}) and would stay for ever")
            })
        };
        if let Some(what) = refused {
            let help = if sum {
                "sum a column that is `none`"
            } else {
                "name a column that is `none`, or derive one from it"
            };
            reading.problems.error(node.at, path, what, help);
            return None;
        }
        let near = nearest(name, self.derived.iter().copied());
        let exists = self
            .columns
            .schema
            .as_ref()
            .is_none_or(|schema| schema.column(name).is_some());
        if let Some(near) = near.filter(|_| !exists) {
            let what = format!("there is no column `{name}`");
            reading
                .problems
                .error(node.at, path, what, format!("did you mean `{near}`?"));
            return None;
        }
        let (role, kind) = if sum {
            ("a sum", RequiredType::Number)
        } else {
            ("a cell", RequiredType::Single)
        };
        self.columns
            .want(node, path, ColumnUse { role, kind }, reading)
    }
}
