//! An Avro schema as a table of types with all names resolved. Columns, plans and checks are
//! compiled from it.
//!
//! Every returned `TypeId` is in the table. A recursive schema is a cycle of ids.

use serde_json::Value as Json;

use super::name::TypeName;

/// An index in a [`Model`]'s table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeId(pub(super) usize);

/// The unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tick {
    Millis,
    Micros,
    Nanos,
}

/// The encoding of a UUID.
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

/// One type, with the attributes that its encoding and its meaning need.
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
        fields: Vec<Field>,
    },
    /// `size` is the size of the fixed type; `None` for bytes.
    Decimal {
        precision: usize,
        scale: usize,
        size: Option<usize>,
    },
    BigDecimal,
    Uuid(UuidForm),
    Date,
    Time(Tick),
    /// An instant.
    Timestamp(Tick),
    /// A wall-clock time, in a zone that the type does not name.
    LocalTimestamp(Tick),
    Duration,
    /// A type whose bytes cannot be read, with the reason: a name without a definition, an enum
    /// without symbols.
    Unreadable(String),
}

/// The types of a schema. Parsing has checked every reference.
#[derive(Debug, Clone)]
pub(super) struct Model {
    types: Vec<Type>,
    names: Vec<Option<TypeName>>,
    pub(super) root: TypeId,
}

impl Model {
    /// Creates a table of types, each with its name if it has one.
    pub(super) fn new(types: Vec<Type>, names: Vec<Option<TypeName>>, root: TypeId) -> Self {
        Self { types, names, root }
    }

    /// Returns the name of a record, enum or fixed type.
    pub(super) fn name(&self, id: TypeId) -> Option<&TypeName> {
        self.names.get(id.0)?.as_ref()
    }

    /// Restricts the top record to writers' records of `names`.
    pub(super) fn accept_only(&mut self, names: &[String]) {
        if let Some(Some(name)) = self.names.get_mut(self.root.0) {
            name.accept_only(names);
        }
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        // Ids come only from this table, so the fallback is never used.
        self.types.get(id.0).unwrap_or(&Type::Null)
    }

    /// Returns the id of every type in the table.
    pub(super) fn ids(&self) -> impl Iterator<Item = TypeId> {
        (0..self.types.len()).map(TypeId)
    }

    pub(super) fn len(&self) -> usize {
        self.types.len()
    }

    pub(super) fn index(id: TypeId) -> usize {
        id.0
    }

    /// Returns true if null is a value of the type, and the type without null: `T` for `[null, T]`.
    /// `None` for a union of several other types.
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
