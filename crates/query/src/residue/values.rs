//! The values to search for, prepared once: patterns for bytes, numbers for decoded columns,
//! complete values for bloom filters.
//!
//! A value is identified only by its line. It is never printed, and no error contains it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;

use serde::Serialize;

use super::escapes;
use super::forms::{LEAST_BYTES, Pattern, ValueForms};
use super::list_line::ListLine;
use super::scan::Automaton;
use super::typed::{TypedForms, TypedValues};
use ebbtide_base::ids::Country;
use ebbtide_policy::tag::national_forms;
use ebbtide_policy::value_list::{self, ListError, spellings};

/// The minimum number of bytes of a value's beginning that is specific to the value.
const LEAST_START: usize = 16;

/// Values that cannot be searched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareValuesError {
    /// The list was not understood.
    #[error(transparent)]
    List(#[from] ListError),
    /// A value is too short: it would be found everywhere.
    #[error(
        "line {line} has fewer than {LEAST_BYTES} bytes: large files contain that by chance; leave it out, or say --allow-short"
    )]
    Short {
        /// The line of the value.
        line: ListLine,
    },
    /// The values are too many or too long for one search.
    #[error("these are too many values, or too long ones, for one search: give them in parts")]
    TooMany,
}

/// The numbers of values and forms that were searched for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SearchCounts {
    /// The number of distinct values.
    pub values: u64,
    /// The number of lines that repeat a value of an earlier line.
    pub repeated: u64,
    /// The number of complete texts, in every spelling and canonical form.
    pub texts: u64,
    /// The number of texts and bytes that are searched for within other bytes: escaped, encoded, as
    /// binary.
    pub patterns: u64,
    /// The number of values that are numbers, instants or days, searched for in columns of those
    /// types.
    pub numbers: u64,
}

/// The values in every form in which they are searched for.
pub struct SearchValues {
    lines: Vec<ListLine>,
    searched: SearchCounts,
    pub(super) automaton: Automaton,
    pub(super) typed: TypedValues,
    /// Complete values as bytes, to ask bloom filters for.
    pub(super) wholes: Vec<(Vec<u8>, ListLine)>,
    /// Texts by their bytes, to find those that begin with a truncated bound.
    texts: BTreeMap<Vec<u8>, Vec<ListLine>>,
}

impl fmt::Debug for SearchValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SearchValues({} of them)", self.lines.len())
    }
}

impl SearchValues {
    /// Reads a list of values, one per line ([`value_list`](ebbtide_policy::value_list) describes
    /// the lines). National numbers are also searched for as numbers of each of `homes`, the
    /// default countries under the root. Errors if a value is too short, unless `allow_short`.
    pub fn parse(
        file: &[u8],
        allow_short: bool,
        homes: &[Country],
    ) -> Result<SearchValues, PrepareValuesError> {
        let list = value_list::parse(file, homes)?;
        let values = list
            .values
            .iter()
            .map(|value| (ListLine(value.line), value.text.as_str()));
        let mut values = SearchValues::build(values, allow_short, homes)?;
        values.searched.repeated = list.repeated as u64;
        Ok(values)
    }

    /// Creates values from texts without parsing them. The line of each is its position, from 1.
    /// Blank texts are left out.
    pub fn of_texts<T: AsRef<str>>(
        texts: &[T],
        allow_short: bool,
    ) -> Result<SearchValues, PrepareValuesError> {
        let texts = (1..).map(ListLine).zip(texts.iter().map(AsRef::as_ref));
        SearchValues::build(
            texts.filter(|(_, text)| !text.trim().is_empty()),
            allow_short,
            &[],
        )
    }

    fn build<'t>(
        listed: impl Iterator<Item = (ListLine, &'t str)>,
        allow_short: bool,
        homes: &[Country],
    ) -> Result<SearchValues, PrepareValuesError> {
        let mut lines = Vec::new();
        let mut patterns: HashMap<Pattern, BTreeSet<ListLine>> = HashMap::new();
        let mut typed = TypedValues::default();
        let mut wholes: BTreeSet<(ListLine, Vec<u8>)> = BTreeSet::new();
        let mut texts = BTreeMap::<Vec<u8>, BTreeSet<ListLine>>::new();
        let mut numbers = 0;
        for (line, text) in listed {
            if text.trim().len() < LEAST_BYTES && !allow_short {
                return Err(PrepareValuesError::Short { line });
            }
            lines.push(line);
            let given = spellings(text)
                .into_iter()
                .chain(national_forms(text, homes));
            let is_long = |spelling: &String| {
                spelling == text || allow_short || spelling.trim().len() >= LEAST_BYTES
            };
            let mut is_number = false;
            for spelling in given.filter(is_long) {
                let forms = ValueForms::new(&spelling, allow_short);
                is_number |= forms.numbers != TypedForms::default();
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
        let searched = SearchCounts {
            values,
            repeated: 0,
            texts: texts.len() as u64,
            patterns: patterns_of,
            numbers,
        };
        let all = |lines: BTreeSet<ListLine>| lines.into_iter().collect::<Vec<ListLine>>();
        let patterns = patterns
            .into_iter()
            .map(|(pattern, lines)| (pattern, all(lines)));
        let automaton = Automaton::build(patterns.collect()).ok_or(PrepareValuesError::TooMany)?;
        let wholes = wholes
            .into_iter()
            .map(|(line, bytes)| (bytes, line))
            .collect();
        let texts = texts
            .into_iter()
            .map(|(text, lines)| (text, all(lines)))
            .collect();
        Ok(SearchValues {
            lines,
            searched,
            automaton,
            typed,
            wholes,
            texts,
        })
    }

    /// Returns the numbers of values and forms that are searched for.
    #[must_use]
    pub fn searched_for(&self) -> SearchCounts {
        self.searched
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns true if there are no values. That never happens, because an empty list is an error.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the values that begin with `start` and are longer. Returns nothing if `start` is too
    /// short to be specific.
    pub(super) fn begun_by(&self, start: &[u8]) -> Vec<ListLine> {
        if start.len() < LEAST_START {
            return Vec::new();
        }
        let from = self
            .texts
            .range::<[u8], _>((Bound::Included(start), Bound::Unbounded));
        let begun = from.take_while(|(text, _)| text.starts_with(start));
        begun
            .filter(|(text, _)| text.len() > start.len())
            .flat_map(|(_, lines)| lines.iter().copied())
            .collect()
    }

    /// Returns the text with every value in it replaced by its line, so that it may be shown.
    #[must_use]
    pub fn veil(&self, text: &str) -> String {
        let mut hits = Vec::new();
        self.automaton
            .search(text.as_bytes(), |line, at| hits.push((at, line)));
        let hidden = escapes::search(text.as_bytes(), |layer| {
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
                // A match of a byte pattern may begin or end within a character.
                shown.push_str(&String::from_utf8_lossy(&text.as_bytes()[end..at.start]));
                shown.push_str(&format!("[value {line}]"));
            }
            end = end.max(at.end);
        }
        shown + &String::from_utf8_lossy(&text.as_bytes()[end..])
    }
}
