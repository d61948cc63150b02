//! Finds the row groups of a file that may have matching rows without reading a row: by the bounds
//! in the footer, and by one 32-byte block of each bloom filter.
//!
//! A caller reads the requested ranges until there are none:
//! `while !pruner.ranges().is_empty() { pruner.answer(bytes) }`. The row groups of one step have few
//! questions together, or it is only one row group: memory does not grow with all of them.

use std::collections::{BTreeMap, HashSet};
use std::mem;
use std::ops::Range;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::bloom::{BloomBlocks, BloomPlaces, BloomProbe, ChunkKey};
use super::bounds::{ColumnBounds, FileColumn, PartAnswer, TextBounds};
use super::predicate::Predicate;
use ebbtide_policy::tag::FormsMark;

/// The number of questions to bloom filters after which no further row group is added to a step.
const STEP_QUESTIONS: usize = 256;

/// A file to search, and what a search may trust of it.
#[derive(Clone, Copy)]
pub struct ScannedFile<'f> {
    /// The footer.
    pub metadata: &'f ArrowReaderMetadata,
    /// The size of the file in bytes.
    pub size: u64,
    /// The canonical forms of its subjects; `None` if they are not known.
    pub forms: Option<FormsMark>,
    /// The known places of its bloom filters. The search adds those that it reads.
    pub blooms: &'f BloomPlaces,
    /// The bounds of texts that may exclude rows. Bounds of instants and numbers of nulls always
    /// may.
    pub text_bounds: TextBounds,
}

/// A search for the row groups of one file that may match a predicate.
pub struct FilePruner<'f> {
    file: ScannedFile<'f>,
    predicate: &'f Predicate,
    columns: BTreeMap<&'f str, FileColumn<'f>>,
    /// The rest of the predicate in each row group that was begun.
    groups: Vec<Predicate>,
    /// The row groups that wait for bloom filters.
    waiting: Vec<WaitingGroup>,
    /// The ranges that were requested last.
    requested: Vec<Range<u64>>,
}

/// A row group whose bloom filters are being read.
struct WaitingGroup {
    number: usize,
    /// The filters that have not answered yet.
    filters: Vec<FilterQuestions>,
    /// The numbers of the conditions that filters exclude, among those of the group's predicate.
    excluded: HashSet<usize>,
}

/// The questions to the bloom filter of one column chunk.
struct FilterQuestions {
    leaf: usize,
    /// The texts, each with the number of its condition.
    probes: Vec<(usize, BloomProbe)>,
    /// True if the filter's header was requested.
    header: bool,
    /// The known or assumed place of the blocks.
    blocks: Option<BloomBlocks>,
}

/// The bytes that were read, by the start of their range.
struct ReadRanges(BTreeMap<u64, Bytes>);

impl<'f> FilePruner<'f> {
    /// Starts a search for the rows that match a predicate.
    #[must_use]
    pub fn new(file: ScannedFile<'f>, predicate: &'f Predicate) -> FilePruner<'f> {
        let column = |name: &'f str| {
            let column = FileColumn::new(file.metadata, name, file.text_bounds)?;
            Some((name, column))
        };
        FilePruner {
            file,
            predicate,
            columns: predicate.columns().into_iter().filter_map(column).collect(),
            groups: Vec::new(),
            waiting: Vec::new(),
            requested: Vec::new(),
        }
    }

    /// Returns the ranges of the file to read next, sorted; none if the search is complete.
    #[must_use]
    pub fn ranges(&mut self) -> Vec<Range<u64>> {
        // Several texts may be asked of one block: it is requested once.
        let mut ranges = BTreeMap::new();
        let mut waiting = mem::take(&mut self.waiting);
        waiting.retain_mut(|group| self.request(group, &mut ranges));
        let mut questions: usize = waiting.iter().map(WaitingGroup::questions).sum();
        while questions < STEP_QUESTIONS
            && let Some(mut group) = self.begin()
        {
            if self.request(&mut group, &mut ranges) {
                questions += group.questions();
                waiting.push(group);
            }
        }
        self.waiting = waiting;
        self.requested = ranges.into_iter().map(|(start, end)| start..end).collect();
        self.requested.clone()
    }

    /// Takes the bytes of the ranges that were requested last.
    pub fn answer(&mut self, read: Vec<Bytes>) {
        let starts = self.requested.drain(..).map(|range| range.start);
        let read = ReadRanges(starts.zip(read).collect());
        let mut waiting = mem::take(&mut self.waiting);
        for group in &mut waiting {
            let WaitingGroup {
                number,
                filters,
                excluded,
            } = group;
            filters.retain_mut(|filter| filter.is_unanswered(&self.file, *number, &read, excluded));
            if filters.is_empty() {
                self.narrow(group);
            }
        }
        waiting.retain(|group| !group.filters.is_empty());
        self.waiting = waiting;
    }

    /// Returns for each row group the predicate without the conditions that none or all of its rows
    /// meet; `None` if no row of it matches.
    #[must_use]
    pub fn finish(mut self) -> Vec<Option<Predicate>> {
        while self.begin().is_some() {}
        let groups = self.groups.into_iter();
        groups
            .map(|rest| (!rest.is_never()).then_some(rest))
            .collect()
    }

    /// Begins the next row group by its bounds; `None` after the last one.
    fn begin(&mut self) -> Option<WaitingGroup> {
        let number = self.groups.len();
        let chunks = self.file.metadata.metadata().row_groups().get(number)?;
        let (columns, forms) = (&self.columns, self.file.forms);
        let column = |of: &Predicate| columns.get(of.column()?);
        let rest = self.predicate.narrowed(&mut |condition| {
            let bounds = column(condition).map_or(ColumnBounds::MISSING, |column| {
                column.in_group(chunks.columns())
            });
            condition.answer(&bounds, forms)
        });
        let mut probes: BTreeMap<usize, Vec<(usize, BloomProbe)>> = BTreeMap::new();
        let mut number_of_condition = 0;
        rest.each(&mut |condition| {
            let column = column(condition).filter(|column| column.is_text());
            if let Some(leaf) = column.and_then(FileColumn::leaf)
                && let Some(text) = condition.text(forms)
            {
                let of_leaf = probes.entry(leaf).or_default();
                of_leaf.push((number_of_condition, BloomProbe::new(text)));
            }
            number_of_condition += 1;
        });
        self.groups.push(rest);
        let filters = probes.into_iter().map(|(leaf, probes)| FilterQuestions {
            leaf,
            probes,
            header: false,
            blocks: None,
        });
        Some(WaitingGroup {
            number,
            filters: filters.collect(),
            excluded: HashSet::new(),
        })
    }

    /// Adds the ranges that answer the questions of a row group; false if there are none.
    fn request(&mut self, group: &mut WaitingGroup, ranges: &mut BTreeMap<u64, u64>) -> bool {
        let (file, number) = (self.file, group.number);
        group
            .filters
            .retain_mut(|filter| filter.request(&file, number, ranges));
        if group.filters.is_empty() {
            self.narrow(group);
        }
        !group.filters.is_empty()
    }

    /// Removes the conditions that filters exclude from the rest of a row group.
    fn narrow(&mut self, group: &WaitingGroup) {
        if let Some(rest) = self.groups.get_mut(group.number)
            && !group.excluded.is_empty()
        {
            let mut numbers = 0..;
            *rest = rest.narrowed(&mut |_| match numbers.next() {
                Some(number) if group.excluded.contains(&number) => PartAnswer::Never,
                _ => PartAnswer::Maybe,
            });
        }
    }
}

