//! The values that are searched for, made ready once: patterns for bytes, numbers for decoded columns, wholes for blooms.
//!
//! Promises that a value is only ever named by its line. Must never print one, nor keep one in an error.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;

use serde::Serialize;

use super::forms::{Forms, Pattern};
use super::layers;
use super::scan::Automaton;
use super::typed::Typed;

/// Fewer bytes than this stand in any large file by chance.
pub const LEAST_BYTES: usize = 4;

/// The fewest bytes of a value's beginning that tell of it.
const LEAST_START: usize = 16;

/// A value by the line that it stands on, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Line(pub u32);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Values that cannot be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValuesError {
    /// There is none.
    #[error("there are no values: give one a line")]
    None,
    /// One would be found everywhere.
    #[error(
        "line {line} has fewer than {LEAST_BYTES} bytes: that stands in large files by chance; leave it out, or say --allow-short"
    )]
    Short {
        /// Its line.
        line: Line,
    },
    /// A line is no text.
    #[error("line {line} is not UTF-8 text; give bytes as hexadecimal digits")]
    NoText {
        /// The line.
        line: Line,
    },
    /// They are too many or too long to be searched for at once.
    #[error("these are too many values, or too long ones, for one search: give them in parts")]
    TooMany,
}

/// Values in every form in which they are searched for.
pub struct Values {
    lines: Vec<Line>,
    pub(super) automaton: Automaton,
    pub(super) typed: Typed,
    /// What a bloom filter is asked for: whole values as bytes.
    pub(super) wholes: Vec<(Vec<u8>, Line)>,
    /// Texts by their bytes, to find of which of them a cut-off bound is the beginning.
    texts: BTreeMap<Vec<u8>, Vec<Line>>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({} of them)", self.lines.len())
    }
}

impl Values {
    /// Takes values, one a line; lines of blanks are passed over. Errors on a short one, unless those are allowed.
    pub fn parse(file: &[u8], allow_short: bool) -> Result<Values, ValuesError> {
        let mut lines = Vec::new();
        let mut patterns: HashMap<Pattern, Vec<Line>> = HashMap::new();
        let (mut typed, mut wholes, mut texts) = (Typed::default(), Vec::new(), BTreeMap::<Vec<u8>, Vec<Line>>::new());
        for (number, bytes) in (1..).zip(file.split(|byte| *byte == b'\n')) {
            let line = Line(number);
            let text = std::str::from_utf8(bytes).map_err(|_| ValuesError::NoText { line })?;
            let text = text.strip_suffix('\r').unwrap_or(text);
            match text.trim().len() {
                0 => continue,
                short if short < LEAST_BYTES && !allow_short => return Err(ValuesError::Short { line }),
                _ => lines.push(line),
            }
            let forms = Forms::of(text, allow_short);
            typed.add(&forms.numbers, line);
            for text in forms.texts {
                wholes.push((text.clone(), line));
                texts.entry(text).or_default().push(line);
            }
            wholes.extend(forms.binary.into_iter().map(|bytes| (bytes, line)));
            for pattern in forms.patterns {
                patterns.entry(pattern).or_default().push(line);
            }
        }
        if lines.is_empty() {
            return Err(ValuesError::None);
        }
        let automaton = Automaton::build(patterns).ok_or(ValuesError::TooMany)?;
        Ok(Values { lines, automaton, typed, wholes, texts })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none; never true, since that is an error.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The values that begin with `start` and go on. Nothing where it is so short that it says little.
    pub(super) fn begun_by(&self, start: &[u8]) -> Vec<Line> {
        if start.len() < LEAST_START {
            return Vec::new();
        }
        let from = self.texts.range::<[u8], _>((Bound::Included(start), Bound::Unbounded));
        let begun = from.take_while(|(text, _)| text.starts_with(start));
        begun.filter(|(text, _)| text.len() > start.len()).flat_map(|(_, lines)| lines.iter().copied()).collect()
    }

    /// The text with every value in it replaced by its line, so that it may be shown.
    #[must_use]
    pub fn veil(&self, text: &str) -> String {
        let mut hits = Vec::new();
        self.automaton.search(text.as_bytes(), |line, at| hits.push((at, line)));
        let hidden = layers::search(text.as_bytes(), |layer| {
            let mut found = None;
            self.automaton.search(layer, |line, _| found = Some(line));
            found
        });
        if let (true, Some(line)) = (hits.is_empty(), hidden) {
            return format!("[value {line}]");
        }
        hits.sort_by_key(|(at, _)| (at.start, std::cmp::Reverse(at.end)));
        let (mut shown, mut end) = (String::new(), 0);
        for (at, line) in hits {
            if at.start >= end {
                // A match may begin or end within a character where a pattern is of bytes.
                shown.push_str(&String::from_utf8_lossy(&text.as_bytes()[end..at.start]));
                shown.push_str(&format!("[value {line}]"));
            }
            end = end.max(at.end);
        }
        shown + &String::from_utf8_lossy(&text.as_bytes()[end..])
    }
}
