//! Tests of every part of a Parquet file that can contain a value.

mod leftovers;

use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel};
use ::parquet::bloom_filter::Sbbf;
use ::parquet::column::writer::ColumnCloseResult;
use ::parquet::file::metadata::{
    FileMetaData, KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
    ParquetMetaDataWriter, RowGroupMetaData,
};
use ::parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::SchemaDescriptor;
use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use bytes::Bytes;

use super::*;

pub const CODECS: [fn() -> Compression; 7] = [
    || Compression::UNCOMPRESSED,
    || Compression::SNAPPY,
    || Compression::GZIP(GzipLevel::default()),
    || Compression::BROTLI(BrotliLevel::default()),
    || Compression::LZ4,
    || Compression::LZ4_RAW,
    || Compression::ZSTD(ZstdLevel::default()),
];

/// Returns writer properties that leave no value outside the pages.
pub fn bare() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_dictionary_enabled(false)
}

/// Returns a file with the columns.
pub fn encoded(columns: Vec<(&str, ArrayRef)>, properties: WriterPropertiesBuilder) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Returns a column of texts that contains `planted`; adjacent texts share a prefix.
pub fn texts(planted: &[&str]) -> ArrayRef {
    let others = (0..300 - planted.len()).map(|number| format!("someone-{number:06}"));
    let mut all: Vec<String> = others
        .chain(planted.iter().map(|text| (*text).to_owned()))
        .collect();
    all.sort();
    Arc::new(StringArray::from(all))
}

fn found(bytes: &[u8], values: &[&str]) -> ResidueReport {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("part.tmp"), bytes).unwrap();
    let residue = searched(folder.path(), values);
    assert_eq!(residue.unsearched, []);
    residue
}

#[test]
fn value_in_a_page_is_found_under_every_codec_in_either_version() {
    for codec in CODECS {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for dictionary in [false, true] {
                let properties = bare().set_compression(codec()).set_writer_version(version);
                let columns = vec![("name", texts(&["canary-one", "canary-two"]))];
                let residue = found(
                    &encoded(columns, properties.set_dictionary_enabled(dictionary)),
                    &["canary-two"],
                );
                let spots = places(&residue);
                assert!(
                    spots.contains(&(1, LocationKind::Value)),
                    "{:?} {version:?} {dictionary} {spots:?}",
                    codec()
                );
                assert_eq!(
                    spots.contains(&(1, LocationKind::Dictionary)),
                    dictionary,
                    "{:?} {version:?} {spots:?}",
                    codec()
                );
                let first = &residue.findings[0];
                assert_eq!(
                    (first.column.as_deref(), first.row_group),
                    (Some("name"), Some(0))
                );
            }
        }
    }
}

#[test]
fn a_value_that_an_encoding_takes_apart_is_found() {
    for encoding in [
        Encoding::DELTA_BYTE_ARRAY,
        Encoding::DELTA_LENGTH_BYTE_ARRAY,
    ] {
        let properties = bare()
            .set_encoding(encoding)
            .set_compression(Compression::ZSTD(ZstdLevel::default()));
        let residue = found(
            &encoded(vec![("name", texts(&["someone-00017x"]))], properties),
            &["someone-00017x"],
        );
        assert_eq!(places(&residue), [(1, LocationKind::Value)], "{encoding}");
    }
    let uuid = uuid::Uuid::from_u128(0x0b3a_6a4e_8d5c_4c0e_9a41_1f2e_3d4c_5b6a);
    let ids = (0..100_u128)
        .map(|number| uuid::Uuid::from_u128(number * 0x1234_5678_9abc))
        .chain([uuid]);
    let ids: Vec<[u8; 16]> = ids.map(uuid::Uuid::into_bytes).collect();
    let column: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(ids.iter()).unwrap());
    for encoding in [
        Encoding::PLAIN,
        Encoding::BYTE_STREAM_SPLIT,
        Encoding::DELTA_BYTE_ARRAY,
    ] {
        let properties = bare()
            .set_encoding(encoding)
            .set_writer_version(WriterVersion::PARQUET_2_0);
        let residue = found(
            &encoded(vec![("id", column.clone())], properties),
            &[&uuid.to_string()],
        );
        assert!(
            places(&residue).contains(&(1, LocationKind::Value)),
            "{encoding}"
        );
    }
}

