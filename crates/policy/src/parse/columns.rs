//! The columns of one product, and the check that a name in the policy means a column that exists,
//! is stored and has the right type.
//!
//! Invariant: a wrong name is reported once, and a column whose class could not be read causes no
//! further problem.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::DataType;

use super::super::draft::DraftCategory;
use super::super::model::ColumnClass;
use super::super::tags::is_tag;
use super::value_reader::{ValueReader, did_you_mean};
use crate::schema::{Column, Schema};
use ebbtide_base::ids::Category;
use ebbtide_base::problem::TextPosition;
use ebbtide_base::yaml::{YamlNode, join};

/// The position of a key of the policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPosition<'k> {
    /// The position in the text.
    pub(super) at: TextPosition,
    /// The path of the key: `products.sms.tenant`.
    pub(super) path: &'k str,
}

/// The use of a column that the policy names.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnUse<'u> {
    /// The use, as in messages: `the event time`.
    pub(super) role: &'u str,
    /// The type that the use needs.
    pub(super) kind: RequiredType,
}

/// The type that a column must have for its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequiredType {
    /// Text.
    Text,
    /// An instant.
    Time,
    /// An instant, or a wall-clock time.
    Clock,
    /// A number.
    Number,
    /// One value, not a list or a map.
    Single,
}

impl RequiredType {
    /// Returns true if `column` has this role; `converted` states that its wall-clock times become
    /// instants.
    fn fits(self, column: &Column, converted: bool) -> bool {
        let data_type = &column.data_type;
        match self {
            RequiredType::Text => *data_type == DataType::Utf8,
            RequiredType::Time => {
                matches!(data_type, DataType::Timestamp(_, Some(_))) && (converted || !column.local)
            }
            RequiredType::Clock => matches!(data_type, DataType::Timestamp(_, Some(_))),
            RequiredType::Number => data_type.is_numeric(),
            RequiredType::Single => !data_type.is_nested() && !data_type.is_binary(),
        }
    }

    /// Returns the actual type of `column`, and the fix.
    fn words(self, column: &Column) -> (&'static str, &'static str) {
        const INSTANT: &str = "name a column of the Avro type timestamp-millis or timestamp-micros";
        match self {
            RequiredType::Time if column.local => (
                "what a clock on the wall shows (a local-timestamp), and no zone says which instant that is",
                "send it as timestamp-millis; for an event time you may name the zone of its clocks instead: \
                 `event_time_zone: Europe/Amsterdam`",
            ),
            RequiredType::Time | RequiredType::Clock if column.data_type == DataType::Date32 => {
                ("a day without a time", INSTANT)
            }
            RequiredType::Time | RequiredType::Clock => ("no instant", INSTANT),
            RequiredType::Text => (
                "no text",
                "name a column of the Avro type string, uuid or enum",
            ),
            RequiredType::Number => ("no number", "name a column of an Avro number or decimal"),
            RequiredType::Single => ("a list, a map or bytes", "name a column of one value"),
        }
    }
}

/// The columns of one product.
#[derive(Debug)]
pub(super) struct ProductColumns {
    /// The schema, if it could be read.
    pub(super) schema: Option<Arc<Schema>>,
    /// The class of each column, if it could be read.
    pub(super) fields: BTreeMap<String, ColumnClass>,
    /// Every column that the policy names, even if its class could not be read.
    named: BTreeSet<String>,
    /// The column whose wall-clock times become instants before they are used.
    pub(super) converted: Option<String>,
}

impl ProductColumns {
    /// Reads `fields` and compares them with the schema. `product` has the path of the product and
    /// the position at which the policy names the schema. Also returns the first column of each personal category, with its
    /// position.
    pub(super) fn read(
        node: Option<&YamlNode>,
        schema: Option<Arc<Schema>>,
        categories: &BTreeMap<Category, DraftCategory>,
        product: KeyPosition<'_>,
        reading: &mut ValueReader<'_>,
    ) -> (Self, BTreeMap<Category, (String, TextPosition)>) {
        let mut columns = Self {
            schema,
            fields: BTreeMap::new(),
            named: BTreeSet::new(),
            converted: None,
        };
        let mut personal = BTreeMap::new();
        let Some(node) = node else {
            return (columns, personal);
        };
        let path = join(product.path, "fields");
        for entry in reading.entries(node, &path, "{ recipient: phone_number, status: none }") {
            let path = join(&path, &entry.key);
            columns.named.insert(entry.key.clone());
            let position = KeyPosition {
                at: entry.at,
                path: &path,
            };
            columns.check_named(&entry.key, position, reading);
            let class = match reading.text(&entry.value, &path, "none") {
                Some("none") => ColumnClass::NotPersonal,
                Some(text) => match Category::new(text)
                    .ok()
                    .filter(|category| categories.contains_key(category))
                {
                    Some(category) => {
                        personal
                            .entry(category.clone())
                            .or_insert_with(|| (entry.key.clone(), entry.at));
                        ColumnClass::Personal(category)
                    }
                    None => {
                        let known: Vec<&str> = categories
                            .keys()
                            .map(Category::as_str)
                            .chain(["none"])
                            .collect();
                        let what = format!("there is no category `{text}`");
                        reading.problems.error(
                            entry.value.at,
                            &path,
                            what,
                            did_you_mean(text, &known),
                        );
                        continue;
                    }
                },
                None => continue,
            };
            columns.fields.insert(entry.key.clone(), class);
        }
        columns.check_unnamed(product, reading);
        (columns, personal)
    }

