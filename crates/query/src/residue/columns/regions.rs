//! The parts of a Parquet file that its footer names, and the ranges that it does not name.
//!
//! The contents of the parts are not examined here.

use std::ops::Range;
use std::sync::Arc;

use parquet::file::metadata::{FooterTail, ParquetMetaData};

use super::super::finding::{FileLocation, LocationKind};
use super::spot;
use ebbtide_table::source::StoreFile;

/// The named parts of a file, in order of their start.
#[derive(Debug, Default)]
pub struct FileRegions {
    named: Vec<(Range<u64>, FileLocation)>,
}

impl FileRegions {
    /// Creates the parts that a footer names.
    pub fn from_footer(meta: &ParquetMetaData, file: &StoreFile, length: u64) -> FileRegions {
        let mut named = vec![(0..4, FileLocation::from(LocationKind::Footer))];
        for (number, group) in meta.row_groups().iter().enumerate() {
            for column in group.columns() {
                let name: Arc<str> = column.column_path().string().into();
                let mut add = |place, offset: Option<i64>, bytes: Option<i64>| {
                    let from = offset.and_then(|offset| u64::try_from(offset).ok());
                    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
                    if let (Some(from), Some(bytes)) = (from, bytes) {
                        named.push((
                            from..from.saturating_add(bytes).min(length),
                            spot(place, &name, number),
                        ));
                    }
                };
                let start = column
                    .dictionary_page_offset()
                    .unwrap_or(column.data_page_offset());
                add(
                    LocationKind::Chunk,
                    Some(start),
                    Some(column.compressed_size()),
                );
                // A filter without a length ends at the start of the next part at the latest: that
                // is filled in below.
                let bloom = column.bloom_filter_length().map_or(0, i64::from);
                add(
                    LocationKind::Bytes,
                    column.bloom_filter_offset(),
                    Some(bloom),
                );
                add(
                    LocationKind::ColumnIndex,
                    column.column_index_offset(),
                    column.column_index_length().map(i64::from),
                );
                add(
                    LocationKind::ColumnIndex,
                    column.offset_index_offset(),
                    column.offset_index_length().map(i64::from),
                );
            }
        }
        let mut tail = [0; 8];
        let footer = file.read_exact_at(&mut tail, length.saturating_sub(8)).ok();
        let footer = footer
            .and_then(|()| FooterTail::try_new(&tail).ok())
            .map_or(0, |tail| tail.metadata_length());
        let footer = length.saturating_sub(8 + footer as u64);
        named.push((footer..length, FileLocation::from(LocationKind::Footer)));
        named.sort_by_key(|(at, _)| (at.start, at.end));
        for at in 0..named.len() {
            if named[at].0.is_empty() {
                named[at].0.end = named.get(at + 1).map_or(length, |(next, _)| next.start);
            }
        }
        FileRegions { named }
    }

    /// Returns the part that contains a byte.
    pub fn at(&self, byte: u64) -> Option<&FileLocation> {
        let next = self.named.partition_point(|(at, _)| at.start <= byte);
        self.named[..next]
            .iter()
            .rev()
            .find(|(at, _)| at.contains(&byte))
            .map(|(_, spot)| spot)
    }

    /// Returns the kind of place of a byte that is in no part.
    pub fn elsewhere(&self) -> LocationKind {
        if self.named.is_empty() {
            LocationKind::Bytes
        } else {
            LocationKind::Unnamed
        }
    }

    /// Returns the ranges that are in no part.
    pub fn unnamed(&self) -> Vec<Range<u64>> {
        let (mut gaps, mut end) = (Vec::new(), 0);
        for (at, _) in &self.named {
            if at.start > end {
                gaps.push(end..at.start);
            }
            end = end.max(at.end);
        }
        gaps
    }
}
