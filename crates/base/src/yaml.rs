//! YAML as a tree in which each part has its place, so that every later problem can name line and column.
//!
//! Scalars remain text: the reader decides what `0012` or `NO` means. Keys are unique, anchors work, and a document
//! that would grow beyond [`MOST_NODES`] by its aliases is refused. Must never interpret a value.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::problem::{At, Problems, nearest};

/// The maximum number of nodes of one document. An alias counts each time it is used.
pub const MOST_NODES: usize = 200_000;

/// One node of a document.
#[derive(Debug, Clone)]
pub struct Node {
    /// The place where the node begins.
    pub at: At,
    /// The value.
    pub value: Value,
}

/// The value of a node.
#[derive(Debug, Clone)]
pub enum Value {
    /// A scalar's text; an unquoted empty one, `~` or `null` is [`Value::Null`].
    Text(String),
    /// Nothing.
    Null,
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// The place where the key begins.
    pub at: At,
    /// The node under the key.
    pub value: Node,
}

/// A text that is not one YAML document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", at.line, at.column)]
pub struct YamlError {
    /// The place of the error.
    pub at: At,
    /// The error, in words.
    pub what: String,
}

impl Node {
    /// Returns the entries of a mapping; nothing for any other node.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Returns the entry under `key`, if the node is a mapping that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// Returns the node under `key`, if this node is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// Returns the text, if the node is a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the items, if the node is a sequence.
    #[must_use]
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the kind of the node, in words for a problem.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a value",
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Adds an error for every key of `node` that is not one of `known`, with the nearest known key as the fix. `path` is
/// the node's own path. A node that is not a mapping gets one error that says so.
pub fn check_keys(node: &Node, known: &[&str], path: &str, problems: &mut Problems) {
    if !matches!(node.value, Value::Map(_)) {
        let what = format!("expected a mapping, found {}", node.kind());
        problems.error(node.at, path, what, format!("write one of the keys {}", known.join(", ")));
        return;
    }
    for entry in node.entries() {
        if known.contains(&entry.key.as_str()) {
            continue;
        }
        let mend = match nearest(&entry.key, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys here are {}", known.join(", ")),
        };
        problems.error(entry.at, &join(path, &entry.key), format!("unknown key `{}`", entry.key), mend);
    }
}

/// Returns the path of `key` under `path`.
#[must_use]
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Parses one document. Errors with the place if the text is not exactly one YAML document with unique text keys.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut root = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => break,
            _ if root.is_some() => return Err(reader.error(span, "a second document; write one alone")),
            event => root = Some(reader.node(event, span)?),
        }
    }
    Ok(root.unwrap_or(Node { at: At { line: 1, column: 1 }, value: Value::Null }))
}

struct Reader<'t> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    anchors: HashMap<usize, Node>,
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
                    at: At { line: marker.line(), column: marker.col() + 1 },
                    what: error.info().to_owned(),
                })
            }
        }
    }

    fn want(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        self.next()?.ok_or_else(|| YamlError { at: At::default(), what: "the document ends too early".to_owned() })
    }

    fn error(&self, span: Span, what: &str) -> YamlError {
        YamlError { at: place(span), what: what.to_owned() }
    }

    fn count(&mut self, more: usize, span: Span) -> Result<(), YamlError> {
        self.nodes += more;
        if self.nodes > MOST_NODES {
            return Err(self.error(span, "the document is too large; use fewer aliases"));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, YamlError> {
        self.count(1, span)?;
        let at = place(span);
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, scalar(&text, style)),
            Event::SequenceStart(anchor, _) => (anchor, Value::List(self.items()?)),
            Event::MappingStart(anchor, _) => (anchor, Value::Map(self.entries()?)),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error(span, "an alias of an anchor that is not there"));
                };
                self.count(size(&node), span)?;
                return Ok(Node { at, value: node.value });
            }
            _ => return Err(self.error(span, "unexpected end of a list or mapping")),
        };
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Result<Vec<Node>, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.want()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, YamlError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.want()?;
            let key = match event {
                Event::MappingEnd => return Ok(entries),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(self.error(span, "a key must be a plain text")),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(self.error(span, &format!("the key `{key}` stands here twice")));
            }
            let (event, value_span) = self.want()?;
            let mut value = self.node(event, value_span)?;
            if matches!(value.value, Value::Null) {
                // An absent value has no place: the place of its key is used.
                value.at = place(span);
            }
            entries.push(Entry { key, at: place(span), value });
        }
    }
}

fn place(span: Span) -> At {
    At { line: span.start.line(), column: span.start.col() + 1 }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style == ScalarStyle::Plain && matches!(text, "" | "~" | "null") {
        Value::Null
    } else {
        Value::Text(text.to_owned())
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum::<usize>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
