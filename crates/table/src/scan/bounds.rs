//! Bounds of the values of a column in a part of a file, from its footer or page index.
//!
//! A bound that cannot be compared is unknown: it is truncated by an old writer, its order is
//! undefined, or the column has another type. Pure.

use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::{ColumnOrder, SortOrder};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

/// The facts known of a column's values in a row group or a page.
#[derive(Debug, Clone, Copy)]
pub struct ColumnBounds<'f> {
    /// True if a row may have no value.
    pub(super) may_have_null: bool,
    /// True if a row may have a value.
    pub(super) may_have_value: bool,
    pub(super) texts: ValueRange<&'f [u8]>,
    /// Instants in microseconds.
    pub(super) instants: ValueRange<i64>,
    /// Integers of 64 bits.
    pub(super) integers: ValueRange<i64>,
}

/// The bounds of values, both inclusive. `None` is an unknown bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueRange<T> {
    least: Option<T>,
    greatest: Option<T>,
}

/// The answer to the question whether rows of a part of a file match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartAnswer {
    /// No row matches.
    Never,
    /// A row may match.
    Maybe,
    /// Every row matches.
    Always,
}

/// The bounds of texts that a search may trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextBounds {
    /// None. A splice copies the bounds of a file that does not define their order under a footer
    /// that does, so a footer is no proof. For rewrites: a held row that is not found is deleted.
    Ignored,
    /// Those that the footer says are ordered by unsigned bytes.
    Ordered,
}

/// A column of a file at the top level.
#[derive(Debug, Clone, Copy)]
pub struct FileColumn<'f> {
    /// Its index among the leaves; `None` if its values are lists, maps or structs.
    leaf: Option<usize>,
    data_type: &'f DataType,
    /// True if it has texts whose bounds may be trusted.
    has_text_bounds: bool,
}

impl<T: PartialOrd + Copy> ValueRange<T> {
    const UNKNOWN: ValueRange<T> = ValueRange::new(None, None);

    const fn new(least: Option<T>, greatest: Option<T>) -> ValueRange<T> {
        ValueRange { least, greatest }
    }

    /// Returns true if a value of `from..=to` may be within the bounds.
    pub(super) fn reaches(&self, from: Option<T>, to: Option<T>) -> bool {
        let is_ordered = |least: Option<T>, most: Option<T>| {
            least.is_none_or(|least| most.is_none_or(|most| least <= most))
        };
        is_ordered(from, self.greatest) && is_ordered(self.least, to)
    }
}

impl ColumnBounds<'_> {
    /// Bounds of which nothing is known.
    const UNKNOWN: ColumnBounds<'static> = ColumnBounds {
        may_have_null: true,
        may_have_value: true,
        texts: ValueRange::UNKNOWN,
        instants: ValueRange::UNKNOWN,
        integers: ValueRange::UNKNOWN,
    };

    /// The bounds of a column that a file lacks.
    pub(super) const MISSING: ColumnBounds<'static> = ColumnBounds {
        may_have_value: false,
        ..ColumnBounds::UNKNOWN
    };
}

impl<'f> FileColumn<'f> {
    /// Returns a column of a file with the bounds that may be trusted; `None` if the file lacks it.
    #[must_use]
    pub fn new(
        file: &'f ArrowReaderMetadata,
        name: &str,
        text_bounds: TextBounds,
    ) -> Option<FileColumn<'f>> {
        let fields = file.schema().fields();
        let field = fields.iter().find(|field| field.name() == name)?;
        let leaves = file.parquet_schema().columns().iter();
        let is_it = |path: &[String]| path == [name];
        let leaf = leaves
            .clone()
            .position(|leaf| leaf.max_rep_level() == 0 && is_it(leaf.path().parts()));
        let orders = file.metadata().file_metadata().column_orders();
        let order = leaf.and_then(|leaf| orders?.get(leaf));
        Some(FileColumn {
            leaf,
            data_type: field.data_type(),
            has_text_bounds: *field.data_type() == DataType::Utf8
                && text_bounds == TextBounds::Ordered
                && order == Some(&ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::UNSIGNED)),
        })
    }

    /// Returns its index among the leaves; `None` if its values are lists, maps or structs.
    #[must_use]
    pub fn leaf(&self) -> Option<usize> {
        self.leaf
    }

    /// Returns true if its values are texts.
    pub(super) fn is_text(&self) -> bool {
        *self.data_type == DataType::Utf8
    }

    /// Returns its bounds in a row group with these chunks.
    pub(super) fn in_group(&self, chunks: &'f [ColumnChunkMetaData]) -> ColumnBounds<'f> {
        let Some(chunk) = self.leaf.and_then(|leaf| chunks.get(leaf)) else {
            return ColumnBounds::UNKNOWN;
        };
        let mut bounds = ColumnBounds::UNKNOWN;
        let Some(statistics) = chunk.statistics() else {
            return bounds;
        };
        bounds.may_have_null = statistics.null_count_opt() != Some(0);
        bounds.may_have_value = !all_null(chunk);
        match statistics {
            // Old writers compared bytes as signed numbers.
            Statistics::ByteArray(of)
                if self.has_text_bounds && !statistics.is_min_max_deprecated() =>
            {
                bounds.texts = ValueRange::new(
                    of.min_opt().map(|least| least.data()),
                    of.max_opt().map(|greatest| greatest.data()),
                );
            }
            Statistics::Int64(of) if self.has_instants() => {
                bounds.instants = ValueRange::new(of.min_opt().copied(), of.max_opt().copied());
            }
            Statistics::Int64(of) if *self.data_type == DataType::Int64 => {
                bounds.integers = ValueRange::new(of.min_opt().copied(), of.max_opt().copied());
            }
            _ => {}
        }
        bounds
    }

    /// Returns its bounds in a page, by its page index.
    ///
    /// The index says of each page how many nulls it has, and whether it has only nulls. That needs
    /// no order of values, so it counts for every type, like the number of nulls of a row group.
    #[must_use]
    pub fn in_page(&self, index: &'f ColumnIndexMetaData, page: usize) -> ColumnBounds<'f> {
        if matches!(index, ColumnIndexMetaData::NONE) {
            return ColumnBounds::UNKNOWN;
        }
        let mut bounds = ColumnBounds {
            may_have_null: index.null_count(page) != Some(0),
            may_have_value: !index.is_null_page(page),
            ..ColumnBounds::UNKNOWN
        };
        match index {
            ColumnIndexMetaData::BYTE_ARRAY(of) if self.has_text_bounds => {
                bounds.texts = ValueRange::new(of.min_value(page), of.max_value(page));
            }
            ColumnIndexMetaData::INT64(of) if self.has_instants() => {
                bounds.instants =
                    ValueRange::new(of.min_value(page).copied(), of.max_value(page).copied());
            }
            _ => {}
        }
        bounds
    }

    /// Returns true if its bounds are microseconds. Another engine may use other units.
    fn has_instants(&self) -> bool {
        matches!(
            self.data_type,
            DataType::Timestamp(TimeUnit::Microsecond, _)
        )
    }
}

/// Returns true if a chunk is known to contain only nulls.
#[must_use]
pub fn all_null(chunk: &ColumnChunkMetaData) -> bool {
    let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
    nulls.is_some() && nulls == u64::try_from(chunk.num_values()).ok()
}
