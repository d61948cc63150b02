//! Reads one section of the tree, key by key. Collects problems and continues with the default.
//!
//! An unknown key is refused, and the nearest known key is suggested. Must never quote a value that
//! may be secret.

use std::path::PathBuf;

use super::units::UnitProblem;
use super::{ConfigInputs, KEYS, Secret};
use ebbtide_base::problem::{Problems, TextPosition};
use ebbtide_base::yaml::{YamlNode, YamlValue, check_keys, join};

/// One mapping of the file and its path; the mapping may be absent.
pub(super) struct Section<'n> {
    node: Option<&'n YamlNode>,
    path: String,
}

impl<'n> Section<'n> {
    /// Opens the whole document and checks its keys.
    pub fn root(tree: &'n YamlNode, problems: &mut Problems) -> Self {
        let root = Self {
            node: Some(tree),
            path: String::new(),
        };
        root.check(problems);
        root
    }

    /// Opens the section under `key` and checks its keys.
    pub fn open(&self, key: &str, problems: &mut Problems) -> Section<'n> {
        let node = self
            .get(key)
            .filter(|node| !matches!(node.value, YamlValue::Null));
        let section = Section {
            node,
            path: join(&self.path, key),
        };
        section.check(problems);
        section
    }

    fn check(&self, problems: &mut Problems) {
        if let Some(node) = self.node {
            check_keys(node, &children(&self.path), &self.path, problems);
        }
    }

    /// Returns true if the section is in the file.
    pub fn is_there(&self) -> bool {
        self.node.is_some()
    }

    /// Returns the place where the section begins; the beginning of the file if it is absent.
    pub fn at(&self) -> TextPosition {
        self.node
            .map_or(TextPosition { line: 1, column: 1 }, |node| node.at)
    }

    /// Returns the node under `key`.
    pub fn get(&self, key: &str) -> Option<&'n YamlNode> {
        self.node.and_then(|node| node.get(key))
    }

    /// Returns the path of `key`.
    pub fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Returns the text under `key`; `None` if it is absent, empty or not a scalar. The last two
    /// are reported as problems.
    pub fn text(&self, key: &str, problems: &mut Problems) -> Option<&'n str> {
        scalar(self.get(key)?, &self.path_of(key), problems)
    }

    /// Returns the text under `key`. Its absence is reported as a problem too.
    pub fn required(&self, key: &str, mend: &str, problems: &mut Problems) -> Option<&'n str> {
        if self.get(key).is_none() {
            problems.error(
                self.at(),
                &self.path_of(key),
                format!("`{key}` is missing"),
                mend,
            );
        }
        self.text(key, problems)
    }

    /// Returns the value under `key` as read by `parse`, or `default` if it is absent or refused.
    pub fn value<T>(
        &self,
        key: &str,
        default: T,
        problems: &mut Problems,
        parse: impl Fn(&str) -> Result<T, UnitProblem>,
    ) -> T {
        let Some(text) = self.text(key, problems) else {
            return default;
        };
        match parse(text) {
            Ok(value) => value,
            Err((what, mend)) => {
                self.error(key, what, mend, problems);
                default
            }
        }
    }

    /// Adds an error about the value under `key`.
    pub fn error(
        &self,
        key: &str,
        what: impl Into<String>,
        mend: impl Into<String>,
        problems: &mut Problems,
    ) {
        let at = self.get(key).map_or(self.at(), |node| node.at);
        problems.error(at, &self.path_of(key), what, mend);
    }

    /// Returns the path under `key`. A relative path is relative to the file's folder.
    pub fn file(
        &self,
        key: &str,
        around: &ConfigInputs,
        problems: &mut Problems,
    ) -> Option<PathBuf> {
        self.text(key, problems)
            .map(|text| around.folder.join(text))
    }

    /// Returns the secret under `key`: a literal, `{ file: PATH }` or `{ env: NAME }`.
    pub fn secret(
        &self,
        key: &str,
        around: &ConfigInputs,
        problems: &mut Problems,
    ) -> Option<Secret> {
        secret(self.get(key)?, &self.path_of(key), around, problems)
    }
}

/// Returns the node's text. A node that is not a scalar or is blank is reported as a problem.
pub(super) fn scalar<'n>(
    node: &'n YamlNode,
    path: &str,
    problems: &mut Problems,
) -> Option<&'n str> {
    match node.text() {
        Some(text) if !text.trim().is_empty() => Some(text),
        Some(_) => {
            problems.error(
                node.at,
                path,
                "the value is empty",
                "write one, or leave the key out",
            );
            None
        }
        None => {
            let what = format!("expected a value, found {}", node.kind());
            problems.error(node.at, path, what, "write one, or leave the key out");
            None
        }
    }
}

/// Returns the node's secret: a literal, `{ file: PATH }` (without line ends at its end) or
/// `{ env: NAME }`.
pub(super) fn secret(
    node: &YamlNode,
    path: &str,
    around: &ConfigInputs,
    problems: &mut Problems,
) -> Option<Secret> {
    const FORM: &str = "write { file: PATH } or { env: NAME }";
    if !matches!(node.value, YamlValue::Map(_)) {
        return scalar(node, path, problems).map(Secret::new);
    }
    check_keys(node, &["file", "env"], path, problems);
    let text = match (node.get("file"), node.get("env")) {
        (Some(file), None) => {
            let name = scalar(file, &join(path, "file"), problems)?;
            let read = std::fs::read_to_string(around.folder.join(name));
            read.map_err(|error| format!("the secret's file {name:?} cannot be read: {error}"))
        }
        (None, Some(variable)) => {
            let name = scalar(variable, &join(path, "env"), problems)?;
            around
                .variables
                .get(name)
                .cloned()
                .ok_or_else(|| format!("the secret's variable `{name}` is not set"))
        }
        _ => Err("a secret comes from exactly one place".to_owned()),
    };
    match text {
        Ok(text) if !text.trim().is_empty() => {
            Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
        }
        Ok(_) => {
            problems.error(
                node.at,
                path,
                "the secret is empty",
                "put it where the configuration says it is",
            );
            None
        }
        Err(what) => {
            problems.error(node.at, path, what, FORM);
            None
        }
    }
}

/// Returns the keys that are allowed directly under `path`.
fn children(path: &str) -> Vec<&'static str> {
    let mut keys: Vec<&str> = Vec::new();
    for key in KEYS {
        let rest = if path.is_empty() {
            Some(key)
        } else {
            key.strip_prefix(path)
                .and_then(|rest| rest.strip_prefix('.'))
        };
        if let Some(child) = rest.and_then(|rest| rest.split('.').next())
            && !keys.contains(&child)
        {
            keys.push(child);
        }
    }
    keys
}
