//! An Avro schema as a table of types, with every name resolved: what columns, plans and checks are compiled from.
//!
//! Promises that every `TypeId` it hands out is in its table; a recursive schema is a cycle of ids, never endless.

use std::collections::HashMap;

use apache_avro::Schema as Avro;
use apache_avro::schema::{InnerDecimalSchema, NamespaceRef, UuidSchema};
use serde_json::Value as Json;

use super::error::SchemaError;

/// A place in a [`Model`]'s table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeId(usize);

/// What one tick of a time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tick {
    Millis,
    Micros,
    Nanos,
}

/// How a uuid is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UuidForm {
    Text,
    Bytes,
    Fixed,
}

/// One field of a record.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) doc: Option<String>,
    pub(super) default: Option<Json>,
    pub(super) of: TypeId,
}

/// One type, as its bytes and its meaning need it.
#[derive(Debug, Clone)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum {
        symbols: Vec<String>,
        default: Option<String>,
    },
    Array(TypeId),
    Map(TypeId),
    Union(Vec<TypeId>),
    Record {
        name: String,
        fields: Vec<Field>,
    },
    /// `size` is that of the fixed; `None` for bytes.
    Decimal {
        precision: usize,
        scale: usize,
        size: Option<usize>,
    },
    BigDecimal,
    Uuid(UuidForm),
    Date,
    Time(Tick),
    Timestamp(Tick),
    Duration,
}

/// A schema's types. Parsing has checked every reference.
#[derive(Debug, Clone)]
pub(super) struct Model {
    types: Vec<Type>,
    pub(super) root: TypeId,
}

impl Model {
    pub(super) fn of(avro: &Avro) -> Result<Model, SchemaError> {
        let mut build = Build { types: Vec::new(), names: HashMap::new() };
        let root = build.add(avro, None)?;
        Ok(Model { types: build.types, root })
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        // Ids come from this table alone, so the fallback is never taken.
        self.types.get(id.0).unwrap_or(&Type::Null)
    }

    pub(super) fn len(&self) -> usize {
        self.types.len()
    }

    pub(super) fn index(id: TypeId) -> usize {
        id.0
    }

    /// Whether null is one of its values, and the one other type that it has, if it is one: `[null, T]` is `T`, or null.
    pub(super) fn optional(&self, id: TypeId) -> Option<(bool, TypeId)> {
        let Type::Union(branches) = self.get(id) else {
            return Some((false, id));
        };
        match branches.as_slice() {
            [one] => Some((false, *one)),
            [a, b] if matches!(self.get(*a), Type::Null) => Some((true, *b)),
            [a, b] if matches!(self.get(*b), Type::Null) => Some((true, *a)),
            _ => None,
        }
    }
}

struct Build {
    types: Vec<Type>,
    names: HashMap<String, TypeId>,
}

impl Build {
    fn push(&mut self, of: Type) -> TypeId {
        self.types.push(of);
        TypeId(self.types.len() - 1)
    }

    fn name(&mut self, schema: &Avro, within: NamespaceRef<'_>, id: TypeId) {
        let named = schema.name().map(|name| name.fullname(within));
        let aliases = schema.aliases().into_iter().flatten().map(|alias| alias.fullname(within));
        for name in named.into_iter().chain(aliases) {
            self.names.insert(name, id);
        }
    }

    fn add(&mut self, schema: &Avro, within: NamespaceRef<'_>) -> Result<TypeId, SchemaError> {
        let of = match schema {
            Avro::Null => Type::Null,
            Avro::Boolean => Type::Boolean,
            Avro::Int => Type::Int,
            Avro::Long => Type::Long,
            Avro::Float => Type::Float,
            Avro::Double => Type::Double,
            Avro::Bytes => Type::Bytes,
            Avro::String => Type::Text,
            Avro::Array(array) => Type::Array(self.add(&array.items, within)?),
            Avro::Map(map) => Type::Map(self.add(&map.types, within)?),
            Avro::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.add(branch, within));
                Type::Union(branches.collect::<Result<_, _>>()?)
            }
            Avro::Record(record) => {
                let id = self.push(Type::Null);
                self.name(schema, within, id);
                let inside = record.name.namespace().or(within);
                let fields = record.fields.iter().map(|field| {
                    Ok(Field {
                        name: field.name.clone(),
                        aliases: field.aliases.clone(),
                        doc: field.doc.clone(),
                        default: field.default.clone(),
                        of: self.add(&field.schema, inside)?,
                    })
                });
                let fields = fields.collect::<Result<_, SchemaError>>()?;
                self.types[id.0] = Type::Record { name: record.name.fullname(within), fields };
                return Ok(id);
            }
            Avro::Enum(of) => Type::Enum { symbols: of.symbols.clone(), default: of.default.clone() },
            Avro::Fixed(fixed) => Type::Fixed(fixed.size),
            Avro::Decimal(decimal) => {
                let size = match &decimal.inner {
                    InnerDecimalSchema::Bytes => None,
                    InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
                };
                Type::Decimal { precision: decimal.precision, scale: decimal.scale, size }
            }
            Avro::BigDecimal => Type::BigDecimal,
            Avro::Uuid(UuidSchema::String) => Type::Uuid(UuidForm::Text),
            Avro::Uuid(UuidSchema::Bytes) => Type::Uuid(UuidForm::Bytes),
            Avro::Uuid(UuidSchema::Fixed(_)) => Type::Uuid(UuidForm::Fixed),
            Avro::Date => Type::Date,
            Avro::TimeMillis => Type::Time(Tick::Millis),
            Avro::TimeMicros => Type::Time(Tick::Micros),
            Avro::TimestampMillis | Avro::LocalTimestampMillis => Type::Timestamp(Tick::Millis),
            Avro::TimestampMicros | Avro::LocalTimestampMicros => Type::Timestamp(Tick::Micros),
            Avro::TimestampNanos | Avro::LocalTimestampNanos => Type::Timestamp(Tick::Nanos),
            Avro::Duration(_) => Type::Duration,
            Avro::Ref { name } => {
                let name = name.fullname(within);
                return self.names.get(&name).copied().ok_or_else(|| {
                    SchemaError::one("", format!("the type `{name}` is not defined"), "define it before its first use")
                });
            }
        };
        let id = self.push(of);
        self.name(schema, within, id);
        Ok(id)
    }
}
