//! The names of the records that are a product's, and the treatment of the other records of its
//! topics.

use std::sync::Arc;

use super::super::model::OtherRecords;
use super::value_reader::ValueReader;
use crate::schema::Schema;
use ebbtide_base::yaml::{YamlNode, YamlValue, check_keys, join};

const FORM: &str = "{ names: [com.example.Sms], others: skip }";
/// The longest name of a record, in bytes.
const MOST_NAME: usize = 512;

/// The content of `records` of a product.
#[derive(Default)]
pub(super) struct OwnRecords {
    /// The listed names; `None` if the schema's own name and aliases count.
    names: Option<Vec<String>>,
    /// The treatment of the other records.
    pub(super) others: OtherRecords,
}

/// Reads the mapping under `records`.
pub(super) fn read(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> OwnRecords {
    if !matches!(node.value, YamlValue::Map(_)) {
        let what = format!("expected `none` or a mapping, found {}", node.kind());
        reading
            .problems
            .error(node.at, path, what, format!("write `none`, or `{FORM}`"));
        return OwnRecords::default();
    }
    check_keys(node, &["names", "others"], path, reading.problems);
    let names = reading
        .maybe(node, "names")
        .map(|node| names(node, &join(path, "names"), reading));
    let others = reading.maybe(node, "others").and_then(|node| {
        let words = [
            ("skip", OtherRecords::Skip),
            ("dead_letter", OtherRecords::DeadLetter),
        ];
        reading.one_of(node, &join(path, "others"), &words)
    });
    OwnRecords {
        names,
        others: others.unwrap_or_default(),
    }
}

fn names(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) -> Vec<String> {
    let items = reading.items(node, path, "[com.example.Sms]");
    if items.is_empty() && node.list().is_some() {
        reading.problems.error(
            node.at,
            path,
            "no record is listed",
            "list one, or leave `names` out",
        );
    }
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = reading.words(item, path, MOST_NAME) else {
            continue;
        };
        if names.iter().any(|other| other == name) {
            reading.problems.error(
                item.at,
                path,
                format!("`{name}` is listed twice"),
                "list each record once",
            );
            continue;
        }
        names.push(name.to_owned());
    }
    names
}

impl OwnRecords {
    /// Returns the schema restricted to the listed records. Warns if its own record is not listed.
    pub(super) fn of(
        &self,
        schema: Arc<Schema>,
        node: &YamlNode,
        path: &str,
        reading: &mut ValueReader<'_>,
    ) -> Arc<Schema> {
        let Some(names) = self.names.as_ref().filter(|names| !names.is_empty()) else {
            return schema;
        };
        let schema = Arc::unwrap_or_clone(schema).with_record_names(names);
        if !schema.reads_its_own_record() {
            let what = format!(
                "the schema's own record `{}` is not listed: none of them is stored",
                schema.name
            );
            reading.problems.warning(
                node.at,
                &join(path, "records"),
                what,
                "list it too, unless no producer writes it",
            );
        }
        Arc::new(schema)
    }
}
