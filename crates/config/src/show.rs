//! The configuration in force as YAML, for `config show`: every key with its value, secrets hidden.
//!
//! The serializer supports what the sections contain: structs, mappings, texts (in quotes), and
//! values that write themselves (`collect_str`), numbers and names of variants (without). A value
//! that is not there is left out.

use std::fmt;

use serde::Serialize;
use serde::ser::{Impossible, SerializeMap, SerializeStruct, Serializer};

use super::Config;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let document = Entry {
            text: &mut text,
            key: "",
            depth: 0,
        };
        self.serialize(document)?;
        f.write_str(&text)
    }
}

/// The depth at which the keys of a section are written on one line.
const ONE_LINE: usize = 3;

/// Writes one value under its key. A struct without a key writes its own keys at the same depth.
struct Entry<'t> {
    text: &'t mut String,
    key: &'t str,
    depth: usize,
}

impl<'t> Entry<'t> {
    fn plain(self, value: impl fmt::Display) -> Result<(), fmt::Error> {
        let Self { text, key, depth } = self;
        *text += &match depth {
            ONE_LINE if text.ends_with('{') => format!(" {key}: {value}"),
            ONE_LINE => format!(", {key}: {value}"),
            _ => format!("{}{key}: {value}\n", "  ".repeat(depth)),
        };
        Ok(())
    }

    /// Begins a section.
    fn begin(self) -> Result<Block<'t>, fmt::Error> {
        let Self { text, key, depth } = self;
        if key.is_empty() {
            let (at, end) = (text.len(), "");
            return Ok(Block {
                text,
                depth,
                at,
                end,
                key: String::new(),
            });
        }
        *text += &format!("{}{key}:", "  ".repeat(depth));
        let depth = depth + 1;
        let (begin, end) = if depth == ONE_LINE {
            (" {", " }\n")
        } else {
            ("\n", "")
        };
        *text += begin;
        let at = text.len();
        Ok(Block {
            text,
            depth,
            at,
            end,
            key: String::new(),
        })
    }
}

/// Writes the entries of a section.
struct Block<'t> {
    text: &'t mut String,
    depth: usize,
    /// The length of the text before the first entry.
    at: usize,
    end: &'static str,
    key: String,
}

impl Block<'_> {
    fn entry(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> Result<(), fmt::Error> {
        let entry = Entry {
            text: self.text,
            key,
            depth: self.depth,
        };
        value.serialize(entry)
    }

    fn finish(self) -> Result<(), fmt::Error> {
        if self.text.len() == self.at && self.text.ends_with(":\n") {
            self.text.pop();
            *self.text += " {}\n";
        }
        *self.text += self.end;
        Ok(())
    }
}

impl SerializeStruct for Block<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T>(&mut self, key: &'static str, value: &T) -> Result<(), fmt::Error>
    where
        T: Serialize + ?Sized,
    {
        self.entry(key, value)
    }

    fn end(self) -> Result<(), fmt::Error> {
        self.finish()
    }
}

impl SerializeMap for Block<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), fmt::Error> {
        // A key is a text, and no name of a property needs quotes.
        let key = serde_json::to_value(key).map_err(|_| fmt::Error)?;
        self.key = key.as_str().ok_or(fmt::Error)?.to_owned();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), fmt::Error> {
        let key = std::mem::take(&mut self.key);
        self.entry(&key, value)
    }

    fn end(self) -> Result<(), fmt::Error> {
        self.finish()
    }
}

/// Defines the methods of scalars that are written as they are displayed.
macro_rules! plain {
    ($($method:ident $type:ty,)*) => {$(
        fn $method(self, value: $type) -> Result<(), fmt::Error> {
            self.plain(value)
        }
    )*};
}

/// Defines the methods of values that no section contains.
macro_rules! unsupported {
    ($($method:ident($($type:ty),*) -> $result:ty,)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$result, fmt::Error> {
            Err(fmt::Error)
        }
    )*};
}

impl<'t> Serializer for Entry<'t> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeStruct = Block<'t>;
    type SerializeMap = Block<'t>;
    type SerializeSeq = Impossible<(), fmt::Error>;
    type SerializeTuple = Impossible<(), fmt::Error>;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Impossible<(), fmt::Error>;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    plain! {
        serialize_bool bool,
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
        serialize_f32 f32,
        serialize_f64 f64,
        serialize_char char,
    }

    /// Writes a value without quotes, as it is displayed.
    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), fmt::Error> {
        self.plain(value)
    }

    /// Writes a text in double quotes. A JSON string is a YAML scalar.
    fn serialize_str(self, text: &str) -> Result<(), fmt::Error> {
        self.plain(serde_json::Value::from(text))
    }

    fn serialize_none(self) -> Result<(), fmt::Error> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<(), fmt::Error> {
        self.plain(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), fmt::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Block<'t>, fmt::Error> {
        self.begin()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Block<'t>, fmt::Error> {
        self.begin()
    }

    unsupported! {
        serialize_bytes(&[u8]) -> (),
        serialize_unit() -> (),
        serialize_unit_struct(&'static str) -> (),
        serialize_seq(Option<usize>) -> Self::SerializeSeq,
        serialize_tuple(usize) -> Self::SerializeTuple,
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct,
        serialize_tuple_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeTupleVariant,
        serialize_struct_variant(&'static str, u32, &'static str, usize)
            -> Self::SerializeStructVariant,
    }
}
