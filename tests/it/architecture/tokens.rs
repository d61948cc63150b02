//! Splits a Rust file into words and signs with their lines, without comments, strings and characters.
//!
//! Knows only what the architecture test needs: names, `::` and single signs. Must never report text of a comment as
//! code.

/// One word, `::`, or sign, and its line (from 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    pub line: usize,
}

/// Cuts `source` into tokens.
pub fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut cutter = Cutter { rest: source, line: 1, found: Vec::new() };
    while !cutter.rest.is_empty() {
        cutter.step();
    }
    cutter.found
}

struct Cutter<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<Token<'a>>,
}

impl<'a> Cutter<'a> {
    fn step(&mut self) {
        let Some(first) = self.rest.chars().next() else { return };
        if self.rest.starts_with("//") {
            self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.skip(block_comment(self.rest));
        } else if let Some(length) = raw_string(self.rest) {
            self.skip(length);
        } else if first == '"' {
            self.skip(1 + until_close(&self.rest[1..], '"'));
        } else if first == '\'' {
            self.skip(character(self.rest));
        } else if first.is_alphanumeric() || first == '_' {
            let length = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
            self.take(length);
        } else if self.rest.starts_with("::") {
            self.take(2);
        } else if first.is_whitespace() {
            self.skip(first.len_utf8());
        } else {
            self.take(first.len_utf8());
        }
    }

    fn take(&mut self, length: usize) {
        self.found.push(Token { text: &self.rest[..length], line: self.line });
        self.rest = &self.rest[length..];
    }

    fn skip(&mut self, length: usize) {
        let length = length.min(self.rest.len());
        self.line += self.rest[..length].matches('\n').count();
        self.rest = &self.rest[length..];
    }
}

/// Returns the length of the block comment (they nest) that `text` begins with.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// Returns the length of the raw string (`r"…"`, `br#"…"#`) that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inner = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = inner.find(&close).map_or(inner.len(), |at| at + close.len());
    Some(text.len() - inner.len() + end)
}

/// Returns the length up to and including the first `close` that no backslash escapes.
fn until_close(text: &str, close: char) -> usize {
    let mut guarded = false;
    for (at, c) in text.char_indices() {
        if guarded {
            guarded = false;
        } else if c == '\\' {
            guarded = true;
        } else if c == close {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Returns the length of the character literal at the start of `text`; 1 if the quote begins a lifetime.
fn character(text: &str) -> usize {
    let mut inner = text[1..].char_indices();
    match inner.next() {
        Some((_, '\\')) => 1 + until_close(&text[1..], '\''),
        Some(_) => match inner.next() {
            Some((at, '\'')) => 1 + at + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[test]
fn comments_strings_and_characters_are_not_code() {
    let source = "a // crate::x\n/* b /* c */ */ \"d \\\" e\" r#\"f \" g\"# 'h' '\\'' &'i j::k";
    let words: Vec<_> = tokens(source).into_iter().map(|t| (t.text, t.line)).collect();
    assert_eq!(words, [("a", 1), ("&", 2), ("i", 2), ("j", 2), ("::", 2), ("k", 2)]);
}
