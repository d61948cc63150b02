//! Reads values from nodes, and reports a problem for each unexpected value.
//!
//! Invariant: each mistake causes one problem. If a value cannot be read, `None` is returned and
//! the problem is already reported.

use std::str::FromStr;

use ebbtide_base::ids::IdError;
use ebbtide_base::problem::{Problems, nearest};
use ebbtide_base::yaml::{YamlEntry, YamlNode, YamlValue};

/// The form of a text, as in messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextForm<'f> {
    /// A word for the text: `a purpose`.
    pub(super) what: &'f str,
    /// A text of this form.
    pub(super) example: &'f str,
}

/// A reader of values that collects the problems.
pub(super) struct ValueReader<'p> {
    pub(super) problems: &'p mut Problems,
}

impl ValueReader<'_> {
    /// Returns the node under `key`, and reports an error if it is missing. `path` is the path of
    /// `map`.
    pub(super) fn need<'n>(
        &mut self,
        map: &'n YamlNode,
        key: &str,
        path: &str,
        example: &str,
    ) -> Option<&'n YamlNode> {
        let found = self.maybe(map, key);
        // If this key is misspelt, the misspelt key is already reported.
        let misspelt = map
            .entries()
            .iter()
            .any(|entry| entry.key != key && nearest(&entry.key, [key]).is_some());
        if found.is_none() && !misspelt && matches!(map.value, YamlValue::Map(_)) {
            let at = map.entry(key).map_or(map.at, |entry| entry.at);
            self.problems.error(
                at,
                path,
                format!("`{key}` is missing"),
                format!("write `{key}: {example}`"),
            );
        }
        found
    }

    /// Returns the node under `key`, if it exists and is not empty.
    pub(super) fn maybe<'n>(&mut self, map: &'n YamlNode, key: &str) -> Option<&'n YamlNode> {
        map.get(key)
            .filter(|node| !matches!(node.value, YamlValue::Null))
    }

    /// Returns the text of a scalar, and reports an error for anything else.
    pub(super) fn text<'n>(
        &mut self,
        node: &'n YamlNode,
        path: &str,
        example: &str,
    ) -> Option<&'n str> {
        let text = node.text();
        if text.is_none() {
            self.problems.error(
                node.at,
                path,
                format!("expected a value, found {}", node.kind()),
                write(example),
            );
        }
        text
    }

    /// Returns a text of at most `most` bytes that is not empty and has no control characters.
    /// Reports an error for any other.
    pub(super) fn words<'n>(
        &mut self,
        node: &'n YamlNode,
        path: &str,
        most: usize,
    ) -> Option<&'n str> {
        let text = self.text(node, path, "a few words")?;
        if text.trim().is_empty() || text.len() > most || text.chars().any(char::is_control) {
            let what =
                format!("this text is empty, longer than {most} bytes or holds control characters");
            self.problems.error(
                node.at,
                path,
                what,
                format!("use 1 to {most} printable characters"),
            );
            return None;
        }
        Some(text)
    }

    /// Parses a text as an id, and reports an error if it is not one.
    pub(super) fn parsed<T: FromStr<Err = IdError>>(
        &mut self,
        node: &YamlNode,
        path: &str,
        example: &str,
    ) -> Option<T> {
        let text = self.text(node, path, example)?;
        text.parse()
            .map_err(|error| self.refuse(node.at, path, &error))
            .ok()
    }

    /// Parses a key as an id, and reports an error if it is not one.
    pub(super) fn key<T: FromStr<Err = IdError>>(
        &mut self,
        entry: &YamlEntry,
        path: &str,
    ) -> Option<T> {
        entry
            .key
            .parse()
            .map_err(|error| self.refuse(entry.at, path, &error))
            .ok()
    }

    fn refuse(&mut self, at: ebbtide_base::problem::TextPosition, path: &str, error: &IdError) {
        self.problems.error(
            at,
            path,
            format!("`{}` is not a {}", error.text, error.what),
            error.why,
        );
    }

    /// Returns a text of at most 128 bytes for which `is` returns true, and reports an error for
    /// any other.
    pub(super) fn shaped<'n>(
        &mut self,
        node: &'n YamlNode,
        path: &str,
        form: TextForm<'_>,
        is: impl Fn(&str) -> bool,
    ) -> Option<&'n str> {
        let TextForm { what, example } = form;
        let text = self.text(node, path, example)?;
        if text.len() > 128 || !is(text) {
            self.problems.error(
                node.at,
                path,
                format!("`{text}` is not {what}"),
                format!("write one like `{example}`"),
            );
            return None;
        }
        Some(text)
    }

    /// Returns the value of one of `words`, and reports an error for any other word.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        node: &YamlNode,
        path: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let text = self.text(node, path, known.first().copied().unwrap_or_default())?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let help = did_you_mean(text, &known);
            self.problems.error(
                node.at,
                path,
                format!("`{text}` is not one of {}", known.join(", ")),
                help,
            );
        }
        found
    }

    /// Returns the items of a list, and reports an error for anything else.
    pub(super) fn items<'n>(
        &mut self,
        node: &'n YamlNode,
        path: &str,
        example: &str,
    ) -> &'n [YamlNode] {
        match &node.value {
            YamlValue::List(items) => items,
            YamlValue::Text(text) => {
                self.problems.error(
                    node.at,
                    path,
                    "expected a list, found a value",
                    format!("write `[{text}]`"),
                );
                &[]
            }
            _ => {
                self.problems.error(
                    node.at,
                    path,
                    format!("expected a list, found {}", node.kind()),
                    write(example),
                );
                &[]
            }
        }
    }

    /// Returns the entries of a mapping, and reports an error for anything else.
    pub(super) fn entries<'n>(
        &mut self,
        node: &'n YamlNode,
        path: &str,
        example: &str,
    ) -> &'n [YamlEntry] {
        match &node.value {
            YamlValue::Map(entries) => entries,
            _ => {
                self.problems.error(
                    node.at,
                    path,
                    format!("expected a mapping, found {}", node.kind()),
                    write(example),
                );
                &[]
            }
        }
    }
}

fn write(example: &str) -> String {
    format!("write it like `{example}`")
}

/// Returns the fix for a word that is not one of `known`.
pub(super) fn did_you_mean(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is no name to choose from".to_owned(),
        None if known.len() > 24 => format!(
            "there are {} to choose from, `{}` first",
            known.len(),
            known[0]
        ),
        None => format!("write one of {}", known.join(", ")),
    }
}
