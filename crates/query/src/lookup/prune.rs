//! Finds the rows of a segment that may match without reading a row: by the bounds in its footer,
//! one block of each bloom filter, and its page index.
//!
//! No matching row is left out. Of a bloom filter only its header and the block that decides are
//! read.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::statistics::Statistics;

use super::bloom::{BloomBlocks, BloomProbe};
use super::files::TableFiles;
use super::filter::{RecordFilter, TextCondition, TimeCondition};
use super::footers::CachedFooter;
use super::row_selection::{all_rows, parts as parts_of, rows_in};
use ebbtide_table::index::StoredSegment;
use ebbtide_table::rewrite::RewriteError;

/// The maximum number of rows of a row group that are read in one part.
const PART_ROWS: usize = 128 << 10;

/// Rows of one row group that may match.
pub(super) struct CandidateRows {
    pub(super) footer: Arc<CachedFooter>,
    pub(super) group: usize,
    pub(super) rows: RowSelection,
    /// The filter, limited to the columns that may contain its texts.
    pub(super) filter: Arc<RecordFilter>,
}

/// A row group that may match, with the columns that may contain each of the filter's texts.
struct Candidate {
    group: usize,
    columns: Vec<Vec<usize>>,
}

impl Candidate {
    /// Returns the filter without the columns that cannot contain its texts in this row group.
    fn narrowed(&self, filter: &RecordFilter, footer: &CachedFooter) -> RecordFilter {
        let file = footer.metadata.parquet_schema();
        let texts = filter
            .texts
            .iter()
            .zip(&self.columns)
            .map(|(text, leaves)| {
                let columns = leaves
                    .iter()
                    .map(|leaf| file.column(*leaf).name().to_owned())
                    .collect();
                TextCondition {
                    columns,
                    ..text.clone()
                }
            });
        RecordFilter {
            texts: texts.collect(),
            within: filter.within.clone(),
        }
    }
}

/// Returns the rows of a segment that may match, in parts, in order.
pub(super) async fn parts(
    files: &TableFiles,
    segment: &StoredSegment,
    filter: &RecordFilter,
) -> Result<Vec<CandidateRows>, RewriteError> {
    let footer = files.footer(segment).await?;
    let texts = filter
        .texts
        .iter()
        .map(|text| text.within(segment.forms()))
        .collect();
    let filter = &RecordFilter {
        texts,
        within: filter.within.clone(),
    };
    let places = FilterColumns::try_new(filter, &footer)?;
    let mut candidates = by_bounds(&footer, filter, &places);
    by_blooms(files, segment, &footer, filter, &mut candidates).await?;
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    let footer = files.paged(&segment.path, footer).await?;
    let mut parts = Vec::new();
    for candidate in candidates {
        let rows = by_pages(&footer, filter, &places, &candidate);
        if !rows.selects_any() {
            continue;
        }
        // Without a page index, reading a part means reading whole chunks, however few rows it has.
        let most = if indexed(&footer, candidate.group) {
            PART_ROWS
        } else {
            usize::MAX
        };
        let filter = Arc::new(candidate.narrowed(filter, &footer));
        let total = rows_of_group(&footer, candidate.group);
        let of_group = parts_of(&rows, most, total);
        parts.extend(of_group.into_iter().map(|rows| CandidateRows {
            footer: Arc::clone(&footer),
            group: candidate.group,
            rows,
            filter: Arc::clone(&filter),
        }));
    }
    Ok(parts)
}

/// The indexes of a filter's columns among the leaves of a file.
struct FilterColumns {
    /// The columns of each of the filter's texts.
    texts: Vec<Vec<usize>>,
    within: Option<usize>,
}

