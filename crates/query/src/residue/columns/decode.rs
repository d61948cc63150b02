//! The search of one column of one row group: every page is unpacked and every value is decoded, in
//! one pass.
//!
//! Pages are searched whole, including unused entries of a dictionary, even if their values cannot
//! be decoded. Only one page and a few rows are in memory at a time.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parquet::basic::Type;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::Result;
use parquet::file::serialized_reader::SerializedPageReader;

use super::super::finding::{FileFindings, LocationKind};
use super::super::list_line::ListLine;
use super::super::values::SearchValues;
use super::chunk::{ChunkSearch, each, pages};
use super::cuts::{self, TruncatedBound};
use super::kind::{ValueType, micros};
use super::{blooms, guarded, spot};
use ebbtide_table::source::StoreFile;

/// Searches a column's pages, values and bloom filter. `cuts` are the beginnings of searched values
/// in the column's bounds in the footer.
pub fn search(
    chunk: &ChunkSearch<'_>,
    mut cuts: Vec<TruncatedBound>,
    values: &Arc<SearchValues>,
    found: &mut FileFindings,
) {
    let hits = Arc::new(Mutex::new(Hits::default()));
    let place = |what: &str, why: String| {
        format!(
            "row group {}: {what} of column {}: {why}",
            chunk.row_group, chunk.name
        )
    };
    let decoded = chunk.kind.may_hold(values).then(|| {
        guarded(|| {
            decode(
                chunk,
                SearchedPages::new(chunk, values, &hits, 0)?,
                values,
                &hits,
            )
        })
    });
    if decoded != Some(Ok(())) {
        if let Some(Err(why)) = decoded {
            found.missed(place("the values", why));
        }
        // Read every page anyway, also those after the one that could not be decoded.
        let seen = locked(&hits).pages;
        let drained = guarded(|| {
            let mut pages = SearchedPages::new(chunk, values, &hits, seen)?;
            while pages.get_next_page()?.is_some() {}
            Ok(())
        });
        if let Err(why) = drained {
            found.missed(place("the pages", why));
        }
    }
    let hits = std::mem::take(&mut *locked(&hits));
    let held: HashSet<ListLine> = hits
        .lines
        .keys()
        .filter(|(_, place)| *place != LocationKind::PageBounds)
        .map(|(line, _)| *line)
        .collect();
    for ((line, place), times) in hits.lines {
        found
            .seen
            .entry((line, spot(place, &chunk.name, chunk.row_group)))
            .or_default()
            .times += times;
    }
    cuts.extend(hits.cuts);
    cuts::search(chunk, cuts, found);
    if let Err(why) = guarded(|| blooms::search(chunk, &held, values, found)) {
        found.missed(place("the bloom filter", why));
    }
}

/// The findings in a column so far.
#[derive(Default)]
struct Hits {
    lines: BTreeMap<(ListLine, LocationKind), u64>,
    pages: usize,
    cuts: Vec<TruncatedBound>,
}

impl Hits {
    fn hit(&mut self, line: ListLine, place: LocationKind) {
        *self.lines.entry((line, place)).or_default() += 1;
    }
}

fn locked(hits: &Mutex<Hits>) -> MutexGuard<'_, Hits> {
    hits.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A page reader that searches the pages that it returns.
struct SearchedPages {
    pages: SerializedPageReader<StoreFile>,
    values: Arc<SearchValues>,
    hits: Arc<Mutex<Hits>>,
    kind: ValueType,
    physical: Type,
    /// The number of pages at the start that were searched before.
    skip: usize,
}

impl SearchedPages {
    /// Opens the pages of a column. The first `skip` pages are not searched again.
    fn new(
        chunk: &ChunkSearch<'_>,
        values: &Arc<SearchValues>,
        hits: &Arc<Mutex<Hits>>,
        skip: usize,
    ) -> Result<SearchedPages> {
        let pages = pages(chunk.file, chunk.meta, chunk.rows)?;
        let (values, hits) = (Arc::clone(values), Arc::clone(hits));
        Ok(SearchedPages {
            pages,
            values,
            hits,
            kind: chunk.kind,
            physical: chunk.meta.column_type(),
            skip,
        })
    }

    fn see(&mut self, page: &Page) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        let mut hits = locked(&self.hits);
        hits.pages += 1;
        let place = if page.is_dictionary_page() {
            LocationKind::Dictionary
        } else {
            LocationKind::Page
        };
        self.values
            .automaton
            .search(page.buffer(), |line, _| hits.hit(line, place));
        let Some(bounds) = page.statistics() else {
            return;
        };
        for (bytes, upper) in [
            (bounds.min_bytes_opt(), false),
            (bounds.max_bytes_opt(), true),
        ] {
            let Some(bytes) = bytes else { continue };
            let lines = self.kind.bound(self.physical, bytes, &self.values);
            lines
                .into_iter()
                .for_each(|line| hits.hit(line, LocationKind::PageBounds));
            hits.cuts.extend(TruncatedBound::of(
                self.physical,
                bytes,
                upper,
                LocationKind::PageBounds,
                &self.values,
            ));
        }
    }
}

impl PageReader for SearchedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            self.see(page);
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        // No caller skips pages. If one did, the page would still have to be searched.
        self.get_next_page().map(drop)
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for SearchedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

fn decode(
    chunk: &ChunkSearch<'_>,
    pages: SearchedPages,
    values: &SearchValues,
    hits: &Mutex<Hits>,
) -> Result<()> {
    let kind = chunk.kind;
    let hit = |line| locked(hits).hit(line, LocationKind::Value);
    match get_column_reader(chunk.meta.column_descr_ptr(), Box::new(pages)) {
        ColumnReader::BoolColumnReader(reader) => each(reader, |_| {}),
        ColumnReader::Int32ColumnReader(reader) => {
            each(reader, |number| kind.integer((*number).into(), values, hit))
        }
        ColumnReader::Int64ColumnReader(reader) => {
            each(reader, |number| kind.integer(*number, values, hit))
        }
        ColumnReader::Int96ColumnReader(reader) => {
            each(reader, |at| kind.integer(micros(at), values, hit))
        }
        ColumnReader::FloatColumnReader(reader) => each(reader, |number| {
            values.typed.single(*number).iter().copied().for_each(hit)
        }),
        ColumnReader::DoubleColumnReader(reader) => each(reader, |number| {
            values.typed.real(*number).iter().copied().for_each(hit)
        }),
        ColumnReader::ByteArrayColumnReader(reader) => {
            each(reader, |bytes| kind.bytes(bytes.data(), values, hit))
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            each(reader, |bytes| kind.bytes(bytes.data(), values, hit))
        }
    }
}
