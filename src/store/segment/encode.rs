//! How each column is encoded: what Parquet is told before the first row group of a segment.
//!
//! Promises that the choice depends on the rows and the column's role alone. Numbers that were measured stand beside what
//! they decide.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::store::spec::{Role, TableColumn, TableSpec};

/// Zstandard's level: 1, the fastest of its usual ones.
const ZSTD_LEVEL: i32 = 1;

/// Rows of a row group at most.
pub const ROW_GROUP_ROWS: usize = 1 << 20;

/// Encoded bytes of a row group, after which it is closed.
pub const ROW_GROUP_BYTES: usize = 128 << 20;

/// The share of probes of a bloom filter that may wrongly say "maybe".
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Distinct values that a bloom filter has room for when its segment is written before its last row is known.
const BLOOM_VALUES: u64 = 1 << 18;

/// Rows after which it is looked how large a small page has become.
const PAGE_STEP: usize = 256;

/// Rows looked at to tell whether a column repeats itself.
const SAMPLE: usize = 1024;

/// What is known of a file's rows before the first of them is written.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// How many they are.
    pub rows: Option<usize>,
    /// The columns by which they come sorted, the first first.
    pub sorted_by: Vec<String>,
    /// The columns whose order some of them are in besides: what they came from was sorted by those.
    pub ordered_by: BTreeSet<String>,
    /// Bytes of a page at most, about, before compression; `None`: the encoder's own bounds.
    pub page_bytes: Option<usize>,
    /// Encoded bytes of a row group, after which it is closed; `None`: [`ROW_GROUP_BYTES`].
    pub group_bytes: Option<usize>,
}

/// The properties of a segment's file, whose first rows are `first`.
pub fn properties(spec: &TableSpec, first: &RecordBatch, expected: &Expected) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("ebbtide {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        // Lists and maps by the names that other engines write.
        .set_coerce_types(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    let ordered = expected.ordered_by.iter().chain(&expected.sorted_by).cloned().collect();
    builder = builder.set_key_value_metadata(tell_order(&ordered));
    if let Some(bytes) = expected.page_bytes {
        builder = builder.set_data_page_size_limit(bytes).set_write_batch_size(PAGE_STEP);
    }
    for (field, values) in first.schema().fields().iter().zip(first.columns()) {
        let former = spec.former_deadline(field.name());
        let Some(column) = spec.column(field.name()).or(former.as_ref()) else { continue };
        builder = of_column(builder, column, values.as_ref(), expected);
    }
    builder.build()
}

/// The key under which a footer tells in the order of which columns rows stand, or some of them: whoever leaves one of the columns
/// out must not leave its order.
const SORTED_BY: &str = "ebbtide.sorted_by";

/// What a footer tells of that; nothing where rows are in no order.
pub fn tell_order(columns: &BTreeSet<String>) -> Option<Vec<KeyValue>> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| vec![KeyValue::new(SORTED_BY.to_owned(), names.join(","))])
}

/// What a footer told of that.
pub fn told_order(file: &ParquetMetaData) -> BTreeSet<String> {
    let told = file.file_metadata().key_value_metadata().into_iter().flatten();
    let told = told.filter(|pair| pair.key == SORTED_BY).filter_map(|pair| pair.value.as_deref());
    told.flat_map(|columns| columns.split(',').map(str::to_owned)).collect()
}

fn of_column(
    builder: WriterPropertiesBuilder,
    column: &TableColumn,
    values: &dyn Array,
    expected: &Expected,
) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(column.name.as_str());
    if column.data_type.is_nested() {
        return builder;
    }
    let mut builder = builder.set_column_statistics_enabled(path(), statistics(column));
    // The first rows of a sorted column tell nothing of how often its values repeat; and a dictionary of a million values would
    // be read whole for one of them.
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
        let room = expected.rows.map_or(BLOOM_VALUES, |rows| rows.min(ROW_GROUP_ROWS) as u64).max(1);
        builder = builder
            .set_column_bloom_filter_enabled(path(), true)
            .set_column_bloom_filter_fpp(path(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path(), room);
    }
    builder
}

/// Pages' bounds where a look-up can use them, a chunk's where the log may tell them, none where nobody needs them.
fn statistics(column: &TableColumn) -> EnabledStatistics {
    let text = matches!(column.data_type, DataType::Utf8 | DataType::Binary | DataType::FixedSizeBinary(_));
    match (&column.role, text) {
        _ if column.bloom => EnabledStatistics::Page,
        (Role::Tag, true) => EnabledStatistics::Chunk,
        (_, true) => EnabledStatistics::None,
        (_, false) => EnabledStatistics::Page,
    }
}

/// Whether a column's first rows hold at most half as many values as rows, so that a dictionary pays.
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
        DataType::Int64 => hashed(&|row, to| values.as_primitive::<Int64Type>().value(row).hash(to)),
        DataType::Timestamp(..) => {
            hashed(&|row, to| values.as_primitive::<TimestampMicrosecondType>().value(row).hash(to));
        }
        // Narrow types repeat; wide and rare ones are left to the encoder, which gives a dictionary up by itself.
        _ => return true,
    }
    seen.len() * 2 <= rows
}
