//! A product's own schema: what every message of it is read as, and the columns of its table.
//!
//! Promises that a schema that parses fits a Delta table; must never guess a type.

use std::sync::Arc;

use apache_avro::Schema as Avro;

use super::column::Column;
use super::columns;
use super::error::SchemaError;
use super::model::{Model, Type};

/// A product's own (reader's) schema, and the columns that it flattens to.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The record's full name.
    pub name: String,
    /// The columns, in the order of the schema.
    pub columns: Vec<Column>,
    text: String,
    model: Arc<Model>,
}

impl Schema {
    /// Parses the product's own schema. Errors tell every field that a Delta table cannot hold: a union of more than null and one
    /// type, a recursive record, a duration, a type that is always null, names that flatten to one column.
    pub fn parse(json: &str) -> Result<Schema, SchemaError> {
        let model = parse(json)?;
        let columns = columns::columns(&model)?;
        let name = match model.get(model.root) {
            Type::Record { name, .. } => name.clone(),
            _ => String::new(),
        };
        let text = serde_json::from_str::<serde_json::Value>(json).map(|value| value.to_string());
        Ok(Schema { name, columns, text: text.unwrap_or_else(|_| json.to_owned()), model: Arc::new(model) })
    }

    /// The column of that flattened name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The schema as compact JSON, with its docs, defaults and aliases.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }
}

/// Parses any Avro schema.
pub(super) fn parse(json: &str) -> Result<Model, SchemaError> {
    let avro = Avro::parse_str(json)
        .map_err(|error| SchemaError::one("", format!("not an Avro schema: {error}"), "see the Avro specification"))?;
    Model::of(&avro)
}
