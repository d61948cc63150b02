//! A text that must not be seen: passwords, tokens, keys.
//!
//! No formatting of a secret, or of a value that contains one, prints it; serialized, it is
//! [`HIDDEN`] too.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// The text that is printed in place of a secret.
pub(super) const HIDDEN: &str = "[hidden]";

/// The name of the newtype by which a value is read as a secret: a literal (passed to the visitor
/// as a text), `{ file: PATH }` or `{ env: NAME }` (passed as a newtype).
pub(super) const SECRET: &str = "ebbtide secret";

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself. Use it in the one call that needs it, never in a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct SecretVisitor;
        impl<'de> Visitor<'de> for SecretVisitor {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret::new(text))
            }

            fn visit_newtype_struct<D>(self, from: D) -> Result<Secret, D::Error>
            where
                D: Deserializer<'de>,
            {
                String::deserialize(from).map(Secret::new)
            }
        }
        from.deserialize_newtype_struct(SECRET, SecretVisitor)
    }
}
