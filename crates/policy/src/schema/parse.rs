//! Reads an Avro schema's JSON into a [`Model`], as leniently as the bytes allow.
//!
//! Names of any characters, malformed docs, orders and aliases, and logical types that do not fit
//! do not change how a record is encoded. Anything that a product's own schema may not have is
//! recorded as a remark; a type whose bytes cannot be read is [`Type::Unreadable`], so that only
//! the records that reach it are refused.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use serde_json::{Map, Value as Json};

use super::error::{SchemaError, SchemaProblem};
use super::json;
use super::logical::logical;
use super::model::{Field, Model, Type, TypeId};
use super::name::{TypeName, full, split};

/// A schema that another schema refers to, as stored in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaReference {
    /// The name under which the other schema uses it.
    pub name: String,
    /// The JSON of the schema.
    pub text: String,
}

/// A schema's types, and remarks on everything that a product's own schema may not have.
pub(super) struct ParsedSchema {
    pub(super) json: Json,
    pub(super) model: Model,
    pub(super) remarks: Vec<SchemaProblem>,
}

/// Parses a schema with those that it refers to, each after the schemas that it refers to itself.
///
/// Errors if it is not JSON, or if no part of it can be read.
pub(super) fn parse(
    text: &str,
    references: &[SchemaReference],
) -> Result<ParsedSchema, SchemaError> {
    let mut parser = Parser::default();
    for reference in references {
        let root = parser.schema(&read(&reference.text)?, "");
        parser
            .defined
            .entry(full(&reference.name, ""))
            .or_insert(root);
    }
    let json = read(text)?;
    let root = parser.schema(&json, "");
    parser.resolve_later_names();
    if let Type::Unreadable(why) = &parser.types[root.0] {
        return Err(not_avro(why));
    }
    Ok(ParsedSchema {
        json,
        model: Model::new(parser.types, parser.names, root),
        remarks: parser.remarks,
    })
}

fn read(text: &str) -> Result<Json, SchemaError> {
    json::read(text).map_err(|error| not_avro(&error.to_string()))
}

fn not_avro(why: &str) -> SchemaError {
    SchemaError::one(
        "",
        format!("not an Avro schema: {why}"),
        "see the Avro specification",
    )
}

#[derive(Default)]
struct Parser {
    types: Vec<Type>,
    names: Vec<Option<TypeName>>,
    /// The newest type of each full name.
    defined: HashMap<String, TypeId>,
    /// Types that refer to a type that was not defined yet, with the full names that it may have.
    later: Vec<(TypeId, [String; 2])>,
    remarks: Vec<SchemaProblem>,
    path: Vec<String>,
}

impl Parser {
    fn push(&mut self, of: Type) -> TypeId {
        self.types.push(of);
        self.names.push(None);
        TypeId(self.types.len() - 1)
    }

    fn unreadable(&mut self, why: impl Into<String>) -> TypeId {
        self.push(Type::Unreadable(why.into()))
    }

    fn remark(&mut self, what: impl Into<String>, fix: &str) {
        self.remarks.push(SchemaProblem {
            path: self.path.join("."),
            what: what.into(),
            help: fix.to_owned(),
        });
    }

    fn schema(&mut self, json: &Json, space: &str) -> TypeId {
        match json {
            Json::String(name) => self.named(name, space),
            Json::Array(branches) => self.union(branches, space),
            Json::Object(object) => self.object(object, space),
            _ => self.unreadable(format!("{json} is not a type")),
        }
    }