impl FilterColumns {
    /// Returns the indexes. Errors if a column has another type than the filter expects.
    fn try_new(filter: &RecordFilter, file: &CachedFooter) -> Result<FilterColumns, RewriteError> {
        let text = |column: &String| {
            place(file, column, "it is no text in a segment", |kind| {
                *kind == DataType::Utf8
            })
            .transpose()
        };
        let texts = filter
            .texts
            .iter()
            .map(|of| of.columns.iter().filter_map(text).collect());
        let instant =
            |kind: &DataType| matches!(kind, DataType::Timestamp(TimeUnit::Microsecond, _));
        let within = match &filter.within {
            Some(within) => place(
                file,
                &within.column,
                "it is no instant in microseconds in a segment",
                instant,
            )?,
            None => None,
        };
        Ok(FilterColumns {
            texts: texts.collect::<Result<_, _>>()?,
            within,
        })
    }
}

/// Returns the index of a column's leaf; `None` if the file lacks it. Errors if its type is wrong.
fn place(
    file: &CachedFooter,
    column: &str,
    why: &str,
    is_kind: impl Fn(&DataType) -> bool,
) -> Result<Option<usize>, RewriteError> {
    match file
        .metadata
        .schema()
        .fields()
        .iter()
        .find(|field| field.name() == column)
    {
        None => Ok(None),
        Some(field) if !is_kind(field.data_type()) => Err(wrong(column, why)),
        Some(_) => Ok(file.leaf(column)),
    }
}

fn wrong(column: &str, why: &str) -> RewriteError {
    RewriteError::Column {
        column: column.to_owned(),
        why: why.to_owned(),
    }
}

/// Returns the row groups that may match according to the footer.
fn by_bounds(
    footer: &CachedFooter,
    filter: &RecordFilter,
    places: &FilterColumns,
) -> Vec<Candidate> {
    let groups = footer.metadata.metadata().row_groups().iter().enumerate();
    let candidate = |(group, chunks): (usize, &RowGroupMetaData)| {
        if let Some(within) = &filter.within
            && !group_reaches(within, places.within.map(|leaf| chunks.column(leaf)))
        {
            return None;
        }
        let columns = filter
            .texts
            .iter()
            .zip(&places.texts)
            .map(|(text, leaves)| {
                let may: Vec<usize> = leaves
                    .iter()
                    .copied()
                    .filter(|leaf| chunk_reaches(text, chunks.column(*leaf)))
                    .collect();
                (!may.is_empty()).then_some(may)
            });
        Some(Candidate {
            group,
            columns: columns.collect::<Option<_>>()?,
        })
    };
    groups.filter_map(candidate).collect()
}

/// Returns true if a chunk is known to contain only nulls.
pub(super) fn all_null(chunk: &ColumnChunkMetaData) -> bool {
    let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
    nulls.is_some() && nulls == u64::try_from(chunk.num_values()).ok()
}

fn chunk_reaches(text: &TextCondition, chunk: &ColumnChunkMetaData) -> bool {
    if all_null(chunk) {
        return false;
    }
    match chunk.statistics() {
        // Old writers compared bytes as signed numbers.
        Some(bounds @ Statistics::ByteArray(of)) if !bounds.is_min_max_deprecated() => text
            .reaches(
                of.min_opt().map(|least| least.data()),
                of.max_opt().map(|greatest| greatest.data()),
            ),
        _ => true,
    }
}

fn group_reaches(within: &TimeCondition, chunk: Option<&ColumnChunkMetaData>) -> bool {
    let Some(chunk) = chunk else {
        return within.nulls;
    };
    let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
    if within.nulls && nulls != Some(0) {
        return true;
    }
    if all_null(chunk) {
        return false;
    }
    match chunk.statistics() {
        Some(Statistics::Int64(of)) => within.reaches(of.min_opt().copied(), of.max_opt().copied()),
        _ => true,
    }
}

