//! Derives the columns of a product's table from its schema: nested records are flattened, an array
//! or a map is one column.
//!
//! Every column has a type that Delta Lake has. A field that has none is reported, never skipped
//! silently.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field as ArrowField, Fields, TimeUnit};

use super::column::Column;
use super::error::{SchemaError, SchemaProblem};
use super::model::{Field, Model, Type, TypeId};

/// The maximum number of digits of a Delta Lake decimal.
const DECIMAL_DIGITS: usize = 38;
/// The maximum depth of nested records.
const MOST_DEPTH: usize = 16;

/// Returns the columns of a schema whose top is a record, in its order. Errors list every field
/// that a table cannot contain.
pub(super) fn columns(model: &Model) -> Result<Vec<Column>, SchemaError> {
    let mut flatten = Flatten {
        model,
        columns: Vec::new(),
        found: Vec::new(),
        within: Vec::new(),
        aliases: Vec::new(),
    };
    match model.get(model.root) {
        Type::Record { fields, .. } => flatten.record(model.root, fields, &[], false),
        _ => flatten.unfit(
            &[],
            "the schema is not a record",
            "wrap it in a record with one field",
        ),
    }
    flatten.collisions();
    if flatten.columns.is_empty() && flatten.found.is_empty() {
        flatten.unfit(&[], "the record has no fields", "give it at least one");
    }
    if flatten.found.is_empty() {
        Ok(flatten.columns)
    } else {
        Err(SchemaError {
            found: flatten.found,
        })
    }
}

/// Returns the type of a list. The names of the fields in lists and maps are those of Delta Lake's
/// own readers.
pub(super) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(ArrowField::new("element", item, true)))
}

fn map_of(value: DataType) -> DataType {
    let key = ArrowField::new("key", DataType::Utf8, false);
    let entries = DataType::Struct(Fields::from(vec![
        key,
        ArrowField::new("value", value, true),
    ]));
    DataType::Map(
        Arc::new(ArrowField::new("key_value", entries, false)),
        false,
    )
}

struct Flatten<'m> {
    model: &'m Model,
    columns: Vec<Column>,
    found: Vec<SchemaProblem>,
    within: Vec<TypeId>,
    /// The aliases of each field on the path to the current one.
    aliases: Vec<Vec<String>>,
}

