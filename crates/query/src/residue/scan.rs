//! Searches bytes for all patterns in one pass, however many there are, in a bounded buffer.
//!
//! A match across two reads is found, and found once. Independent of files.

use std::collections::HashMap;
use std::io::{self, Read};
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::forms::Pattern;
use super::list_line::ListLine;

/// The number of bytes of one read; more if a pattern is longer.
const READ_BYTES: usize = 1 << 20;

/// All patterns, with the lines of the values that they are forms of.
pub struct Automaton {
    machine: AhoCorasick,
    meanings: Vec<(Pattern, Vec<ListLine>)>,
    longest: usize,
}

impl Automaton {
    /// Builds the automaton. `None` if there are too many patterns for one.
    pub fn build(patterns: HashMap<Pattern, Vec<ListLine>>) -> Option<Automaton> {
        let mut meanings: Vec<(Pattern, Vec<ListLine>)> = patterns.into_iter().collect();
        meanings.sort();
        let machine = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(meanings.iter().map(|(pattern, _)| &pattern.bytes))
            .ok()?;
        let longest = meanings
            .iter()
            .map(|(pattern, _)| pattern.bytes.len())
            .max()
            .unwrap_or(0);
        Some(Automaton {
            machine,
            meanings,
            longest,
        })
    }

    /// Calls `hit` with every match in `bytes`, including overlapping ones.
    pub fn search(&self, bytes: &[u8], mut hit: impl FnMut(ListLine, Range<usize>)) {
        for found in self.machine.find_overlapping_iter(bytes) {
            let (pattern, lines) = &self.meanings[found.pattern().as_usize()];
            if !pattern.exact || bytes[found.range()] == pattern.bytes {
                lines.iter().for_each(|line| hit(*line, found.range()));
            }
        }
    }

    /// Calls `hit` with every match in the bytes of `from` and its offset. Calls `read` with the
    /// bytes as they are read. Returns the number of bytes.
    pub fn stream(
        &self,
        mut from: impl Read,
        mut read: impl FnMut(&[u8]),
        mut hit: impl FnMut(ListLine, u64),
    ) -> io::Result<u64> {
        let overlap = self.longest.saturating_sub(1);
        let mut buffer = vec![0; READ_BYTES.max(4 * self.longest)];
        // The number of already searched bytes that remain at the front of the buffer, and the
        // offset of the buffer in the whole.
        let (mut kept, mut start) = (0, 0_u64);
        loop {
            let filled = kept + fill(&mut from, &mut buffer[kept..])?;
            if filled == kept {
                return Ok(start + kept as u64);
            }
            read(&buffer[kept..filled]);
            self.search(&buffer[..filled], |line, at| {
                // A match that ends in the kept part was reported before.
                if at.end > kept {
                    hit(line, start + at.start as u64);
                }
            });
            let keep = overlap.min(filled);
            buffer.copy_within(filled - keep..filled, 0);
            start += (filled - keep) as u64;
            kept = keep;
        }
    }
}

/// Reads until the buffer is full or the input ends. Returns the number of bytes read.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::residue::SearchValues;

    fn streamed(values: &str, bytes: &[u8]) -> Vec<(u32, u64)> {
        let values =
            SearchValues::of_texts(&values.split('\n').collect::<Vec<_>>(), false).unwrap();
        let mut found = Vec::new();
        let read = values
            .automaton
            .stream(bytes, |_| {}, |line, at| found.push((line.0, at)))
            .unwrap();
        assert_eq!(read, bytes.len() as u64);
        found.sort_unstable();
        found
    }

    #[test]
    fn a_value_across_two_reads_is_found_once_at_its_place() {
        let values = "canary-one\ncanary-two";
        for shift in 0..12 {
            let mut bytes = vec![b'.'; 3 * READ_BYTES];
            let at = READ_BYTES - shift;
            bytes[at..at + 10].copy_from_slice(b"CANARY-one");
            assert_eq!(streamed(values, &bytes), [(1, at as u64)], "{shift}");
        }
    }

    #[test]
    fn values_within_values_are_all_found() {
        assert_eq!(
            streamed("canary\ncanary-7\nary-", b"a canary-7"),
            [(1, 2), (2, 2), (3, 5)]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_value_at_every_place_is_found(
            values in prop::collection::btree_set("[a-z][A-Za-z0-9@+. ]{5,40}[a-z]", 1..20),
            places in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..30),
        ) {
            let values: Vec<String> = values.into_iter().collect();
            // Bytes that are in no value, so that a value is found only where it was planted.
            let mut bytes = vec![0_u8; 2 * READ_BYTES + 1000];
            let mut free = vec![true; bytes.len()];
            let mut planted = Vec::new();
            for (value, at) in places {
                let value = value.index(values.len());
                // Half of the values are near the end of a read.
                let at = if at.index(2) == 0 { at.index(bytes.len()) } else { READ_BYTES - 50 + at.index(100) };
                let text = values[value].trim();
                if at + text.len() < bytes.len() && free[at..at + text.len()].iter().all(|free| *free) {
                    bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
                    free[at.saturating_sub(1)..at + text.len() + 1].fill(false);
                    planted.push((u32::try_from(value).unwrap() + 1, at as u64));
                }
            }
            let found = streamed(&values.join("\n"), &bytes);
            for place in planted {
                prop_assert!(found.contains(&place), "{place:?} of {found:?}");
            }
        }
    }
}
