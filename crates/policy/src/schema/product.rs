//! A product's own schema: the type as which every message is read, and the columns of its table.
//!
//! A schema that parses fits a Delta table. No type is guessed.

use std::sync::Arc;

use super::column::Column;
use super::error::{SchemaError, SchemaProblem};
use super::model::Model;
use super::parse::{ParsedSchema, parse};
use super::{columns, defaults};

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
    /// Parses the product's own schema. Errors name every field that a Delta table cannot contain:
    /// a union of more than null and one type, a recursive record, a duration, a type that is
    /// always null, names that flatten to one column; and every contradiction, such as a default
    /// that does not have its field's type.
    pub fn parse(json: &str) -> Result<Schema, SchemaError> {
        let ParsedSchema {
            json,
            model,
            remarks,
        } = parse(json, &[])?;
        let found = match columns::columns(&model) {
            Ok(columns) => {
                let found: Vec<SchemaProblem> = remarks
                    .into_iter()
                    .chain(defaults::misfits(&model))
                    .collect();
                if found.is_empty() {
                    let name = model
                        .name(model.root)
                        .map_or_else(String::new, |name| name.full.clone());
                    return Ok(Schema {
                        name,
                        columns,
                        text: json.to_string(),
                        model: Arc::new(model),
                    });
                }
                found
            }
            Err(error) => remarks.into_iter().chain(error.found).collect(),
        };
        Err(SchemaError { found })
    }

    /// Reads the product's records from writers' records of `names` only: a full name if it has a
    /// dot, otherwise an unqualified name of any namespace. Without this call they are read from
    /// records of the schema's own unqualified name and its aliases.
    #[must_use]
    pub fn with_record_names(mut self, names: &[String]) -> Schema {
        Arc::make_mut(&mut self.model).accept_only(names);
        self
    }

    /// Returns true if records of the schema's own name are the product's.
    #[must_use]
    pub fn reads_its_own_record(&self) -> bool {
        self.model
            .name(self.model.root)
            .is_none_or(|name| name.reads(name))
    }

    /// Returns the column of that flattened name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the schema as compact JSON, with its docs, defaults and aliases.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }
}