impl Flatten<'_> {
    fn unfit(&mut self, path: &[String], what: impl Into<String>, help: impl Into<String>) {
        self.found.push(SchemaProblem {
            path: path.join("."),
            what: what.into(),
            help: help.into(),
        });
    }

    /// Enters a record. Returns false and reports the record if it contains itself or is nested too
    /// deeply.
    fn enter(&mut self, id: TypeId, path: &[String]) -> bool {
        if self.within.contains(&id) {
            self.unfit(
                path,
                "the record holds itself",
                "a table has no recursive type: send its parts as an array",
            );
            return false;
        }
        if self.within.len() == MOST_DEPTH {
            self.unfit(
                path,
                format!("records nest deeper than {MOST_DEPTH}"),
                "flatten them",
            );
            return false;
        }
        self.within.push(id);
        true
    }

    fn record(&mut self, id: TypeId, fields: &[Field], path: &[String], nullable: bool) {
        if !self.enter(id, path) {
            return;
        }
        for field in fields {
            let mut path = path.to_vec();
            path.push(field.name.clone());
            self.aliases.push(field.aliases.clone());
            self.field(field, path, nullable);
            self.aliases.pop();
        }
        self.within.pop();
    }

    fn field(&mut self, field: &Field, path: Vec<String>, outer: bool) {
        let Some((nullable, of)) = self.optional(field.of, &path) else {
            return;
        };
        let nullable = nullable || outer;
        if let Type::Record { fields, .. } = self.model.get(of) {
            self.record(of, fields, &path, nullable);
        } else if let Some(data_type) = self.data_type(of, &path) {
            let (name, doc) = (path.join("_"), field.doc.clone());
            let aliases = self.aliases.clone();
            let local = matches!(self.model.get(of), Type::LocalTimestamp(_));
            self.columns.push(Column {
                name,
                path,
                aliases,
                data_type,
                local,
                nullable,
                doc,
            });
        }
    }

    fn optional(&mut self, id: TypeId, path: &[String]) -> Option<(bool, TypeId)> {
        let optional = self.model.optional(id);
        if optional.is_none() {
            let what = "a union of anything but null and one other type has no type in a table";
            self.unfit(
                path,
                what,
                "use a field of its own for each branch, nullable",
            );
        }
        optional
    }

    fn data_type(&mut self, id: TypeId, path: &[String]) -> Option<DataType> {
        let micros = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let model = self.model;
        Some(match model.get(id) {
            Type::Boolean => DataType::Boolean,
            Type::Int => DataType::Int32,
            Type::Long | Type::Time(_) => DataType::Int64,
            Type::Float => DataType::Float32,
            Type::Double => DataType::Float64,
            Type::Bytes | Type::Fixed(_) => DataType::Binary,
            Type::Text | Type::Enum { .. } | Type::Uuid(_) => DataType::Utf8,
            Type::Date => DataType::Date32,
            Type::Timestamp(_) | Type::LocalTimestamp(_) => micros(),
            Type::Decimal {
                precision, scale, ..
            } => return self.decimal(*precision, *scale, path),
            Type::Array(item) => {
                let (_, item) = self.optional(*item, path)?;
                list_of(self.data_type(item, path)?)
            }
            Type::Map(value) => {
                let (_, value) = self.optional(*value, path)?;
                map_of(self.data_type(value, path)?)
            }
            Type::Record { fields, .. } => return self.structure(id, fields, path),
            Type::Union(_) => return None,
            Type::Null => {
                self.unfit(
                    path,
                    "a field that is always null has no type in a table",
                    "give it the type it will have",
                );
                return None;
            }
            Type::BigDecimal => {
                self.unfit(
                    path,
                    "a big-decimal has no fixed scale",
                    "use a decimal with precision and scale",
                );
                return None;
            }
            Type::Unreadable(why) => {
                self.unfit(
                    path,
                    format!("not an Avro schema: {why}"),
                    "see the Avro specification",
                );
                return None;
            }
            Type::Duration => {
                let help = "send it as a long, with the unit in its name";
                self.unfit(
                    path,
                    "a duration (months, days, milliseconds) has no type in a table",
                    help,
                );
                return None;
            }
        })
    }

    fn decimal(&mut self, precision: usize, scale: usize, path: &[String]) -> Option<DataType> {
        match (u8::try_from(precision), i8::try_from(scale)) {
            _ if precision == 0 || scale > precision => {
                let what = format!(
                    "a decimal of {precision} digits, {scale} of them after the point, is impossible"
                );
                self.unfit(
                    path,
                    what,
                    "give it a precision of at least 1 and of at least its scale",
                );
                None
            }
            (Ok(p), Ok(s)) if precision <= DECIMAL_DIGITS => Some(DataType::Decimal128(p, s)),
            _ => {
                let what = format!(
                    "a decimal of {precision} digits is wider than a table's {DECIMAL_DIGITS}"
                );
                self.unfit(path, what, "lower its precision");
                None
            }
        }
    }

    /// Returns the type of a record within an array or a map: it is a part of one column's value,
    /// so it stays nested.
    fn structure(&mut self, id: TypeId, fields: &[Field], path: &[String]) -> Option<DataType> {
        if fields.is_empty() {
            self.unfit(
                path,
                "a record without fields has no type in a table",
                "give it a field, or leave it out",
            );
            return None;
        }
        if !self.enter(id, path) {
            return None;
        }
        let before = self.found.len();
        let mut children = Vec::with_capacity(fields.len());
        for field in fields {
            let mut path = path.to_vec();
            path.push(field.name.clone());
            let of = self.optional(field.of, &path).map(|(_, of)| of);
            let data_type = of.and_then(|of| self.data_type(of, &path));
            children.extend(data_type.map(|of| ArrowField::new(&field.name, of, true)));
        }
        self.within.pop();
        (self.found.len() == before).then(|| DataType::Struct(Fields::from(children)))
    }

    /// Reports columns whose names differ only by case: engines compare names case-insensitively.
    fn collisions(&mut self) {
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut found = Vec::new();
        for column in &self.columns {
            let path = column.path.join(".");
            if let Some(other) = seen.insert(column.name.to_lowercase(), path.clone()) {
                let what = format!(
                    "`{path}` and `{other}` both flatten to the column `{}`",
                    column.name
                );
                found.push(SchemaProblem {
                    path,
                    what,
                    help: "rename one of them, with the old name as an alias".to_owned(),
                });
            }
        }
        self.found.extend(found);
    }
}