    /// Returns a primitive type, or one that is defined elsewhere.
    fn named(&mut self, name: &str, space: &str) -> TypeId {
        let primitive = match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int,
            "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::Text,
            _ => {
                let names = [full(name, space), full(name, "")];
                if let Some(id) = names.iter().find_map(|name| self.defined.get(name)) {
                    return *id;
                }
                let id = self.unreadable(format!("the type `{name}` is not defined"));
                self.later.push((id, names));
                return id;
            }
        };
        self.push(primitive)
    }

    /// Resolves the types that were named before their definition.
    fn resolve_later_names(&mut self) {
        for (id, names) in std::mem::take(&mut self.later) {
            if let Some(found) = names
                .iter()
                .find_map(|name| self.defined.get(name))
                .copied()
            {
                self.remark(
                    format!("the type `{}` is used before it is defined", names[0]),
                    "define it first",
                );
                self.types[id.0] = self.types[found.0].clone();
                self.names[id.0] = self.names[found.0].clone();
            }
        }
    }

    fn union(&mut self, branches: &[Json], space: &str) -> TypeId {
        let branches: Vec<TypeId> = branches
            .iter()
            .map(|branch| self.schema(branch, space))
            .collect();
        let plain = |id: &&TypeId| self.names[id.0].is_none();
        let kinds: Vec<_> = branches
            .iter()
            .filter(plain)
            .map(|id| std::mem::discriminant(&self.types[id.0]))
            .collect();
        let twice = first_twice(kinds.into_iter()).is_some();
        if twice
            || branches
                .iter()
                .any(|id| matches!(self.types[id.0], Type::Union(_)))
        {
            self.remark(
                "a union has one type twice, or holds a union",
                "list each type once",
            );
        }
        self.push(Type::Union(branches))
    }

    fn object(&mut self, object: &Map<String, Json>, space: &str) -> TypeId {
        let id = match object.get("type") {
            Some(Json::String(kind)) => match kind.as_str() {
                "record" | "error" => return self.record(object, space),
                "enum" => return self.enumeration(object, space),
                "fixed" => return self.fixed(object, space),
                "array" => {
                    let item = self.part(object, "items", space);
                    return self.push(Type::Array(item));
                }
                "map" => {
                    let value = self.part(object, "values", space);
                    return self.push(Type::Map(value));
                }
                name => self.named(name, space),
            },
            Some(inner) => self.schema(inner, space),
            None => return self.unreadable("a type is missing"),
        };
        let Some(of) = logical(&self.types[id.0], object) else {
            return id;
        };
        // A new id: other types may refer to the old one too.
        let named = self.names[id.0].clone();
        let id = self.push(of);
        self.names[id.0] = named;
        id
    }

    fn part(&mut self, object: &Map<String, Json>, key: &str, space: &str) -> TypeId {
        match object.get(key) {
            Some(json) => self.schema(json, space),
            None => self.unreadable(format!("`{key}` is missing")),
        }
    }

    /// Adds a named type, whose definition is not known yet. Returns its own namespace too.
    fn define(&mut self, object: &Map<String, Json>, space: &str) -> (TypeId, String) {
        let space = text(object, "namespace").unwrap_or(space);
        let name = text(object, "name").unwrap_or_default();
        if name.is_empty() {
            self.remark("a type has no name", "give it one");
        }
        let aliases: Vec<&str> = texts(object.get("aliases"));
        let name_in_full = full(name, space);
        let id = self.unreadable("it holds nothing but itself");
        let before = self.defined.insert(name_in_full.clone(), id);
        let own_name = |id: TypeId| {
            self.names[id.0]
                .as_ref()
                .is_some_and(|name| name.full == name_in_full)
        };
        if before.is_some_and(own_name) {
            self.remark(
                format!("the type `{name_in_full}` is defined twice"),
                "define it once, and name it after that",
            );
        }
        let space = split(name, space).0.to_owned();
        for alias in &aliases {
            self.defined.entry(full(alias, &space)).or_insert(id);
        }
        self.names[id.0] = Some(TypeName::new(name_in_full, aliases.into_iter()));
        (id, space)
    }

    fn record(&mut self, object: &Map<String, Json>, space: &str) -> TypeId {
        let (id, space) = self.define(object, space);
        let Some(fields) = object.get("fields").and_then(Json::as_array) else {
            self.types[id.0] = Type::Unreadable("a record has no list of fields".to_owned());
            return id;
        };
        let fields: Vec<Field> = fields
            .iter()
            .map(|field| self.field(field, &space))
            .collect();
        if let Some(name) = first_twice(fields.iter().map(|field| field.name.as_str())) {
            self.remark(
                format!("two fields are named `{name}`"),
                "rename one of them",
            );
        }
        self.types[id.0] = Type::Record { fields };
        id
    }

    fn field(&mut self, json: &Json, space: &str) -> Field {
        let none = Map::new();
        let object = json.as_object().unwrap_or(&none);
        let name = text(object, "name").unwrap_or_default().to_owned();
        self.path.push(name.clone());
        if !is_plain(&name) {
            let fix = "use letters, digits and `_`, not a digit first: it becomes a column";
            self.remark(format!("`{name}` is not a name of a field"), fix);
        }
        let of = match object.get("type") {
            // A complex type whose attributes are written next to the field's own.
            Some(Json::String(kind))
                if COMPLEX
                    .iter()
                    .any(|(of, key)| of == kind && object.contains_key(*key)) =>
            {
                self.object(object, space)
            }
            Some(of) => self.schema(of, space),
            None => self.unreadable("a field has no type"),
        };
        self.path.pop();
        Field {
            name,
            aliases: texts(object.get("aliases"))
                .into_iter()
                .map(str::to_owned)
                .collect(),
            doc: text(object, "doc").map(str::to_owned),
            default: object.get("default").cloned(),
            of,
        }
    }

    fn enumeration(&mut self, object: &Map<String, Json>, space: &str) -> TypeId {
        let (id, _) = self.define(object, space);
        let Some(symbols) = object.get("symbols").and_then(Json::as_array) else {
            self.types[id.0] = Type::Unreadable("an enum has no list of symbols".to_owned());
            return id;
        };
        let symbol = |json: &Json| {
            json.as_str()
                .map_or_else(|| json.to_string(), str::to_owned)
        };
        let symbols: Vec<String> = symbols.iter().map(symbol).collect();
        if first_twice(symbols.iter()).is_some() {
            self.remark("an enum has one symbol twice", "list each symbol once");
        }
        let default = text(object, "default")
            .filter(|default| symbols.iter().any(|symbol| symbol == default));
        if object.contains_key("default") && default.is_none() {
            self.remark(
                "the default of an enum is not one of its symbols",
                "write one of them",
            );
        }
        let default = default.map(str::to_owned);
        self.types[id.0] = Type::Enum { symbols, default };
        id
    }

    fn fixed(&mut self, object: &Map<String, Json>, space: &str) -> TypeId {
        let (id, _) = self.define(object, space);
        let of = match object.get("size").and_then(json::whole) {
            Some(size) => Type::Fixed(size),
            None => Type::Unreadable("a fixed type has no size".to_owned()),
        };
        self.types[id.0] = logical(&of, object).unwrap_or(of);
        id
    }
}

/// The complex types, each with its required attribute.
const COMPLEX: [(&str, &str); 6] = [
    ("record", "fields"),
    ("error", "fields"),
    ("enum", "symbols"),
    ("fixed", "size"),
    ("array", "items"),
    ("map", "values"),
];

fn text<'a>(object: &'a Map<String, Json>, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

/// Returns the texts of a list, or a single text as a list.
fn texts(json: Option<&Json>) -> Vec<&str> {
    match json {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(one)) => vec![one],
        _ => Vec::new(),
    }
}

/// Returns the first item that equals an earlier one.
fn first_twice<T: Eq + Hash + Copy>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = HashSet::new();
    items.find(|item| !seen.insert(*item))
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