impl WaitingGroup {
    fn questions(&self) -> usize {
        self.filters.iter().map(|filter| filter.probes.len()).sum()
    }
}

impl FilterQuestions {
    fn key(&self, group: usize) -> ChunkKey {
        ChunkKey {
            group,
            leaf: self.leaf,
        }
    }

    /// Adds the ranges of the file that answer the questions; false if nothing can answer them.
    fn request(
        &mut self,
        file: &ScannedFile<'_>,
        group: usize,
        ranges: &mut BTreeMap<u64, u64>,
    ) -> bool {
        let mut request = |range: Range<u64>| {
            let is_inside = range.end <= file.size;
            if is_inside {
                let end = ranges.entry(range.start).or_insert(range.end);
                *end = range.end.max(*end);
            }
            is_inside
        };
        self.header = false;
        self.blocks = match file.blooms.get(self.key(group)) {
            Some(known) => known,
            None => {
                let chunk = file.metadata.metadata().row_group(group).column(self.leaf);
                self.header = BloomBlocks::header(chunk).is_some_and(&mut request);
                // Without its header the filter cannot be read.
                BloomBlocks::guessed(chunk).filter(|_| self.header)
            }
        };
        let mut is_requested = self.header;
        if let Some(blocks) = self.blocks {
            let probes = self.probes.iter().map(|(_, probe)| probe);
            for range in blocks.ranges_for(probes) {
                is_requested |= request(range);
            }
        }
        is_requested
    }

    /// Adds the excluded conditions; true if the blocks are elsewhere than assumed, so that others
    /// must be read.
    fn is_unanswered(
        &self,
        file: &ScannedFile<'_>,
        group: usize,
        read: &ReadRanges,
        excluded: &mut HashSet<usize>,
    ) -> bool {
        let key = self.key(group);
        if self.header {
            let chunk = file.metadata.metadata().row_group(group).column(self.leaf);
            let header = BloomBlocks::header(chunk);
            let blocks =
                header.and_then(|range| BloomBlocks::from_header(range.start, read.get(&range)));
            file.blooms.insert(key, blocks);
        }
        let Some(blocks) = file.blooms.get(key).flatten() else {
            return false;
        };
        if self.blocks != Some(blocks) {
            return self.header;
        }
        for (condition, probe) in &self.probes {
            if !probe.may_be_in(read.get(&blocks.block_for(probe))) {
                excluded.insert(*condition);
            }
        }
        false
    }
}

impl ReadRanges {
    /// Returns the bytes of a range; none if they were not read.
    fn get(&self, range: &Range<u64>) -> &[u8] {
        let found = || {
            let (start, bytes) = self.0.range(..=range.start).next_back()?;
            let from = usize::try_from(range.start - start).ok()?;
            let to = usize::try_from(range.end.checked_sub(*start)?).ok()?;
            bytes.get(from..to)
        };
        found().unwrap_or_default()
    }
}
