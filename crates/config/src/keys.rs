//! The known keys, as the sections' types declare them: a reader that lists the fields of every
//! struct that it is asked for.

use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::Config;
use ebbtide_base::yaml::join;

/// Returns every key of the file by its path, except the open `kafka.properties.*`.
/// `config/ebbtide.yaml` explains each.
pub fn keys() -> &'static [String] {
    static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
        let mut keys = Vec::new();
        // A value cannot be read without a file: each pass stops at the first key that is not
        // listed yet.
        while Config::deserialize(KeyLister {
            path: String::new(),
            keys: &mut keys,
        })
        .is_err()
        {}
        keys
    });
    &KEYS
}

/// Returns the keys directly under `path`, without their own keys.
pub(super) fn children(path: &str) -> Vec<&'static str> {
    let mut found: Vec<&str> = Vec::new();
    for key in keys() {
        let below = match path {
            "" => Some(key.as_str()),
            path => key
                .strip_prefix(path)
                .and_then(|rest| rest.strip_prefix('.')),
        };
        if let Some(child) = below.and_then(|below| below.split('.').next())
            && !found.contains(&child)
        {
            found.push(child);
        }
    }
    found
}

struct KeyLister<'k> {
    path: String,
    keys: &'k mut Vec<String>,
}

impl<'de> Deserializer<'de> for KeyLister<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.keys.push(self.path);
        Err(Error::custom("a new key"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(FieldLister {
            section: self,
            left: fields.iter(),
            path: String::new(),
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Visits the fields of a section that are not listed yet.
struct FieldLister<'k> {
    section: KeyLister<'k>,
    left: std::slice::Iter<'static, &'static str>,
    path: String,
}

impl<'de> MapAccess<'de> for FieldLister<'_> {
    type Error = Error;

    fn next_key_seed<K>(&mut self, seed: K) -> Result<Option<K::Value>, Error>
    where
        K: DeserializeSeed<'de>,
    {
        for field in self.left.by_ref() {
            // A field without a name is a struct whose keys are of this section.
            self.path = match *field {
                "" => self.section.path.clone(),
                field => join(&self.section.path, field),
            };
            if !self.section.keys.contains(&self.path) {
                let field: StrDeserializer<'_, Error> = field.into_deserializer();
                return seed.deserialize(field).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<S>(&mut self, seed: S) -> Result<S::Value, Error>
    where
        S: DeserializeSeed<'de>,
    {
        let path = std::mem::take(&mut self.path);
        seed.deserialize(KeyLister {
            path,
            keys: self.section.keys,
        })
    }
}
