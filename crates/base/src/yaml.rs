//! YAML as a tree in which each part has its place, so that every later problem can name line and
//! column.
//!
//! Scalars remain text: the reader decides what `0012` or `NO` means. Keys are unique, anchors
//! work, and a document that would grow beyond [`MOST_NODES`] by its aliases is refused. Must never
//! interpret a value.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::problem::{Problems, TextPosition, nearest};

/// The maximum number of nodes of one document. An alias counts each time it is used.
pub const MOST_NODES: usize = 200_000;

/// One node of a document.
#[derive(Debug, Clone)]
pub struct YamlNode {
    /// The place where the node begins.
    pub at: TextPosition,
    /// The value.
    pub value: YamlValue,
}

/// The value of a node.
#[derive(Debug, Clone)]
pub enum YamlValue {
    /// A scalar's text; an unquoted empty one, `~` or `null` is [`YamlValue::Null`].
    Text(String),
    /// Nothing.
    Null,
    /// A sequence.
    List(Vec<YamlNode>),
    /// A mapping, in the order of the file.
    Map(Vec<YamlEntry>),
}

/// One entry of a mapping.
#[derive(Debug, Clone)]
pub struct YamlEntry {
    /// The key's text.
    pub key: String,
    /// The place where the key begins.
    pub at: TextPosition,
    /// The node under the key.
    pub value: YamlNode,
}

/// A text that is not one YAML document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", at.line, at.column)]
pub struct YamlError {
    /// The place of the error.
    pub at: TextPosition,
    /// The error, in words.
    pub what: String,
}

impl YamlNode {
    /// Returns the entries of a mapping; nothing for any other node.
    #[must_use]
    pub fn entries(&self) -> &[YamlEntry] {
        match &self.value {
            YamlValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the entry under `key`, if the node is a mapping that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&YamlEntry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Returns the node under `key`, if this node is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&YamlNode> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Returns the entries of a mapping, to change them; `None` for any other node.
    pub fn entries_mut(&mut self) -> Option<&mut Vec<YamlEntry>> {
        match &mut self.value {
            YamlValue::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Sets the text at `path` and creates the mappings on the way to it, all without a position.
    /// Changes nothing where the path leads through a text or a list.
    pub fn set(&mut self, path: &[&str], text: &str) {
        let at = TextPosition::default();
        let Some((key, rest)) = path.split_first() else {
            let value = YamlValue::Text(text.to_owned());
            *self = YamlNode { at, value };
            return;
        };
        if matches!(self.value, YamlValue::Null) {
            self.value = YamlValue::Map(Vec::new());
        }
        let Some(entries) = self.entries_mut() else {
            return;
        };
        if let Some(entry) = entries.iter_mut().find(|entry| entry.key == *key) {
            return entry.value.set(rest, text);
        }
        let value = YamlValue::Null;
        let mut entry = YamlEntry {
            key: (*key).to_owned(),
            at,
            value: YamlNode { at, value },
        };
        entry.value.set(rest, text);
        entries.push(entry);
    }

    /// Returns the text, if the node is a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            YamlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items, if the node is a sequence.
    #[must_use]
    pub fn list(&self) -> Option<&[YamlNode]> {
        match &self.value {
            YamlValue::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the kind of the node, in words for a problem.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            YamlValue::Text(_) => "a value",
            YamlValue::Null => "nothing",
            YamlValue::List(_) => "a list",
            YamlValue::Map(_) => "a mapping",
        }
    }
}

/// Adds an error for every key of `node` that is not one of `known`, with the nearest known key as
/// the fix. `path` is the node's own path. A node that is not a mapping gets one error that says
/// so.
pub fn check_keys(node: &YamlNode, known: &[&str], path: &str, problems: &mut Problems) {
    if !matches!(node.value, YamlValue::Map(_)) {
        let what = format!("expected a mapping, found {}", node.kind());
        problems.error(
            node.at,
            path,
            what,
            format!("write one of the keys {}", known.join(", ")),
        );
        return;
    }
    for entry in node.entries() {
        if known.contains(&entry.key.as_str()) {
            continue;
        }
        let help = match nearest(&entry.key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys here are {}", known.join(", ")),
        };
        problems.error(
            entry.at,
            &join(path, &entry.key),
            format!("unknown key `{}`", entry.key),
            help,
        );
    }
}

/// Returns the path of `key` under `path`.
#[must_use]
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Parses one document. Errors with the place if the text is not exactly one YAML document with
/// unique text keys.
pub fn parse(text: &str) -> Result<YamlNode, YamlError> {
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let mut root = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => break,
            _ if root.is_some() => {
                return Err(reader.error(span, "a second document; write one alone"));
            }
            event => root = Some(reader.node(event, span)?),
        }
    }
    Ok(root.unwrap_or(YamlNode {
        at: TextPosition { line: 1, column: 1 },
        value: YamlValue::Null,
    }))
}

struct Reader<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, YamlNode>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, YamlError> {
        match self.events.next() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => {
                let marker = error.marker();
                Err(YamlError {
                    at: TextPosition {
                        line: marker.line(),
                        column: marker.col() + 1,
                    },
                    what: error.info().to_owned(),
                })
            }
        }
    }

    fn want(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        self.next()?.ok_or_else(|| YamlError {
            at: TextPosition::default(),
            what: "the document ends too early".to_owned(),
        })
    }

    fn error(&self, span: Span, what: &str) -> YamlError {
        YamlError {
            at: place(span),
            what: what.to_owned(),
        }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), YamlError> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            return Err(self.error(span, "the document is too large; use fewer aliases"));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<YamlNode, YamlError> {
        self.count(1, span)?;
        let at = place(span);
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, scalar(&text, style)),
            Event::SequenceStart(anchor, _) => (anchor, YamlValue::List(self.items()?)),
            Event::MappingStart(anchor, _) => (anchor, YamlValue::Map(self.entries()?)),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error(span, "an alias of an anchor that is not there"));
                };
                self.count(size(&node), span)?;
                return Ok(YamlNode {
                    at,
                    value: node.value,
                });
            }
            _ => return Err(self.error(span, "unexpected end of a list or mapping")),
        };
        let node = YamlNode { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<YamlNode>, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.want()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<YamlEntry>, YamlError> {
        let mut entries: Vec<YamlEntry> = Vec::new();
        loop {
            let (event, span) = self.want()?;
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.error(span, "a key must be a plain text")),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(self.error(span, &format!("the key `{key}` is repeated here")));
            }
            let (event, value_span) = self.want()?;
            let mut value = self.node(event, value_span)?;
            if matches!(value.value, YamlValue::Null) {
                // An absent value has no place: the place of its key is used.
                value.at = place(span);
            }
            entries.push(YamlEntry {
                key,
                at: place(span),
                value,
            });
        }
    }
}

fn place(span: Span) -> TextPosition {
    TextPosition {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn scalar(text: &str, style: ScalarStyle) -> YamlValue {
    if style == ScalarStyle::Plain && matches!(text, "" | "~" | "null") {
        YamlValue::Null
    } else {
        YamlValue::Text(text.to_owned())
    }
}

fn size(node: &YamlNode) -> usize {
    1 + match &node.value {
        YamlValue::List(items) => items.iter().map(size).sum::<usize>(),
        YamlValue::Map(entries) => entries
            .iter()
            .map(|entry| size(&entry.value))
            .sum::<usize>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
