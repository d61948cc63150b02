//! One product of a policy: its topics, schema, columns, subjects and end.
//!
//! Invariant: everything else that names the product can be checked, even if a part of the product
//! could not be read.

mod jurisdiction;
mod subjects;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono_tz::Tz;

pub(super) use self::jurisdiction::country;
use self::jurisdiction::jurisdiction;
use self::subjects::subjects;
use super::super::draft::{DraftCategory, DraftProduct};
use super::super::model::{OtherRecords, Records};
use super::super::text::SchemaSource;
use super::columns::{ColumnUse, KeyPosition, ProductColumns, RequiredType};
use super::end::{EndNames, derive, end};
use super::records::{self, OwnRecords};
use super::value_reader::ValueReader;
use super::zone;
use crate::schema::Schema;
use ebbtide_base::ids::{Category, Country, ProductKey, Topic};
use ebbtide_base::problem::TextPosition;
use ebbtide_base::yaml::{YamlNode, check_keys, join};

const KEYS: [&str; 13] = [
    "title",
    "records",
    "topics",
    "schema",
    "event_time",
    "event_time_zone",
    "tenant",
    "jurisdiction",
    "subjects",
    "default_country",
    "fields",
    "derive",
    "end",
];

/// The context in which a product is read.
pub(super) struct ProductContext<'a> {
    pub(super) categories: &'a BTreeMap<Category, DraftCategory>,
    pub(super) schemas: &'a dyn SchemaSource,
    pub(super) path: String,
}

/// An entry of a topic in the list of a product.
pub(super) struct TopicEntry {
    /// The path of the list.
    product: String,
    at: TextPosition,
}

/// Reads one product. `topics` are those of the products before it.
pub(super) fn read(
    key: ProductKey,
    node: &YamlNode,
    context: &ProductContext<'_>,
    topics: &mut BTreeMap<Topic, TopicEntry>,
    reading: &mut ValueReader<'_>,
) -> DraftProduct {
    let path = &context.path;
    check_keys(node, &KEYS, path, reading.problems);
    let title = reading
        .maybe(node, "title")
        .and_then(|node| reading.words(node, &join(path, "title"), 200));
    let mut draft = DraftProduct {
        key,
        title: title.map(str::to_owned),
        has_records: true,
        records: None,
        personal: BTreeMap::new(),
        jurisdiction: None,
        has_tenant: node.get("tenant").is_some(),
        counted: None,
        subjects: None,
    };
    let mut own = OwnRecords::default();
    if let Some(records) = reading.maybe(node, "records") {
        let path = join(path, "records");
        match records.text() {
            Some("none") => {
                draft.has_records = false;
                no_records(node, &context.path, reading);
                return draft;
            }
            Some(text) => {
                let what = format!("`records: {text}` means nothing");
                let help = "write `none` for a product without records of its own, or leave it out";
                reading.problems.error(records.at, &path, what, help);
            }
            None => own = records::read(records, &path, reading),
        }
    }
    if !matches!(node.value, ebbtide_base::yaml::YamlValue::Map(_)) {
        return draft;
    }
    if !node
        .entries()
        .iter()
        .any(|entry| KEYS[2..].contains(&entry.key.as_str()))
    {
        let what = "the source of its records is missing";
        let help =
            "write topics, schema, event_time, jurisdiction, fields and end, or `records: none`";
        reading.problems.error(node.at, path, what, help);
        return draft;
    }
    draft.records = records(&mut draft, node, context, topics, reading);
    if let Some(records) = &mut draft.records {
        records.others = own.others;
        records.schema = own.of(
            Arc::clone(&records.schema),
            node.get("records").unwrap_or(node),
            path,
            reading,
        );
    }
    draft
}

fn no_records(node: &YamlNode, path: &str, reading: &mut ValueReader<'_>) {
    for entry in node
        .entries()
        .iter()
        .filter(|entry| KEYS[2..].contains(&entry.key.as_str()))
    {
        let what = format!(
            "`{}` is not allowed in a product without records",
            entry.key
        );
        reading.problems.error(
            entry.at,
            &join(path, &entry.key),
            what,
            "take it out, or take out `records: none`",
        );
    }
}

fn records(
    draft: &mut DraftProduct,
    node: &YamlNode,
    context: &ProductContext<'_>,
    topics: &mut BTreeMap<Topic, TopicEntry>,
    reading: &mut ValueReader<'_>,
) -> Option<Records> {
    let path = &context.path;
    let own = reading
        .need(node, "topics", path, "[traffic.sms]")
        .map(|node| read_topics(node, path, topics, reading));
    let schema_node = reading.need(node, "schema", path, "../schemas/sms.avsc");
    let schema = schema_node.and_then(|node| read_schema(node, path, context.schemas, reading));
    let fields = reading.need(
        node,
        "fields",
        path,
        "{ recipient: phone_number, status: none }",
    );
    let position = KeyPosition {
        at: schema_node.map_or(node.at, |node| node.at),
        path,
    };
    let (mut columns, personal) =
        ProductColumns::read(fields, schema, context.categories, position, reading);
    draft.personal = personal;
    let (event_time, event_time_zone) = event_time(node, path, &columns, reading);
    // The tagger converts its wall-clock times to instants, so it counts as an instant from here
    // on.
    columns.converted = event_time.clone().filter(|_| event_time_zone.is_some());
    let tenant = reading.maybe(node, "tenant").map(|node| {
        columns.want(
            node,
            &join(path, "tenant"),
            ColumnUse {
                role: "the tenant",
                kind: RequiredType::Text,
            },
            reading,
        )
    });
    let example = "{ country_of: recipient }";
    draft.jurisdiction = reading
        .need(node, "jurisdiction", path, example)
        .and_then(|node| jurisdiction(node, &join(path, "jurisdiction"), &columns, reading));
    let subjects = reading.maybe(node, "subjects").map(|node| {
        let read = subjects(node, &join(path, "subjects"), &columns, reading);
        let categories: BTreeSet<Category> = read
            .iter()
            .filter_map(|subject| columns.category(&subject.column).cloned())
            .collect();
        draft.subjects = Some((categories, node.at));
        read
    });
    let subjects = subjects.unwrap_or_default();
    let default_country = default_country(node, path, reading);
    let derived = reading.maybe(node, "derive");
    let derive = derived
        .map(|node| derive(&columns, node, &join(path, "derive"), reading))
        .unwrap_or_default();
    let named = EndNames {
        columns: &columns,
        subjects: &keys(node, "subjects"),
        derived: &keys(node, "derive"),
    };
    let end = reading
        .need(node, "end", path, "remove")
        .and_then(|node| end(node, &join(path, "end"), &named, reading));
    let (end, counted) = end?;
    draft.counted = counted;
    Some(Records {
        topics: own?,
        event_time: event_time?,
        event_time_zone,
        tenant: match tenant {
            None => None,
            Some(tenant) => Some(tenant?),
        },
        jurisdiction: draft.jurisdiction.clone()?,
        subjects,
        default_country: default_country?,
        derive,
        end,
        schema: columns.schema?,
        others: OtherRecords::default(),
        fields: columns.fields,
    })
}