#[test]
fn numbers_instants_and_days_are_found_in_columns_of_their_types() {
    let many = |planted: i64| {
        (0..200)
            .map(|number| number * 1_000_003)
            .chain([planted])
            .collect::<Vec<_>>()
    };
    let instant = 1_795_514_400_123_456;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("count", Arc::new(Int64Array::from(many(31_612_345_678)))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(many(instant)).with_timezone("UTC")),
        ),
        (
            "day",
            Arc::new(Date32Array::from(
                (0..200).chain([20_781]).collect::<Vec<i32>>(),
            )),
        ),
        (
            "place",
            Arc::new(Float64Array::from_iter_values(
                (0..200).map(f64::from).chain([52.370_215_7]),
            )),
        ),
        (
            "amount",
            Arc::new(
                Decimal128Array::from((0..200).chain([125_000_050_i128]).collect::<Vec<_>>())
                    .with_precision_and_scale(18, 2)
                    .unwrap(),
            ),
        ),
    ];
    let values = [
        "+31612345678",
        "2026-11-24T11:00:00.123456+01:00",
        "2026-11-24",
        "52.3702157",
        "1250000.50",
    ];
    for properties in [
        bare(),
        bare().set_dictionary_enabled(true),
        bare()
            .set_column_encoding("count".into(), Encoding::DELTA_BINARY_PACKED)
            .set_column_encoding("at".into(), Encoding::BYTE_STREAM_SPLIT)
            .set_column_encoding("day".into(), Encoding::DELTA_BINARY_PACKED)
            .set_column_encoding("place".into(), Encoding::BYTE_STREAM_SPLIT),
    ] {
        let residue = found(&encoded(columns.clone(), properties), &values);
        let spots = residue
            .findings
            .iter()
            .filter(|f| f.place == LocationKind::Value)
            .map(|f| (f.line.0, f.column.clone().unwrap()));
        let wanted = ["count", "at", "day", "place", "amount"].map(str::to_owned);
        assert_eq!(
            spots.collect::<Vec<_>>(),
            (1..).zip(wanted).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_value_in_bounds_is_found() {
    let statistics = |level| {
        bare()
            .set_statistics_enabled(level)
            .set_write_page_header_statistics(true)
    };
    let names = encoded(
        vec![("name", texts(&["aa-canary-least"]))],
        statistics(EnabledStatistics::Page),
    );
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![31_612_345_678, 9]));
    let numbers = encoded(
        vec![("number", numbers)],
        statistics(EnabledStatistics::Page),
    );
    for (file, value) in [(names, "aa-canary-least"), (numbers, "31612345678")] {
        let residue = found(&file, &[value]);
        for place in [
            LocationKind::Bounds,
            LocationKind::ColumnIndex,
            LocationKind::PageBounds,
            LocationKind::Value,
        ] {
            assert!(
                places(&residue).contains(&(1, place)),
                "{place}: {:?}",
                residue.findings
            );
        }
    }
}

/// Returns a file whose only column contains nothing, with its metadata changed by `tell`.
fn outlived(tell: impl FnOnce(&mut ColumnCloseResult)) -> Vec<u8> {
    let nulls: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; 100]));
    let empty = Bytes::from(encoded(vec![("name", nulls)], bare()));
    let meta = ParquetMetaDataReader::new()
        .parse_and_finish(&empty)
        .unwrap();
    let schema = meta.file_metadata().schema_descr().root_schema_ptr();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema, Arc::new(bare().build())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let metadata = meta.row_group(0).column(0).clone();
    let bytes_written = u64::try_from(metadata.compressed_size()).unwrap();
    let (bloom_filter, column_index, offset_index) = (None, None, None);
    let mut close = ColumnCloseResult {
        bytes_written,
        rows_written: 100,
        metadata,
        bloom_filter,
        column_index,
        offset_index,
    };
    tell(&mut close);
    group.append_column(&empty, close).unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn cut_off_bound_is_found_unless_a_value_of_the_column_explains_it() {
    let long = format!("zz-canary-{}-the end that is cut off", "x".repeat(60));
    let wide = format!("zz-canary-{}-the end that is cut off", "\u{eb}".repeat(60));
    for long in [long.as_str(), &wide] {
        let statistics = bare()
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_write_page_header_statistics(true);
        let living = Bytes::from(encoded(
            vec![("name", texts(&["aa-canary-least", long]))],
            statistics,
        ));
        let values = ["aa-canary-least", long];
        let spots = places(&found(&living, &values));
        assert!(
            spots.contains(&(2, LocationKind::Value))
                && !spots.contains(&(2, LocationKind::Bounds)),
            "{spots:?}"
        );

        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Required);
        let meta = reader.parse_and_finish(&living).unwrap();
        let bounds = meta.row_group(0).column(0).statistics().unwrap().clone();
        let outlived = outlived(|close| {
            close.metadata = close
                .metadata
                .clone()
                .into_builder()
                .set_statistics(bounds)
                .build()
                .unwrap();
            close.column_index = Some(meta.column_index().unwrap()[0][0].clone());
            close.offset_index = Some(meta.offset_index().unwrap()[0][0].clone());
        });
        let spots = places(&found(&outlived, &values));
        let both = [
            (1, LocationKind::Bounds),
            (1, LocationKind::ColumnIndex),
            (2, LocationKind::Bounds),
            (2, LocationKind::ColumnIndex),
        ];
        assert_eq!(spots, both);
    }
}

