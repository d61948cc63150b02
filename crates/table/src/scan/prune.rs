//! Finds the row groups of a file that may have matching rows without reading a row: by the bounds
//! in the footer, and by one 32-byte block of each bloom filter.
//!
//! A caller reads the requested ranges until there are none:
//! `while !pruner.ranges().is_empty() { pruner.answer(bytes) }`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::bloom::{BloomBlocks, BloomPlaces, BloomProbe};
use super::bounds::{ColumnBounds, FileColumn, PartAnswer};
use super::predicate::Predicate;
use ebbtide_policy::tag::FormsMark;

/// A search for the row groups of one file that may match a predicate.
pub struct FilePruner<'f> {
    file: &'f ArrowReaderMetadata,
    /// The size of the file in bytes.
    size: u64,
    blooms: &'f BloomPlaces,
    /// The rest of the predicate in each row group.
    groups: Vec<Predicate>,
    /// The questions to bloom filters that are not answered yet.
    questions: Vec<BloomQuestion>,
    /// The conditions that bloom filters exclude: the row group, and the number of the condition.
    excluded: HashSet<(usize, usize)>,
}

/// The question whether a column of a row group contains a text.
struct BloomQuestion {
    group: usize,
    leaf: usize,
    /// The number of the condition among those of the row group's predicate.
    condition: usize,
    probe: BloomProbe,
    /// The requested range of the filter's header, if the place of its blocks is not known.
    header: Option<usize>,
    /// The requested range of the block that decides, and the known or assumed place of the blocks.
    block: Option<(usize, BloomBlocks)>,
}

impl<'f> FilePruner<'f> {
    /// Starts a search in a file of `size` bytes whose subjects are in those canonical forms.
    /// `blooms` keeps the places of its bloom filters.
    #[must_use]
    pub fn new(
        file: &'f ArrowReaderMetadata,
        size: u64,
        forms: Option<FormsMark>,
        blooms: &'f BloomPlaces,
        predicate: &Predicate,
    ) -> FilePruner<'f> {
        let columns: BTreeMap<&str, FileColumn<'f>> = predicate
            .columns()
            .into_iter()
            .filter_map(|column| Some((column, FileColumn::new(file, column)?)))
            .collect();
        let mut pruner = FilePruner {
            file,
            size,
            blooms,
            groups: Vec::new(),
            questions: Vec::new(),
            excluded: HashSet::new(),
        };
        for (group, chunks) in file.metadata().row_groups().iter().enumerate() {
            let rest = predicate.narrowed(&mut |condition, column| {
                let bounds = columns.get(column).map_or(ColumnBounds::MISSING, |column| {
                    column.in_group(chunks.columns())
                });
                condition.answer(&bounds, forms)
            });
            let mut condition = 0;
            rest.each(&mut |part, column| {
                let asked = columns
                    .get(column)
                    .filter(|column| column.is_text())
                    .and_then(FileColumn::leaf)
                    .zip(part.text(forms));
                if let Some((leaf, text)) = asked {
                    pruner.questions.push(BloomQuestion {
                        group,
                        leaf,
                        condition,
                        probe: BloomProbe::new(text),
                        header: None,
                        block: None,
                    });
                }
                condition += 1;
            });
            pruner.groups.push(rest);
        }
        pruner
    }

    /// Returns the ranges of the file to read next; none if the search is complete.
    #[must_use]
    pub fn ranges(&mut self) -> Vec<Range<u64>> {
        let (size, groups) = (self.size, self.file.metadata().row_groups());
        let mut ranges = Vec::new();
        // Several values may be asked of one filter.
        let mut headers: HashMap<(usize, usize), usize> = HashMap::new();
        let mut request = |range: Range<u64>| {
            (range.end <= size).then(|| {
                ranges.push(range);
                ranges.len() - 1
            })
        };
        self.questions.retain_mut(|question| {
            let key = (question.group, question.leaf);
            let chunk = groups
                .get(question.group)
                .map(|group| group.column(question.leaf));
            let blocks = match self.blooms.get(key) {
                // The format of the filter is not known: the answer is maybe.
                Some(None) => return false,
                Some(blocks) => blocks,
                None => {
                    let Some(header) = chunk.and_then(BloomBlocks::header) else {
                        return false;
                    };
                    let read = headers.get(&key).copied().or_else(|| request(header));
                    let Some(read) = read else { return false };
                    headers.insert(key, read);
                    question.header = Some(read);
                    chunk.and_then(BloomBlocks::guessed)
                }
            };
            let block = blocks
                .and_then(|blocks| Some((request(blocks.block_for(&question.probe))?, blocks)));
            question.block = block;
            question.header.is_some() || block.is_some()
        });
        ranges
    }

    /// Takes the bytes of the ranges that were requested last.
    pub fn answer(&mut self, read: &[Bytes]) {
        let bytes = |at: usize| read.get(at).map_or(&[][..], |bytes| bytes);
        let (blooms, excluded) = (self.blooms, &mut self.excluded);
        let groups = self.file.metadata().row_groups();
        self.questions.retain_mut(|question| {
            let key = (question.group, question.leaf);
            let (header, block) = (question.header.take(), question.block.take());
            if let Some(header) = header {
                let start = groups
                    .get(question.group)
                    .and_then(|group| BloomBlocks::header(group.column(question.leaf)));
                let blocks =
                    start.and_then(|range| BloomBlocks::from_header(range.start, bytes(header)));
                blooms.insert(key, blocks);
            }
            match (blooms.get(key).flatten(), block) {
                (Some(blocks), Some((at, assumed))) if blocks == assumed => {
                    if !question.probe.may_be_in(bytes(at)) {
                        excluded.insert((question.group, question.condition));
                    }
                    false
                }
                // The blocks are elsewhere than assumed: the right one is read next.
                (Some(_), _) => header.is_some(),
                (None, _) => false,
            }
        });
    }

    /// Returns for each row group the predicate without the conditions that none or all of its rows
    /// meet; `None` if no row of it matches.
    #[must_use]
    pub fn finish(self) -> Vec<Option<Predicate>> {
        let excluded = self.excluded;
        let groups = self.groups.into_iter().enumerate();
        let rest = groups.map(|(group, rest)| {
            if excluded.is_empty() {
                return rest;
            }
            let mut numbers = 0..;
            rest.narrowed(&mut |_, _| match numbers.next() {
                Some(number) if excluded.contains(&(group, number)) => PartAnswer::Never,
                _ => PartAnswer::Maybe,
            })
        });
        rest.map(|rest| (!rest.is_never()).then_some(rest))
            .collect()
    }
}
