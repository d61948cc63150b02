//! Rows of a row group, as spans of their numbers. Pure.

use std::ops::Range;

/// Spans in order. No two touch, and none is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RowSpans(Vec<Range<usize>>);

impl RowSpans {
    /// Returns a span of all rows before `rows`.
    pub(super) fn all(rows: usize) -> Self {
        let mut all = Self::default();
        all.push(0..rows);
        all
    }

    /// Adds rows at the end. The span must not begin before the last one begins.
    pub(super) fn push(&mut self, span: Range<usize>) {
        match self.0.last_mut() {
            _ if span.is_empty() => {}
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => self.0.push(span),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the rows that are in either.
    pub(super) fn union(&self, other: &RowSpans) -> RowSpans {
        let mut both: Vec<Range<usize>> = self.0.iter().chain(&other.0).cloned().collect();
        both.sort_unstable_by_key(|span| span.start);
        let mut union = RowSpans::default();
        both.into_iter().for_each(|span| union.push(span));
        union
    }

    /// Returns the rows that are in both.
    pub(super) fn intersection(&self, other: &RowSpans) -> RowSpans {
        let (mut mine, mut theirs, mut both) = (
            self.0.iter().peekable(),
            other.0.iter().peekable(),
            RowSpans::default(),
        );
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            let (start, end) = (a.start.max(b.start), a.end.min(b.end));
            if start < end {
                both.push(start..end);
            }
            if a.end <= b.end {
                mine.next()
            } else {
                theirs.next()
            };
        }
        both
    }

    /// Returns the rows in parts of at most `rows` each, in order.
    pub(super) fn parts(&self, rows: usize) -> Vec<RowSpans> {
        let (mut parts, mut part, mut room) = (Vec::new(), RowSpans::default(), rows.max(1));
        for span in &self.0 {
            let mut rest = span.clone();
            while !rest.is_empty() {
                let end = rest.end.min(rest.start + room);
                part.push(rest.start..end);
                room -= end - rest.start;
                rest.start = end;
                if room == 0 {
                    parts.push(std::mem::take(&mut part));
                    room = rows.max(1);
                }
            }
        }
        parts.extend((!part.is_empty()).then_some(part));
        parts
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Range<usize>> {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bits: &[bool]) -> RowSpans {
        let mut spans = RowSpans::default();
        bits.iter()
            .enumerate()
            .filter(|(_, bit)| **bit)
            .for_each(|(at, _)| spans.push(at..at + 1));
        spans
    }

    fn bits(spans: &RowSpans, rows: usize) -> Vec<bool> {
        (0..rows)
            .map(|row| spans.0.iter().any(|span| span.contains(&row)))
            .collect()
    }

    proptest! {
        #[test]
        fn spans_are_sets_of_rows(pairs in prop::collection::vec(any::<(bool, bool)>(), 0..60), most in 1_usize..20) {
            let (a, b): (Vec<bool>, Vec<bool>) = pairs.iter().copied().unzip();
            let rows = pairs.len();
            let each = |join: fn(bool, bool) -> bool| pairs.iter().map(|(a, b)| join(*a, *b)).collect::<Vec<_>>();
            prop_assert_eq!(bits(&of(&a).union(&of(&b)), rows), each(|a, b| a | b));
            prop_assert_eq!(bits(&of(&a).intersection(&of(&b)), rows), each(|a, b| a & b));
            prop_assert_eq!(of(&a).intersection(&RowSpans::all(rows)), of(&a));
            let parts = of(&a).parts(most);
            let count = |spans: &RowSpans| spans.0.iter().map(Range::len).sum::<usize>();
            prop_assert!(parts.iter().all(|part| (1..=most).contains(&count(part))));
            prop_assert_eq!(parts.iter().fold(RowSpans::default(), |all, part| all.union(part)), of(&a));
        }
    }
}
