//! The text of a policy: its file and the schemas that it names, as they were read, and the digest
//! of both.
//!
//! Invariants: equal digests mean equal texts, and a stored text parses to the same policy again.
//! Must never read a file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use ebbtide_base::ids::RuleId;
use ebbtide_base::problem::TextPosition;
use ebbtide_base::yaml::{self, YamlNode};

/// A source of the texts of the products' schemas.
pub trait SchemaSource {
    /// Returns the text of the schema at `path`, which is relative to the folder of the policy
    /// file, as in the policy. The error says in a few words why it cannot be read.
    fn load(&self, path: &str) -> Result<String, String>;
}

/// The SHA-256 of a policy's texts, in 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyDigest(Arc<str>);

impl fmt::Display for PolicyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text of a policy and of the schemas that it names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// The policy file.
    pub yaml: String,
    /// The schemas, by their paths in the policy.
    pub schemas: BTreeMap<String, String>,
}

/// A place in a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyPosition {
    /// The key at the end of this path, from the top.
    Key(Vec<String>),
    /// The rule with that id.
    Rule(RuleId),
}

impl PolicyText {
    /// Returns the digest of all texts.
    #[must_use]
    pub fn digest(&self) -> PolicyDigest {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        part(&self.yaml);
        for (path, schema) in &self.schemas {
            part(path);
            part(schema);
        }
        PolicyDigest(
            hash.finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into(),
        )
    }

    /// Returns the position of a place in the file, and its path in words. If a key is not in the
    /// file, the position is that of the nearest key above it; if a rule is not in the file, it is
    /// the default position.
    #[must_use]
    pub fn find(&self, spot: &PolicyPosition) -> (TextPosition, String) {
        let root = yaml::parse(&self.yaml).ok();
        match spot {
            PolicyPosition::Key(keys) => {
                let mut node = root.as_ref();
                let mut at = TextPosition::default();
                for key in keys {
                    let Some(entry) = node.and_then(|node| node.entry(key)) else {
                        break;
                    };
                    (at, node) = (entry.at, Some(&entry.value));
                }
                (at, keys.join("."))
            }
            PolicyPosition::Rule(id) => {
                let rules = root
                    .as_ref()
                    .and_then(|root| root.get("rules"))
                    .and_then(YamlNode::list)
                    .unwrap_or_default();
                let is_it =
                    |rule: &&YamlNode| rule.get("id").and_then(YamlNode::text) == Some(id.as_str());
                let at = rules
                    .iter()
                    .find(is_it)
                    .and_then(|rule| rule.entry("id"))
                    .map(|entry| entry.at);
                (at.unwrap_or_default(), format!("rules.{id}"))
            }
        }
    }
}

impl SchemaSource for PolicyText {
    fn load(&self, path: &str) -> Result<String, String> {
        self.schemas
            .get(path)
            .cloned()
            .ok_or_else(|| "it was not kept".to_owned())
    }
}
