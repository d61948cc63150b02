//! Truncated bounds: they contain only the beginning of a value, which many values may share.
//!
//! Such a beginning is a finding only if no value that the column still contains begins with it.

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::Result;

use super::super::finding::{FileFindings, LocationKind};
use super::super::list_line::ListLine;
use super::super::values::SearchValues;
use super::chunk::{ChunkSearch, each, pages};
use super::{guarded, spot};

/// The beginning of some of the searched values, in the bounds of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TruncatedBound {
    start: Vec<u8>,
    place: LocationKind,
    lines: Vec<ListLine>,
}

impl TruncatedBound {
    /// Returns the searched values that begin with a bound. A truncated upper bound has its last
    /// byte or character incremented, so only the part before that is also the beginning of the
    /// value.
    pub fn of(
        physical: Type,
        bound: &[u8],
        upper: bool,
        place: LocationKind,
        values: &SearchValues,
    ) -> Vec<TruncatedBound> {
        if !matches!(physical, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) {
            return Vec::new();
        }
        let last = (0..bound.len())
            .rev()
            .find(|at| bound[*at] & 0xc0 != 0x80)
            .unwrap_or(0);
        let starts = [Some(bound), upper.then_some(&bound[..last])];
        let cuts = starts.into_iter().flatten().map(|start| {
            let lines = values.begun_by(start);
            TruncatedBound {
                start: start.to_vec(),
                place,
                lines,
            }
        });
        cuts.filter(|cut| !cut.lines.is_empty()).collect()
    }
}

/// Reports the cuts of a column that no value of the column explains.
pub fn search(chunk: &ChunkSearch<'_>, mut cuts: Vec<TruncatedBound>, found: &mut FileFindings) {
    cuts.sort_unstable();
    cuts.dedup();
    if cuts.is_empty() {
        return;
    }
    // If the values cannot be decoded, that is already reported, and the bounds cannot be
    // explained.
    if guarded(|| explain(chunk, &mut cuts)).is_ok() {
        for cut in cuts {
            cut.lines.iter().for_each(|line| {
                found.hit(*line, spot(cut.place, &chunk.name, chunk.row_group), None)
            });
        }
    }
}

/// Removes the cuts that a value of the column begins with.
fn explain(chunk: &ChunkSearch<'_>, cuts: &mut Vec<TruncatedBound>) -> Result<()> {
    let pages = Box::new(pages(chunk.file, chunk.meta, chunk.rows)?);
    let mut see = |value: &[u8]| cuts.retain(|cut| !value.starts_with(&cut.start));
    match get_column_reader(chunk.meta.column_descr_ptr(), pages) {
        ColumnReader::ByteArrayColumnReader(reader) => each(reader, |value| see(value.data())),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            each(reader, |value| see(value.data()))
        }
        _ => Ok(()),
    }
}
