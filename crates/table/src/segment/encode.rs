//! Chooses the encoding of each column: the Parquet settings before the first row group of a
//! segment.
//!
//! The choice depends only on the rows and the column's role. Measured numbers are written next to
//! the settings that they justify.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::spec::{ColumnRole, TableColumn, TableSpec};

/// The level of Zstandard: 1, the fastest usual one.
const ZSTD_LEVEL: i32 = 1;

/// The maximum number of rows of a row group.
pub const ROW_GROUP_ROWS: usize = 1 << 20;

/// The number of encoded bytes after which a row group is closed.
pub const ROW_GROUP_BYTES: usize = 128 << 20;

/// The share of probes of a bloom filter that may wrongly say "maybe".
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// The number of distinct values for which a bloom filter has room if the number of rows is not
/// known in advance.
const BLOOM_VALUES: u64 = 1 << 18;

/// The number of rows after which the size of a small page is checked.
const PAGE_STEP: usize = 256;

/// The number of rows examined to find out whether a column's values repeat.
const SAMPLE: usize = 1024;

/// Properties of a file's rows that are known before the first is written.
#[derive(Debug, Clone, Default)]
pub struct ExpectedRows {
    /// The number of rows.
    pub rows: Option<usize>,
    /// The columns by which they are sorted, the most significant first.
    pub sorted_by: Vec<String>,
    /// Other columns by which some of the rows are sorted, because their source was.
    pub ordered_by: BTreeSet<String>,
    /// The approximate maximum size of a page in bytes before compression; `None` for the encoder's
    /// own limits.
    pub page_bytes: Option<usize>,
    /// The number of encoded bytes after which a row group is closed; `None` for
    /// [`ROW_GROUP_BYTES`].
    pub group_bytes: Option<usize>,
}

/// Returns the properties of a segment's file, whose first rows are `first`.
pub fn properties(
    spec: &TableSpec,
    first: &RecordBatch,
    expected: &ExpectedRows,
) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("ebbtide {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(
            ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default(),
        ))
        // Lists and maps get the nested names that other engines write.
        .set_coerce_types(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let ordered = expected
        .ordered_by
        .iter()
        .chain(&expected.sorted_by)
        .cloned()
        .collect();
    builder = builder.set_key_value_metadata(order_entry(&ordered));
    if let Some(bytes) = expected.page_bytes {
        builder = builder
            .set_data_page_size_limit(bytes)
            .set_write_batch_size(PAGE_STEP);
    }
    for (field, values) in first.schema().fields().iter().zip(first.columns()) {
        let former = spec.former_deadline(field.name());
        let Some(column) = spec.column(field.name()).or(former.as_ref()) else {
            continue;
        };
        builder = of_column(builder, column, values.as_ref(), expected);
    }
    builder.build()
}

/// The key in a footer for the columns by which all or some rows are sorted: a rewrite that drops
/// one of the columns must not leave its order.
const SORTED_BY: &str = "ebbtide.sorted_by";

/// Returns the footer's entry for these columns; `None` if the rows are not sorted.
pub fn order_entry(columns: &BTreeSet<String>) -> Option<Vec<KeyValue>> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| vec![KeyValue::new(SORTED_BY.to_owned(), names.join(","))])
}

/// Returns the columns of the footer's entry.
pub fn recorded_order(file: &ParquetMetaData) -> BTreeSet<String> {
    let pairs = file
        .file_metadata()
        .key_value_metadata()
        .into_iter()
        .flatten();
    pairs
        .filter(|pair| pair.key == SORTED_BY)
        .filter_map(|pair| pair.value.as_deref())
        .flat_map(|columns| columns.split(',').map(str::to_owned))
        .collect()
}

fn of_column(
    builder: WriterPropertiesBuilder,
    column: &TableColumn,
    values: &dyn Array,
    expected: &ExpectedRows,
) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(column.name.as_str());
    if column.data_type.is_nested() {
        return builder;
    }
    let mut builder = builder.set_column_statistics_enabled(path(), statistics(column));
    // The first rows of a sorted column do not show how often its values repeat; and a dictionary
    // of a million values would be read whole for one of them.
    let sorted = expected.sorted_by.first() == Some(&column.name);
    match (&column.data_type, !sorted && repeats(values)) {
        (_, true) | (DataType::Boolean, _) => {}
        (DataType::Int64 | DataType::Int32 | DataType::Timestamp(..), false) => {
            builder = builder
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
        }
        _ => builder = builder.set_column_dictionary_enabled(path(), false),
    }
    if column.bloom {
        let room = expected
            .rows
            .map_or(BLOOM_VALUES, |rows| rows.min(ROW_GROUP_ROWS) as u64)
            .max(1);
        builder = builder
            .set_column_bloom_filter_enabled(path(), true)
            .set_column_bloom_filter_fpp(path(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path(), room);
    }
    builder
}

/// Returns the level of statistics: bounds of pages if a look-up can use them, of chunks if the log
/// may contain them, none otherwise.
fn statistics(column: &TableColumn) -> EnabledStatistics {
    let text = matches!(
        column.data_type,
        DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_)
    );
    match (&column.role, text) {
        _ if column.bloom => EnabledStatistics::Page,
        (ColumnRole::Tag, true) => EnabledStatistics::Chunk,
        (_, true) => EnabledStatistics::None,
        (_, false) => EnabledStatistics::Page,
    }
}

/// Returns true if the first rows of a column have at most half their number of distinct values, so
/// that a dictionary pays.
fn repeats(values: &dyn Array) -> bool {
    let rows = values.len().min(SAMPLE);
    let mut seen = HashSet::with_capacity(rows);
    let mut hashed = |write: &dyn Fn(usize, &mut DefaultHasher)| {
        for row in (0..rows).filter(|row| values.is_valid(*row)) {
            let mut hasher = DefaultHasher::new();
            write(row, &mut hasher);
            seen.insert(hasher.finish());
        }
    };
    match values.data_type() {
        DataType::Utf8 => hashed(&|row, to| values.as_string::<i32>().value(row).hash(to)),
        DataType::Binary => hashed(&|row, to| values.as_binary::<i32>().value(row).hash(to)),
        DataType::Int64 => {
            hashed(&|row, to| values.as_primitive::<Int64Type>().value(row).hash(to))
        }
        DataType::Timestamp(..) => {
            hashed(&|row, to| {
                values
                    .as_primitive::<TimestampMicrosecondType>()
                    .value(row)
                    .hash(to)
            });
        }
        // Values of narrow types repeat. Wide and rare types are left to the encoder, which
        // abandons a dictionary that grows too large.
        _ => return true,
    }
    seen.len() * 2 <= rows
}
