//! The footer and the column indexes: bounds, also truncated ones, and key-value metadata.
//!
//! Searches the decoded forms; the bytes of the same parts are searched elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use parquet::basic::Type;
use parquet::data_type::AsBytes;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::column_index::{ColumnIndexMetaData, PrimitiveColumnIndex};

use super::super::finding::{FileFindings, LocationKind};
use super::super::values::SearchValues;
use super::cuts::TruncatedBound;
use super::kind::ValueType;
use super::spot;

/// The beginnings of searched values in the bounds of each column, by row group and column.
pub type TruncatedBounds = HashMap<(usize, usize), Vec<TruncatedBound>>;

/// Searches the bounds of columns and the key-value metadata. Returns the beginnings of searched
/// values among the bounds.
pub fn search(
    meta: &ParquetMetaData,
    values: &SearchValues,
    found: &mut FileFindings,
) -> TruncatedBounds {
    for pair in meta
        .file_metadata()
        .key_value_metadata()
        .into_iter()
        .flatten()
    {
        for text in [Some(&pair.key), pair.value.as_ref()].into_iter().flatten() {
            ValueType::Bytes.bytes(text.as_bytes(), values, |line| {
                found.hit(line, LocationKind::KeyValue.into(), None)
            });
        }
    }
    let mut cuts = TruncatedBounds::new();
    for (number, group) in meta.row_groups().iter().enumerate() {
        for (at, column) in group.columns().iter().enumerate() {
            let mut bounds = Bounds::new(column, number, LocationKind::Bounds, values);
            if column.file_path().is_some() {
                found.missed(format!(
                    "row group {number}: column {} is in another file",
                    bounds.name
                ));
            }
            if let Some(statistics) = column.statistics() {
                statistics
                    .min_bytes_opt()
                    .into_iter()
                    .for_each(|bytes| bounds.see(bytes, false, found));
                statistics
                    .max_bytes_opt()
                    .into_iter()
                    .for_each(|bytes| bounds.see(bytes, true, found));
            }
            cuts.insert((number, at), bounds.cuts);
        }
    }
    cuts
}

/// Searches the bounds of pages in the column indexes. Adds the beginnings of searched values among
/// them to `cuts`.
pub fn search_indexes(
    meta: &ParquetMetaData,
    values: &SearchValues,
    cuts: &mut TruncatedBounds,
    found: &mut FileFindings,
) {
    let indexes = meta.column_index().into_iter().flatten();
    for (number, (group, indexes)) in meta.row_groups().iter().zip(indexes).enumerate() {
        for (at, (column, index)) in group.columns().iter().zip(indexes).enumerate() {
            let mut bounds = Bounds::new(column, number, LocationKind::ColumnIndex, values);
            match index {
                ColumnIndexMetaData::BYTE_ARRAY(pages)
                | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(pages) => {
                    pages
                        .min_values_iter()
                        .flatten()
                        .for_each(|bytes| bounds.see(bytes, false, found));
                    pages
                        .max_values_iter()
                        .flatten()
                        .for_each(|bytes| bounds.see(bytes, true, found));
                }
                ColumnIndexMetaData::INT32(pages) => bounds.see_all(pages, found),
                ColumnIndexMetaData::INT64(pages) => bounds.see_all(pages, found),
                ColumnIndexMetaData::FLOAT(pages) => bounds.see_all(pages, found),
                ColumnIndexMetaData::DOUBLE(pages) => bounds.see_all(pages, found),
                // No searched value is a boolean, and no writer writes bounds for INT96.
                ColumnIndexMetaData::NONE
                | ColumnIndexMetaData::BOOLEAN(_)
                | ColumnIndexMetaData::INT96(_) => {}
            }
            cuts.entry((number, at)).or_default().extend(bounds.cuts);
        }
    }
}

/// The bounds of one column in one kind of place.
struct Bounds<'a> {
    kind: ValueType,
    physical: Type,
    name: Arc<str>,
    row_group: usize,
    place: LocationKind,
    values: &'a SearchValues,
    cuts: Vec<TruncatedBound>,
}

impl<'a> Bounds<'a> {
    fn new(
        column: &ColumnChunkMetaData,
        row_group: usize,
        place: LocationKind,
        values: &'a SearchValues,
    ) -> Bounds<'a> {
        let (kind, name) = (
            ValueType::from_descriptor(column.column_descr()),
            column.column_path().string().into(),
        );
        Bounds {
            kind,
            physical: column.column_type(),
            name,
            row_group,
            place,
            values,
            cuts: Vec::new(),
        }
    }

    fn see(&mut self, bytes: &[u8], upper: bool, found: &mut FileFindings) {
        let lines = self.kind.bound(self.physical, bytes, self.values);
        lines
            .into_iter()
            .for_each(|line| found.hit(line, spot(self.place, &self.name, self.row_group), None));
        self.cuts.extend(TruncatedBound::of(
            self.physical,
            bytes,
            upper,
            self.place,
            self.values,
        ));
    }

    fn see_all<T: AsBytes>(&mut self, pages: &PrimitiveColumnIndex<T>, found: &mut FileFindings) {
        let all = pages.min_values().iter().chain(pages.max_values());
        all.for_each(|number| self.see(number.as_bytes(), false, found));
    }
}
