//! The path of a file or folder. A relative path is relative to the file's folder.
//!
//! The folder need not be UTF-8, so the reader passes the path as bytes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// The name of the newtype by which a text is read as a path.
pub const PATH: &str = "ebbtide path";

struct PathVisitor;

impl Visitor<'_> for PathVisitor {
    type Value = PathBuf;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a path")
    }

    fn visit_byte_buf<E: Error>(self, path: Vec<u8>) -> Result<PathBuf, E> {
        Ok(PathBuf::from(OsString::from_vec(path)))
    }
}

/// Reads a path. The result may be optional.
pub fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<PathBuf>,
{
    Ok(T::from(from.deserialize_newtype_struct(PATH, PathVisitor)?))
}

/// Writes a path, which may be optional, as it is displayed.
pub fn serialize<'p, T, S>(path: &'p T, to: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    &'p T: Into<Option<&'p PathBuf>>,
{
    match path.into() {
        Some(path) => to.serialize_str(&path.display().to_string()),
        None => to.serialize_none(),
    }
}
