//! The statistics of a segment in the Delta log: row count, and bounds of tags and of columns that
//! are not personal.
//!
//! They are made from an allow-list, never from whatever a file contains.

use arrow::datatypes::DataType;
use chrono::DateTime;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

use crate::spec::{TableColumn, TableSpec};

/// The length in bytes of the longest text in the statistics, so that no bound is ever truncated. A
/// policy's version is never longer.
const LONGEST_TEXT: usize = 64;

/// Returns the `stats` of the segment's `add` action.
pub fn stats(spec: &TableSpec, file: &ParquetMetaData) -> String {
    let rows: i64 = file.row_groups().iter().map(|group| group.num_rows()).sum();
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    let fields = file
        .file_metadata()
        .schema_descr()
        .root_schema()
        .get_fields();
    let former: Vec<TableColumn> = fields
        .iter()
        .filter_map(|field| spec.former_deadline(field.name()))
        .collect();
    for column in spec
        .stored()
        .filter(|column| spec.has_bounds_in_log(column))
        .chain(&former)
    {
        let Some(bounds) = Bounds::of(column, file) else {
            if !has_column(file, &column.name) {
                nulls.insert(column.name.clone(), json!(rows));
            }
            continue;
        };
        nulls.insert(column.name.clone(), json!(bounds.nulls));
        if let Some((min, max)) = bounds.range {
            least.insert(column.name.clone(), min);
            greatest.insert(column.name.clone(), max);
        }
    }
    json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls })
        .to_string()
}

fn has_column(file: &ParquetMetaData, name: &str) -> bool {
    file.file_metadata()
        .schema_descr()
        .root_schema()
        .get_fields()
        .iter()
        .any(|field| field.name() == name)
}

/// A column's bounds over all row groups.
struct Bounds {
    nulls: u64,
    range: Option<(Value, Value)>,
}

impl Bounds {
    /// Returns the bounds; `None` if the file lacks the column or a row group lacks its counts.
    fn of(column: &TableColumn, file: &ParquetMetaData) -> Option<Bounds> {
        let (mut nulls, mut numbers, mut texts) = (0, None::<(i64, i64)>, None::<(String, String)>);
        let mut whole = true;
        for group in file.row_groups() {
            let chunk = group
                .columns()
                .iter()
                .find(|chunk| chunk.column_path().parts() == [column.name.as_str()])?;
            let statistics = chunk.statistics()?;
            nulls += statistics.null_count_opt()?;
            if statistics.null_count_opt() == u64::try_from(chunk.num_values()).ok() {
                continue;
            }
            match statistics {
                Statistics::Int32(of) => widen(
                    &mut numbers,
                    i64::from(*of.min_opt()?),
                    i64::from(*of.max_opt()?),
                ),
                Statistics::Int64(of) => widen(&mut numbers, *of.min_opt()?, *of.max_opt()?),
                Statistics::ByteArray(of) => {
                    let text =
                        |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(ToOwned::to_owned);
                    let (min, max) = (text(of.min_opt()?.data())?, text(of.max_opt()?.data())?);
                    whole &= of.min_is_exact() && of.max_is_exact();
                    whole &= min.len().max(max.len()) <= LONGEST_TEXT;
                    widen(&mut texts, min, max);
                }
                _ => return None,
            }
        }
        let numbers =
            numbers.and_then(|(min, max)| Some((number(column, min)?, number(column, max)?)));
        let texts = texts
            .filter(|_| whole)
            .map(|(min, max)| (Value::String(min), Value::String(max)));
        Some(Bounds {
            nulls,
            range: numbers.or(texts),
        })
    }
}

fn widen<T: Ord>(range: &mut Option<(T, T)>, min: T, max: T) {
    *range = Some(match range.take() {
        Some((least, greatest)) => (least.min(min), greatest.max(max)),
        None => (min, max),
    });
}

fn number(column: &TableColumn, value: i64) -> Option<Value> {
    match column.data_type {
        DataType::Timestamp(..) => {
            let instant = DateTime::from_timestamp_micros(value)?;
            Some(Value::String(
                instant.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
            ))
        }
        DataType::Date32 => {
            let day = DateTime::from_timestamp(value.checked_mul(86_400)?, 0)?;
            Some(Value::String(day.format("%Y-%m-%d").to_string()))
        }
        _ => Some(json!(value)),
    }
}