#[test]
fn a_value_in_key_value_metadata_or_a_columns_name_is_found_and_veiled() {
    let pairs = vec![KeyValue::new(
        "note".to_owned(),
        "of \\u0063anary-one".to_owned(),
    )];
    let columns = vec![("name", texts(&[])), ("canary-two", texts(&[]))];
    let bytes = encoded(columns, bare().set_key_value_metadata(Some(pairs)));
    let residue = found(&bytes, &["canary-one", "canary-two", "someone-000017"]);
    let spots = places(&residue);
    assert!(spots.contains(&(1, LocationKind::KeyValue)), "{spots:?}");
    // The writer keeps Arrow's schema there, in base64.
    assert!(
        spots.contains(&(2, LocationKind::KeyValue)) || spots.contains(&(2, LocationKind::Footer)),
        "{spots:?}"
    );
    let veiled = residue
        .findings
        .iter()
        .filter(|finding| finding.column.as_deref() == Some("[value 2]"));
    assert_eq!(
        veiled.map(|finding| finding.line.0).collect::<Vec<_>>(),
        [3]
    );
}

#[test]
fn a_checkpoints_escaped_statistics_are_found() {
    let stats = serde_json::json!({ "minValues": { "name": "Ada \"L\" Doe" } }).to_string();
    let paths: ArrayRef = Arc::new(StringArray::from(vec!["name=a%2540b%2Eorg/1.parquet", "x"]));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("path", paths),
        (
            "stats",
            Arc::new(StringArray::from(vec![stats, "{}".to_owned()])),
        ),
    ];
    let residue = found(
        &encoded(columns, bare().set_compression(Compression::SNAPPY)),
        &["Ada \"L\" Doe", "a@b.org"],
    );
    let spots: Vec<_> = residue
        .findings
        .iter()
        .map(|f| (f.line.0, f.place, f.column.as_deref().unwrap()))
        .collect();
    assert_eq!(
        spots,
        [
            (1, LocationKind::Value, "stats"),
            (2, LocationKind::Value, "path")
        ]
    );
}

#[test]
fn damaged_page_is_reported_and_values_elsewhere_are_found() {
    let columns = vec![
        ("name", texts(&["canary-one"])),
        ("other", texts(&["canary-two"])),
    ];
    let mut bytes = encoded(
        columns,
        bare().set_compression(Compression::ZSTD(ZstdLevel::default())),
    );
    let meta = ParquetMetaDataReader::new()
        .parse_and_finish(&Bytes::from(bytes.clone()))
        .unwrap();
    let column = meta.row_group(0).column(0);
    let middle = usize::try_from(column.data_page_offset() + column.compressed_size() / 2).unwrap();
    bytes[middle..middle + 20].fill(0xee);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("part"), bytes).unwrap();
    let residue = searched(folder.path(), &["canary-one", "canary-two"]);
    assert_eq!(places(&residue), [(2, LocationKind::Value)]);
    assert!(
        residue
            .unsearched
            .iter()
            .all(|missed| missed.why.contains("of column name")),
        "{:?}",
        residue.unsearched
    );
    assert_eq!(
        (residue.verdict(), residue.unsearched.is_empty()),
        (ResidueOutcome::Found, false)
    );
}
