//! Reads the settings from the tree with serde.
//!
//! serde stops at the first value that is refused. Its problem is recorded with its place, and the
//! settings are read again without it, so that all problems are reported together and a refused
//! value counts as its default. Must never quote a value that may be secret.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStringExt;

use serde::Deserialize;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::forms::not_a_choice;
use super::forms::path::PATH;
use super::keys::children;
use super::property::repeated_properties;
use super::secret::{SECRET, Secret};
use super::units::ValueProblem;
use super::{Config, ConfigInputs};
use ebbtide_base::problem::{Problems, TextPosition};
use ebbtide_base::yaml::{YamlNode, YamlValue, check_keys, join};

/// The settings, and the paths of the values that were refused.
pub(super) struct ReadSettings {
    pub config: Config,
    pub refused: BTreeSet<String>,
}

/// Reads the whole tree. Every problem of a single value is in `problems`.
pub(super) fn read(
    tree: &YamlNode,
    around: &ConfigInputs,
    problems: &mut Problems,
) -> Option<ReadSettings> {
    check_sections(tree, "", problems);
    let repeated = repeated_properties(tree, problems);
    let source = Source {
        around,
        problems: RefCell::new(problems),
        refused: RefCell::new(repeated),
        secrets: RefCell::default(),
    };
    loop {
        let refused = source.refused.borrow().len();
        let path = String::new();
        let reader = ValueReader {
            node: tree,
            path,
            source: &source,
        };
        match Config::deserialize(reader) {
            Ok(config) => {
                let refused = source.refused.take();
                return Some(ReadSettings { config, refused });
            }
            Err(_) if source.refused.borrow().len() > refused => {}
            Err(ReadError(problem)) => {
                // A value that has no path. No type of a section causes this.
                source.report(tree.at, "", problem);
                return None;
            }
        }
    }
}

/// Reports unknown keys, and sections that are not mappings.
fn check_sections(node: &YamlNode, path: &str, problems: &mut Problems) {
    let known = children(path);
    let left_out = matches!(node.value, YamlValue::Null) && !path.is_empty();
    if known.is_empty() || left_out {
        return;
    }
    check_keys(node, &known, path, problems);
    for key in known {
        if let Some(section) = node.get(key) {
            check_sections(section, &join(path, key), problems);
        }
    }
}

/// The sources of the values besides the tree, and the problems found so far.
struct Source<'s> {
    around: &'s ConfigInputs,
    problems: RefCell<&'s mut Problems>,
    refused: RefCell<BTreeSet<String>>,
    /// The secrets that were read, by path: each is read once.
    secrets: RefCell<BTreeMap<String, Secret>>,
}

impl Source<'_> {
    fn report(&self, at: TextPosition, path: &str, problem: Option<ValueProblem>) {
        if let Some(ValueProblem { what, fix }) = problem {
            self.problems.borrow_mut().error(at, path, what, fix);
        }
    }

    /// Returns the secret of a mapping: `{ file: PATH }` (without line ends at its end) or
    /// `{ env: NAME }`.
    fn secret(&self, node: &YamlNode, path: &str) -> Result<Secret, ReadError> {
        if let Some(secret) = self.secrets.borrow().get(path) {
            return Ok(secret.clone());
        }
        check_keys(
            node,
            &["file", "env"],
            path,
            &mut self.problems.borrow_mut(),
        );
        let text = match (node.get("file"), node.get("env")) {
            (Some(file), None) => {
                let name = self.name(file, &join(path, "file"))?;
                std::fs::read_to_string(self.around.folder.join(name))
                    .map_err(|error| format!("the secret's file {name:?} cannot be read: {error}"))
            }
            (None, Some(variable)) => {
                let name = self.name(variable, &join(path, "env"))?;
                let value = self.around.variables.get(name).cloned();
                value.ok_or_else(|| format!("the secret's variable `{name}` is not set"))
            }
            _ => Err("a secret comes from exactly one place".to_owned()),
        };
        let text =
            text.map_err(|what| ValueProblem::new(what, "write { file: PATH } or { env: NAME }"))?;
        if text.trim().is_empty() {
            let fix = "put it where the configuration says it is";
            return Err(ValueProblem::new("the secret is empty", fix).into());
        }
        let secret = Secret::new(text.trim_end_matches(['\r', '\n']));
        self.secrets
            .borrow_mut()
            .insert(path.to_owned(), secret.clone());
        Ok(secret)
    }

    /// Returns the text of a part of a value. Its problem is reported at the part's own place.
    fn name<'n>(&self, node: &'n YamlNode, path: &str) -> Result<&'n str, ReadError> {
        scalar(node).map_err(|problem| {
            self.report(node.at, path, Some(problem));
            ReadError(None)
        })
    }
}

