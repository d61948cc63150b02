//! Finds the rows of a segment that may match without reading a row: by the table's pruner, which
//! uses the bounds in the footer and one block of each bloom filter, and by the page index.
//!
//! No matching row is left out.

use std::ops::Range;
use std::sync::Arc;

use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;

use super::files::TableFiles;
use super::footers::CachedFooter;
use super::row_selection::{all_rows, parts as parts_of, rows_in};
use ebbtide_table::Predicate;
use ebbtide_table::index::StoredSegment;
use ebbtide_table::rewrite::RewriteError;
use ebbtide_table::scan::{FileColumn, FilePruner, PartAnswer, ScannedFile, TextBounds};

/// The maximum number of rows of a row group that are read in one part.
const PART_ROWS: usize = 128 << 10;

/// The bounds of texts that a look-up uses.
const TEXT_BOUNDS: TextBounds = TextBounds::Ordered;

/// Rows of one row group that may match.
pub(super) struct CandidateRows {
    pub(super) footer: Arc<CachedFooter>,
    pub(super) group: usize,
    pub(super) rows: RowSelection,
    /// The part of the predicate that decides in this row group.
    pub(super) predicate: Arc<Predicate>,
}

/// Returns the rows of a segment that may match, in parts, in order.
pub(super) async fn parts(
    files: &TableFiles,
    segment: &StoredSegment,
    predicate: &Predicate,
) -> Result<Vec<CandidateRows>, RewriteError> {
    let footer = files.footer(segment).await?;
    predicate.check_types(footer.metadata.schema())?;
    let forms = segment.forms();
    // The rest of the search compares texts where the file has the subject's forms.
    let predicate = predicate.in_forms(forms);
    let file = ScannedFile {
        metadata: &footer.metadata,
        size: footer.size,
        forms,
        blooms: &footer.blooms,
        text_bounds: TEXT_BOUNDS,
    };
    let mut pruner = FilePruner::new(file, &predicate);
    loop {
        let ranges = pruner.ranges();
        if ranges.is_empty() {
            break;
        }
        pruner.answer(files.ranges(&segment.path, &ranges).await?);
    }
    let groups = pruner.finish();
    if groups.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let footer = files.paged(&segment.path, footer).await?;
    let mut parts = Vec::new();
    for (group, predicate) in groups.into_iter().enumerate() {
        let Some(predicate) = predicate.map(Arc::new) else {
            continue;
        };
        let rows = by_pages(&footer, group, &predicate);
        if !rows.selects_any() {
            continue;
        }
        // Without a page index, reading a part means reading whole chunks, however few rows it has.
        let most = if indexed(&footer, group) {
            PART_ROWS
        } else {
            usize::MAX
        };
        let of_group = parts_of(&rows, most, rows_of_group(&footer, group));
        parts.extend(of_group.into_iter().map(|rows| CandidateRows {
            footer: Arc::clone(&footer),
            group,
            rows,
            predicate: Arc::clone(&predicate),
        }));
    }
    Ok(parts)
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
fn by_pages(footer: &CachedFooter, group: usize, predicate: &Predicate) -> RowSelection {
    let rows = rows_of_group(footer, group);
    match predicate {
        Predicate::All(parts) => parts.iter().fold(all_rows(rows), |all, part| {
            all.intersection(&by_pages(footer, group, part))
        }),
        Predicate::Any(parts) => parts.iter().fold(rows_in([], rows), |any, part| {
            any.union(&by_pages(footer, group, part))
        }),
        condition => of_condition(footer, group, condition).unwrap_or_else(|| all_rows(rows)),
    }
}

/// Returns the rows of the pages that may meet a simple condition; `None` if there is no index of
/// the column's pages.
fn of_condition(
    footer: &CachedFooter,
    group: usize,
    condition: &Predicate,
) -> Option<RowSelection> {
    let column = FileColumn::new(&footer.metadata, condition.column()?, TEXT_BOUNDS)?;
    let (file, leaf) = (footer.metadata.metadata(), column.leaf()?);
    let bounds = file.column_index()?.get(group)?.get(leaf)?;
    if matches!(bounds, ColumnIndexMetaData::NONE) {
        return None;
    }
    let places = file.offset_index()?.get(group)?.get(leaf)?;
    let may = |page| condition.answer(&column.in_page(bounds, page), None) != PartAnswer::Never;
    let rows = rows_of_group(footer, group);
    Some(chosen(places, bounds.num_pages(), rows, may))
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
