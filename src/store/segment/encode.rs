//! How each column is encoded: what Parquet is told before the first row group of a segment.
//!
//! Promises that the choice depends on the rows and the column's role alone. Numbers that were measured stand beside what
//! they decide.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use parquet::basic::{Compression, Encoding, ZstdLevel};
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

/// Rows looked at to tell whether a column repeats itself.
const SAMPLE: usize = 1024;

/// The properties of a segment's file: `first` are its first rows, `all` is how many it has if that is known already.
pub fn properties(spec: &TableSpec, first: &RecordBatch, all: Option<usize>) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("ebbtide {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default()))
        // Lists and maps by the names that other engines write.
        .set_coerce_types(true)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for (field, values) in first.schema().fields().iter().zip(first.columns()) {
        let former = spec.former_deadline(field.name());
        let Some(column) = spec.column(field.name()).or(former.as_ref()) else { continue };
        builder = of_column(builder, column, values.as_ref(), all);
    }
    builder.build()
}

fn of_column(
    builder: WriterPropertiesBuilder,
    column: &TableColumn,
    values: &dyn Array,
    all: Option<usize>,
) -> WriterPropertiesBuilder {
    let path = || ColumnPath::from(column.name.as_str());
    if column.data_type.is_nested() {
        return builder;
    }
    let mut builder = builder.set_column_statistics_enabled(path(), statistics(column));
    match (&column.data_type, repeats(values)) {
        (_, true) | (DataType::Boolean, _) => {}
        (DataType::Int64 | DataType::Int32 | DataType::Timestamp(..), false) => {
            builder = builder
                .set_column_dictionary_enabled(path(), false)
                .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
        }
        _ => builder = builder.set_column_dictionary_enabled(path(), false),
    }
    if column.bloom {
        let room = all.map_or(BLOOM_VALUES, |rows| rows as u64).max(1);
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