/// The problem of the value that is being read; `None` if it was reported already.
#[derive(Debug, thiserror::Error)]
#[error("a value is refused")]
struct ReadError(Option<ValueProblem>);

impl From<ValueProblem> for ReadError {
    fn from(problem: ValueProblem) -> Self {
        Self(Some(problem))
    }
}

impl Error for ReadError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        let (what, fix) = text
            .split_once('\n')
            .unwrap_or((&text, "write another value"));
        ValueProblem::new(what, fix).into()
    }
}

/// Returns the text of a scalar that is not blank.
fn scalar(node: &YamlNode) -> Result<&str, ValueProblem> {
    let what = match node.text() {
        Some(text) if !text.trim().is_empty() => return Ok(text),
        Some(_) => "the value is empty".to_owned(),
        None => format!("expected a value, found {}", node.kind()),
    };
    Err(ValueProblem::new(what, "write one, or leave the key out"))
}

/// Reads one node.
struct ValueReader<'de> {
    node: &'de YamlNode,
    path: String,
    source: &'de Source<'de>,
}

impl<'de> ValueReader<'de> {
    /// Returns the reader of the value under `key`, unless it is absent, an empty section or
    /// refused.
    fn child(&self, key: &str) -> Option<ValueReader<'de>> {
        let (node, source) = (self.node.get(key)?, self.source);
        let path = join(&self.path, key);
        let is_empty = matches!(node.value, YamlValue::Null) && !children(&path).is_empty();
        let is_read = !is_empty && !source.refused.borrow().contains(&path);
        is_read.then_some(ValueReader { node, path, source })
    }
}

impl<'de> Deserializer<'de> for ValueReader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_str(scalar(self.node)?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match scalar(self.node)? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            text => Err(not_a_choice(text, &["true", "false"]).into()),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match scalar(self.node)? {
            text if choices.contains(&text) => visitor.visit_enum(text.into_deserializer()),
            text => Err(not_a_choice(text, choices).into()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match (name, &self.node.value) {
            (PATH, _) => {
                let path = self.source.around.folder.join(scalar(self.node)?);
                visitor.visit_byte_buf(path.into_os_string().into_vec())
            }
            (SECRET, YamlValue::Map(_)) => {
                let secret = self.source.secret(self.node, &self.path)?;
                visitor.visit_newtype_struct(StringDeserializer::new(secret.expose().to_owned()))
            }
            (SECRET, _) => visitor.visit_str(scalar(self.node)?),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    /// Reads a section. A field without a name is a struct whose keys are of this section too.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let mut entries = Vec::new();
        for key in fields {
            if key.is_empty() {
                entries.push((
                    *key,
                    ValueReader {
                        path: self.path.clone(),
                        ..self
                    },
                ));
            } else if let Some(value) = self.child(key) {
                entries.push((*key, value));
            }
        }
        visitor.visit_map(Entries::new(entries))
    }

    /// Reads a mapping of any keys: librdkafka's properties.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if !matches!(self.node.value, YamlValue::Map(_) | YamlValue::Null) {
            let what = format!("expected a mapping, found {}", self.node.kind());
            let fix = "write librdkafka's properties: { security.protocol: sasl_ssl }";
            return Err(ValueProblem::new(what, fix).into());
        }
        let keys = self.node.entries().iter().map(|entry| entry.key.as_str());
        let entries = keys
            .filter_map(|key| Some((key, self.child(key)?)))
            .collect();
        visitor.visit_map(Entries::new(entries))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct identifier ignored_any
    }
}

/// The entries of a mapping that are read.
struct Entries<'de> {
    left: std::vec::IntoIter<(&'de str, ValueReader<'de>)>,
    value: Option<ValueReader<'de>>,
}

impl<'de> Entries<'de> {
    fn new(entries: Vec<(&'de str, ValueReader<'de>)>) -> Self {
        let (left, value) = (entries.into_iter(), None);
        Self { left, value }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ReadError;

    fn next_key_seed<K>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError>
    where
        K: DeserializeSeed<'de>,
    {
        let Some((key, value)) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    /// Reads a value. The innermost value that is refused is recorded and its problem reported.
    fn next_value_seed<S>(&mut self, seed: S) -> Result<S::Value, ReadError>
    where
        S: DeserializeSeed<'de>,
    {
        let Some(reader) = self.value.take() else {
            return Err(ReadError(None));
        };
        let ValueReader { node, source, .. } = reader;
        let (path, refused) = (reader.path.clone(), source.refused.borrow().len());
        seed.deserialize(reader).map_err(|ReadError(problem)| {
            if source.refused.borrow().len() == refused {
                source.report(node.at, &path, problem);
                source.refused.borrow_mut().insert(path);
            }
            ReadError(None)
        })
    }
}