/// Reads the country of the national numbers in the phone columns, if one is given; `None` if the
/// value is not a country.
fn default_country(
    node: &YamlNode,
    path: &str,
    reading: &mut ValueReader<'_>,
) -> Option<Option<Country>> {
    let Some(node) = reading.maybe(node, "default_country") else {
        return Some(None);
    };
    let path = join(path, "default_country");
    let code = reading.text(node, &path, "NL")?;
    let position = KeyPosition {
        at: node.at,
        path: &path,
    };
    country(code, position, reading).map(Some)
}

/// Reads the event time's column, and the zone of its wall-clock times if it has them.
fn event_time(
    node: &YamlNode,
    path: &str,
    columns: &ProductColumns,
    reading: &mut ValueReader<'_>,
) -> (Option<String>, Option<Tz>) {
    let zone_node = reading.maybe(node, "event_time_zone");
    let zone_path = join(path, "event_time_zone");
    let zone = zone_node.and_then(|node| zone(node, &zone_path, reading));
    let kind = if zone_node.is_some() {
        RequiredType::Clock
    } else {
        RequiredType::Time
    };
    let column = reading
        .need(node, "event_time", path, "sent_at")
        .and_then(|node| {
            columns.want(
                node,
                &join(path, "event_time"),
                ColumnUse {
                    role: "the event time",
                    kind,
                },
                reading,
            )
        });
    if let (Some(node), Some(name)) = (zone_node, &column)
        && columns
            .schema
            .as_ref()
            .and_then(|schema| schema.column(name))
            .is_some_and(|column| !column.local)
    {
        let what = format!("`{name}` is an instant already, so no zone can say when it was");
        reading
            .problems
            .error(node.at, &zone_path, what, "take event_time_zone out");
    }
    (column, zone)
}

/// Returns the keys of the mapping under `key`.
fn keys<'n>(node: &'n YamlNode, key: &str) -> Vec<&'n str> {
    node.get(key)
        .map(YamlNode::entries)
        .unwrap_or_default()
        .iter()
        .map(|entry| entry.key.as_str())
        .collect()
}

fn read_topics(
    node: &YamlNode,
    path: &str,
    taken: &mut BTreeMap<Topic, TopicEntry>,
    reading: &mut ValueReader<'_>,
) -> Vec<Topic> {
    let path = join(path, "topics");
    let items = reading.items(node, &path, "[traffic.sms]");
    if items.is_empty() && node.list().is_some() {
        reading.problems.error(
            node.at,
            &path,
            "no topic is listed",
            "list one, or write `records: none`",
        );
    }
    let mut topics = Vec::new();
    for item in items {
        let Some(topic) = reading.parsed::<Topic>(item, &path, "traffic.sms") else {
            continue;
        };
        if let Some(TopicEntry { product, at }) = taken.get(&topic) {
            let what = format!(
                "the topic `{topic}` is read already by {product} (line {})",
                at.line
            );
            reading
                .problems
                .error(item.at, &path, what, "give each topic to one product, once");
            continue;
        }
        let entry = TopicEntry {
            product: path.clone(),
            at: item.at,
        };
        taken.insert(topic.clone(), entry);
        topics.push(topic);
    }
    topics
}

fn read_schema(
    node: &YamlNode,
    path: &str,
    schemas: &dyn SchemaSource,
    reading: &mut ValueReader<'_>,
) -> Option<Arc<Schema>> {
    let path = join(path, "schema");
    let name = reading.words(node, &path, 1024)?;
    let text = match schemas.load(name) {
        Ok(text) => text,
        Err(why) => {
            let help = "write its path relative to the folder of this policy file";
            reading.problems.error(
                node.at,
                &path,
                format!("the schema `{name}` cannot be read: {why}"),
                help,
            );
            return None;
        }
    };
    match Schema::parse(&text) {
        Ok(schema) => Some(Arc::new(schema)),
        Err(error) => {
            for unfit in error.found {
                let field = if unfit.path.is_empty() {
                    String::new()
                } else {
                    format!(", `{}`", unfit.path)
                };
                reading.problems.error(
                    node.at,
                    &path,
                    format!("in {name}{field}: {}", unfit.what),
                    unfit.help,
                );
            }
            None
        }
    }
}
