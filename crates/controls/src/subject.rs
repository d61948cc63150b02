//! The person that a control names: a kind of identifier and its canonical form, as subject columns
//! store it.
//!
//! Invariant: the value is shown only to a caller that explicitly asks for it. `Debug` and
//! `Display` mask it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use ebbtide_policy::SubjectKind;
use ebbtide_policy::tag::{
    NamedSubject, canonical_channel, canonical_email, canonical_phone, dialled_phone,
    has_calling_code,
};

/// The kind of identifier of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentifierKind {
    /// A telephone number.
    Phone,
    /// A mail address.
    Email,
    /// An id on a platform.
    Channel,
}

/// A person by one identifier, in its canonical form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The kind of the identifier.
    pub kind: IdentifierKind,
    /// The canonical form, as subject columns store it.
    canonical: String,
    /// True for a number without a marked calling code: each product interprets it with its default
    /// country.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    as_dialled: bool,
}

/// A text that names no subject. The error does not quote the text, which is personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write phone:+31612345678, email:ann@example.org or channel:whatsapp:ID")]
pub struct SubjectError(&'static str);

impl IdentifierKind {
    /// Returns true if subject columns of `kind` contain identifiers of this kind.
    #[must_use]
    pub fn is_of(self, kind: &SubjectKind) -> bool {
        matches!(
            (self, kind),
            (Self::Phone, SubjectKind::Phone)
                | (Self::Email, SubjectKind::Email)
                | (Self::Channel, SubjectKind::Channel(_))
        )
    }
}

impl Subject {
    /// Returns the canonical form, as subject columns store it.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Returns the subject in the form that the tagger interprets for a product.
    #[must_use]
    pub fn named(&self) -> NamedSubject<'_> {
        NamedSubject {
            text: &self.canonical,
            as_dialled: self.as_dialled,
        }
    }

    /// Returns true for a number without its calling code. In products without a default country it
    /// is found only in records that write it in the same way.
    #[must_use]
    pub fn is_national(&self) -> bool {
        self.kind == IdentifierKind::Phone
            && self.canonical.len() >= 7
            && (self.as_dialled || self.canonical.starts_with('0'))
            && !has_calling_code(&self.canonical)
    }

    /// Returns the unmasked subject in the form that the command line accepts.
    #[must_use]
    pub fn revealed(&self) -> String {
        match self.kind {
            IdentifierKind::Phone
                if !self.as_dialled
                    && !self.is_national()
                    && self.canonical.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                format!("phone:+{}", self.canonical)
            }
            kind => format!("{kind}:{}", self.canonical),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let (kind, value) = text
            .split_once(':')
            .ok_or(SubjectError("the subject has no kind"))?;
        if value.trim().is_empty() {
            return Err(SubjectError("the subject has no value"));
        }
        let dialled = if kind == "phone" {
            dialled_phone(value)
        } else {
            None
        };
        let as_dialled = dialled.is_some();
        let (kind, canonical) = match kind {
            "phone" => (
                IdentifierKind::Phone,
                dialled.unwrap_or_else(|| canonical_phone(value)),
            ),
            "email" if !value.contains('@') => {
                return Err(SubjectError("the subject is no mail address"));
            }
            "email" => (IdentifierKind::Email, canonical_email(value)),
            "channel" => match value.split_once(':') {
                Some((platform, id)) if !platform.trim().is_empty() && !id.trim().is_empty() => {
                    (IdentifierKind::Channel, canonical_channel(platform, id))
                }
                _ => return Err(SubjectError("the channel has no platform or no id")),
            },
            _ => {
                return Err(SubjectError(
                    "the subject's kind is not phone, email or channel",
                ));
            }
        };
        Ok(Self {
            kind,
            canonical,
            as_dialled,
        })
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Channel => "channel",
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The last two of at least eight characters distinguish two subjects and identify no one.
        let count = self.canonical.chars().count();
        let end: String = self
            .canonical
            .chars()
            .skip(if count >= 8 { count - 2 } else { count })
            .collect();
        write!(f, "{}:…{end}", self.kind)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