    fn check_named(&self, name: &str, position: KeyPosition<'_>, reading: &mut ValueReader<'_>) {
        let KeyPosition { at, path } = position;
        let Some(schema) = &self.schema else { return };
        if schema.column(name).is_some() {
            return;
        }
        let by_path = schema
            .columns
            .iter()
            .find(|column| column.path.join(".") == name);
        let help = match by_path {
            Some(column) => format!(
                "nested fields are named by their column: write `{}`",
                column.name
            ),
            None => did_you_mean(name, &names(&schema.columns)),
        };
        reading
            .problems
            .error(at, path, format!("the schema has no column `{name}`"), help);
    }

    fn check_unnamed(&self, product: KeyPosition<'_>, reading: &mut ValueReader<'_>) {
        let KeyPosition { at, path } = product;
        let Some(schema) = &self.schema else { return };
        for column in &schema.columns {
            let name = &column.name;
            if is_tag(name) {
                let product = path.rsplit('.').next().unwrap_or_default();
                let field = column.path.join(".");
                let other = format!("{product}_{}", name.to_ascii_lowercase());
                let what =
                    format!("the schema's field `{field}` has the name of a tag column, `{name}`");
                let help = format!(
                    "rename it in the schema, for instance to `{other}`, with `{}` among its aliases",
                    column.path.last().map_or("", String::as_str)
                );
                reading
                    .problems
                    .error(at, &join(path, "schema"), what, help);
            } else if !self.named.contains(name) {
                let what =
                    format!("the schema's field `{name}` is not classified and will not be stored");
                let help = format!(
                    "write `{name}: <category>` or `{name}: none` under fields, or leave it out on purpose"
                );
                reading
                    .problems
                    .warning(at, &join(path, "fields"), what, help);
            }
        }
    }

    /// Returns the column that `node` names, if it is stored and has the type that its use needs,
    /// and reports an error otherwise.
    pub(super) fn want(
        &self,
        node: &YamlNode,
        path: &str,
        wanted: ColumnUse<'_>,
        reading: &mut ValueReader<'_>,
    ) -> Option<String> {
        let name = reading.text(node, path, "a column's name")?;
        self.want_named(name, KeyPosition { at: node.at, path }, wanted, reading)
    }

    /// Does the same as [`ProductColumns::want`] for a name at a position.
    pub(super) fn want_named(
        &self,
        name: &str,
        position: KeyPosition<'_>,
        wanted: ColumnUse<'_>,
        reading: &mut ValueReader<'_>,
    ) -> Option<String> {
        let KeyPosition { at, path } = position;
        let ColumnUse { role, kind } = wanted;
        let column = self.schema.as_ref().map(|schema| schema.column(name));
        match column {
            Some(None) => {
                let schema = self
                    .schema
                    .as_ref()
                    .map(|schema| names(&schema.columns))
                    .unwrap_or_default();
                let what =
                    format!("{role} is to come from `{name}`, but the schema has no such column");
                reading
                    .problems
                    .error(at, path, what, did_you_mean(name, &schema));
                return None;
            }
            Some(Some(column)) if !kind.fits(column, self.converted.as_deref() == Some(name)) => {
                let (is, help) = kind.words(column);
                reading.problems.error(
                    at,
                    path,
                    format!("{role} cannot come from `{name}`: it is {is}"),
                    help,
                );
                return None;
            }
            _ => {}
        }
        if !self.named.contains(name) {
            let what = format!(
                "{role} is to come from `{name}`, which is not under fields and so is never stored"
            );
            reading
                .problems
                .error(at, path, what, format!("classify `{name}` under fields"));
            return None;
        }
        Some(name.to_owned())
    }

    /// Returns the category of a column, if it is personal.
    pub(super) fn category(&self, name: &str) -> Option<&Category> {
        self.fields.get(name)?.category()
    }
}

fn names(columns: &[Column]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}
