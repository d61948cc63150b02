//! The values that are searched for, made ready once: patterns for bytes, numbers for decoded columns, wholes for blooms.
//!
//! Promises that a value is only ever named by its line. Must never print one, nor keep one in an error.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;

use serde::Serialize;

use super::forms::{Forms, Pattern};
use super::layers;
use super::scan::Automaton;
use super::typed::{Numbers, Typed};
use crate::ids::Country;
use crate::tag::national_forms;
use crate::value_list::{self, ListError, spellings};

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
    /// The list was not understood.
    #[error(transparent)]
    List(#[from] ListError),
    /// One would be found everywhere.
    #[error(
        "line {line} has fewer than {LEAST_BYTES} bytes: that stands in large files by chance; leave it out, or say --allow-short"
    )]
    Short {
        /// Its line.
        line: Line,
    },
    /// They are too many or too long to be searched for at once.
    #[error("these are too many values, or too long ones, for one search: give them in parts")]
    TooMany,
}

/// The numbers of values and forms that were searched for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SearchedFor {
    /// Distinct values.
    pub values: u64,
    /// Lines that repeat a value of an earlier line.
    pub repeated: u64,
    /// Complete texts, in every spelling and canonical form.
    pub texts: u64,
    /// Texts and bytes that are searched for within other bytes: escaped, encoded, as binary.
    pub patterns: u64,
    /// Values that are numbers, instants or days, searched for in columns of those types.
    pub numbers: u64,
}

/// Values in every form in which they are searched for.
pub struct Values {
    lines: Vec<Line>,
    searched: SearchedFor,
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
    /// Reads a list of values, one a line ([`value_list`](crate::value_list) describes the lines). National numbers are
    /// searched for as those of each of `homes` too, the default countries under the root. Errors on a short value,
    /// unless those are allowed.
    pub fn parse(file: &[u8], allow_short: bool, homes: &[Country]) -> Result<Values, ValuesError> {
        let list = value_list::parse(file, homes)?;
        let values = list.values.iter().map(|value| (Line(value.line), value.text.as_str()));
        let mut values = Values::build(values, allow_short, homes)?;
        values.searched.repeated = list.repeated as u64;
        Ok(values)
    }

    /// Creates values from texts without parsing them, each named by its number from 1; blank ones are left out.
    pub fn of_texts<T: AsRef<str>>(texts: &[T], allow_short: bool) -> Result<Values, ValuesError> {
        let texts = (1..).map(Line).zip(texts.iter().map(AsRef::as_ref));
        Values::build(texts.filter(|(_, text)| !text.trim().is_empty()), allow_short, &[])
    }

    fn build<'t>(
        listed: impl Iterator<Item = (Line, &'t str)>,
        allow_short: bool,
        homes: &[Country],
    ) -> Result<Values, ValuesError> {
        let mut lines = Vec::new();
        let mut patterns: HashMap<Pattern, BTreeSet<Line>> = HashMap::new();
        let mut typed = Typed::default();
        let mut wholes: BTreeSet<(Line, Vec<u8>)> = BTreeSet::new();
        let mut texts = BTreeMap::<Vec<u8>, BTreeSet<Line>>::new();
        let mut numbers = 0;
        for (line, text) in listed {
            if text.trim().len() < LEAST_BYTES && !allow_short {
                return Err(ValuesError::Short { line });
            }
            lines.push(line);
            let given = spellings(text).into_iter().chain(national_forms(text, homes));
            let is_long = |spelling: &String| spelling == text || allow_short || spelling.trim().len() >= LEAST_BYTES;
            let mut is_number = false;
            for spelling in given.filter(is_long) {
                let forms = Forms::of(&spelling, allow_short);
                is_number |= forms.numbers != Numbers::default();
                typed.add(&forms.numbers, line);
                for text in forms.texts {
                    wholes.insert((line, text.clone()));
                    texts.entry(text).or_default().insert(line);
                }
                wholes.extend(forms.binary.into_iter().map(|bytes| (line, bytes)));
                for pattern in forms.patterns {
                    patterns.entry(pattern).or_default().insert(line);
                }
            }
            numbers += u64::from(is_number);
        }
        if lines.is_empty() {
            return Err(ListError::Empty.into());
        }
        let (values, patterns_of) = (lines.len() as u64, patterns.len() as u64);
        let searched = SearchedFor { values, repeated: 0, texts: texts.len() as u64, patterns: patterns_of, numbers };
        let all = |lines: BTreeSet<Line>| lines.into_iter().collect::<Vec<Line>>();
        let patterns = patterns.into_iter().map(|(pattern, lines)| (pattern, all(lines)));
        let automaton = Automaton::build(patterns.collect()).ok_or(ValuesError::TooMany)?;
        let wholes = wholes.into_iter().map(|(line, bytes)| (bytes, line)).collect();
        let texts = texts.into_iter().map(|(text, lines)| (text, all(lines))).collect();
        Ok(Values { lines, searched, automaton, typed, wholes, texts })
    }

    /// Returns the numbers of values and forms that are searched for.
    #[must_use]
    pub fn searched_for(&self) -> SearchedFor {
        self.searched
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