/// Removes the columns and row groups that bloom filters exclude, with one read of the segment for
/// all filters whose place is known or guessed correctly.
async fn by_blooms(
    files: &TableFiles,
    segment: &StoredSegment,
    footer: &CachedFooter,
    filter: &RecordFilter,
    candidates: &mut Vec<Candidate>,
) -> Result<(), RewriteError> {
    let asked: Vec<BloomProbe<'_>> = filter
        .texts
        .iter()
        .map(|text| BloomProbe::new(&text.value))
        .collect();
    let groups = footer.metadata.metadata().row_groups();
    let mut ranges = Vec::new();
    let mut questions = Vec::new();
    for candidate in candidates.iter() {
        for (number, (asked, leaves)) in asked.iter().zip(&candidate.columns).enumerate() {
            // A filter contains the text of one canonical form only.
            if filter
                .texts
                .get(number)
                .is_some_and(|text| text.subject.is_some())
            {
                continue;
            }
            for leaf in leaves {
                let question = BloomQuestion {
                    group: candidate.group,
                    text: number,
                    leaf: *leaf,
                };
                let chunk = groups.get(candidate.group).map(|group| group.column(*leaf));
                questions.extend(
                    chunk.and_then(|chunk| question.plan(chunk, footer, asked, &mut ranges)),
                );
            }
        }
    }
    if questions.is_empty() {
        return Ok(());
    }
    let bytes = files.ranges(&segment.path, &ranges).await?;
    let block = |at: usize| bytes.get(at).map_or(&[][..], |bytes| bytes);
    for planned in questions {
        let PlannedReads {
            question: BloomQuestion { group, text, leaf },
            header,
            guess,
        } = planned;
        let verdict = match (header, asked.get(text)) {
            (_, None) => true,
            (None, Some(asked)) => asked.may_be_in(block(guess.map_or(usize::MAX, |(at, _)| at))),
            (Some((at, start)), Some(asked)) => {
                let blocks = BloomBlocks::from_header(start, block(at));
                footer.note_bloom(group, leaf, blocks);
                match (blocks, guess) {
                    (Some(blocks), Some((at, guessed))) if blocks == guessed => {
                        asked.may_be_in(block(at))
                    }
                    (Some(blocks), _) => {
                        let range = blocks.block_for(asked);
                        let read = files
                            .ranges(&segment.path, std::slice::from_ref(&range))
                            .await?;
                        read.first().is_none_or(|block| asked.may_be_in(block))
                    }
                    (None, _) => true,
                }
            }
        };
        if !verdict
            && let Some(candidate) = candidates
                .iter_mut()
                .find(|candidate| candidate.group == group)
        {
            candidate.columns[text].retain(|may| *may != leaf);
        }
    }
    candidates.retain(|candidate| candidate.columns.iter().all(|may| !may.is_empty()));
    Ok(())
}

/// The question whether a column of a row group contains a text.
struct BloomQuestion {
    group: usize,
    text: usize,
    leaf: usize,
}

/// A question with the reads that answer it, by their indexes among the ranges to read.
struct PlannedReads {
    question: BloomQuestion,
    /// The read of the filter's header, if it was not read before, and the header's offset in the
    /// file.
    header: Option<(usize, u64)>,
    /// The read of the block that decides, and the known or guessed place of the blocks.
    guess: Option<(usize, BloomBlocks)>,
}

impl BloomQuestion {
    /// Plans the reads; `None` if no filter can answer.
    fn plan(
        self,
        chunk: &ColumnChunkMetaData,
        footer: &CachedFooter,
        asked: &BloomProbe<'_>,
        ranges: &mut Vec<Range<u64>>,
    ) -> Option<PlannedReads> {
        let mut read = |range: Range<u64>| {
            (range.end <= footer.size).then(|| {
                ranges.push(range);
                ranges.len() - 1
            })
        };
        match footer.bloom(self.group, self.leaf) {
            Some(None) => None,
            Some(Some(blocks)) => {
                let at = read(blocks.block_for(asked))?;
                Some(PlannedReads {
                    question: self,
                    header: None,
                    guess: Some((at, blocks)),
                })
            }
            None => {
                let header = BloomBlocks::header(chunk)?;
                let start = header.start;
                let at = read(header)?;
                let guess = BloomBlocks::guessed(chunk);
                let guess = guess.and_then(|blocks| Some((read(blocks.block_for(asked))?, blocks)));
                Some(PlannedReads {
                    question: self,
                    header: Some((at, start)),
                    guess,
                })
            }
        }
    }
}

/// Returns true if the offsets of a row group's pages are known.
fn indexed(footer: &CachedFooter, group: usize) -> bool {
    let offsets = footer
        .metadata
        .metadata()
        .offset_index()
        .and_then(|groups| groups.get(group));
    offsets.is_some_and(|columns| !columns.is_empty())
}

/// Returns the number of rows of a row group.
fn rows_of_group(footer: &CachedFooter, group: usize) -> usize {
    footer
        .metadata
        .metadata()
        .row_groups()
        .get(group)
        .map_or(0, |group| usize::try_from(group.num_rows()).unwrap_or(0))
}

/// Returns the rows of a row group that may match, by the bounds of its pages.
fn by_pages(
    footer: &CachedFooter,
    filter: &RecordFilter,
    places: &FilterColumns,
    candidate: &Candidate,
) -> RowSelection {
    let file = footer.metadata.metadata();
    let rows = rows_of_group(footer, candidate.group);
    let pages = |leaf: usize| -> Option<(&ColumnIndexMetaData, &OffsetIndexMetaData)> {
        Some((
            file.column_index()?.get(candidate.group)?.get(leaf)?,
            file.offset_index()?.get(candidate.group)?.get(leaf)?,
        ))
    };
    let mut all = all_rows(rows);
    for (text, leaves) in filter.texts.iter().zip(&candidate.columns) {
        let any = leaves
            .iter()
            .fold(rows_in([], rows), |any, leaf| match pages(*leaf) {
                Some((ColumnIndexMetaData::BYTE_ARRAY(bounds), places)) => {
                    let may = |page| {
                        !bounds.is_null_page(page)
                            && text.reaches(bounds.min_value(page), bounds.max_value(page))
                    };
                    any.union(&chosen(places, bounds.num_pages(), rows, may))
                }
                _ => all_rows(rows),
            });
        all = all.intersection(&any);
    }
    if let (Some(within), Some(leaf)) = (&filter.within, places.within)
        && let Some((ColumnIndexMetaData::INT64(bounds), places)) = pages(leaf)
    {
        let may = |page| {
            (within.nulls && bounds.null_count(page) != Some(0))
                || (!bounds.is_null_page(page)
                    && within.reaches(
                        bounds.min_value(page).copied(),
                        bounds.max_value(page).copied(),
                    ))
        };
        all = all.intersection(&chosen(places, bounds.num_pages(), rows, may));
    }
    all
}

/// Returns the rows of the pages for which `may` is true; all rows if the column index and the
/// offset index do not match.
fn chosen(
    places: &OffsetIndexMetaData,
    pages: u64,
    rows: usize,
    may: impl Fn(usize) -> bool,
) -> RowSelection {
    let places = places.page_locations();
    let first = |page: usize| {
        places
            .get(page)
            .and_then(|place| usize::try_from(place.first_row_index).ok())
    };
    if places.len() as u64 != pages || first(0) != Some(0) {
        return all_rows(rows);
    }
    let mut spans = Vec::new();
    for page in (0..places.len()).filter(|page| may(*page)) {
        let (Some(start), end) = (first(page), first(page + 1).unwrap_or(rows).min(rows)) else {
            return all_rows(rows);
        };
        if spans
            .last()
            .is_some_and(|last: &Range<usize>| start < last.end)
        {
            // The offset index is damaged.
            return all_rows(rows);
        }
        if start < end {
            spans.push(start..end);
        }
    }
    rows_in(spans, rows)
}
