//! Tests of every part of a Parquet file that can contain a value.

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

/// Returns a file whose only column contains nothing, with its metadata changed by `change`.
fn outlived(change: impl FnOnce(&mut ColumnCloseResult)) -> Vec<u8> {
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
    change(&mut close);
    group.append_column(&empty, close).unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

/// Returns a file whose only column contains nothing, with a bloom filter of `values`.
fn only_a_bloom(values: &[String]) -> Vec<u8> {
    let mut filter = Sbbf::new_with_ndv_fpp(values.len() as u64, 0.01).unwrap();
    values
        .iter()
        .for_each(|value| filter.insert(value.as_str()));
    outlived(|close| close.bloom_filter = Some(filter))
}

#[test]
fn a_bloom_that_outlived_its_column_is_found_and_chance_is_not() {
    let known: Vec<String> = (0..1000).map(|number| format!("canary-{number}")).collect();
    let bytes = only_a_bloom(&known);
    let asked: Vec<&str> = known.iter().take(50).map(String::as_str).collect();
    let residue = found(&bytes, &asked);
    assert_eq!(residue.found(), 50);
    assert!(
        residue
            .findings
            .iter()
            .all(|finding| finding.place == LocationKind::Bloom)
    );
    assert_eq!(residue.verdict(), ResidueOutcome::Found);

    let strangers: Vec<String> = (0..3000)
        .map(|number| format!("stranger-{number}"))
        .collect();
    let strangers: Vec<&str> = strangers.iter().map(String::as_str).collect();
    let residue = found(&bytes, &strangers);
    assert!(
        residue.blooms.maybe > 0 && residue.blooms.expected > 1.0,
        "{:?}",
        residue.blooms
    );
    assert_eq!(
        (residue.verdict(), residue.findings.len()),
        (ResidueOutcome::Clean, 0)
    );
    // A nearly empty filter does not answer "maybe" by chance: one value is enough.
    let bytes = only_a_bloom(&["canary-7".to_owned()]);
    assert_eq!(
        places(&found(&bytes, &["CANARY-x", "canary-7"])),
        [(2, LocationKind::Bloom)]
    );
}

#[test]
fn a_bloom_of_what_its_column_holds_is_no_finding_of_its_own() {
    let properties = bare().set_bloom_filter_enabled(true);
    let residue = found(
        &encoded(vec![("name", texts(&["canary-one"]))], properties),
        &["canary-one"],
    );
    assert_eq!(places(&residue), [(1, LocationKind::Value)]);
    assert_eq!((residue.blooms.filters, residue.blooms.maybe), (1, 0));
}

/// Returns the file with the last column removed from its footer, and the bytes of that column
/// replaced by the result of `gap`.
fn without_the_last_column(bytes: &[u8], gap: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let whole = Bytes::copy_from_slice(bytes);
    let meta = ParquetMetaDataReader::new()
        .parse_and_finish(&whole)
        .unwrap();
    let root = meta.file_metadata().schema();
    let fields = root.get_fields();
    let schema = ::parquet::schema::types::Type::group_type_builder(root.name())
        .with_fields(fields[..fields.len() - 1].to_vec())
        .build()
        .unwrap();
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
    let groups = meta.row_groups().iter().map(|group| {
        let columns = group.columns()[..group.num_columns() - 1].to_vec();
        let columns = columns
            .into_iter()
            .zip(schema.columns())
            .map(|(column, described)| {
                ::parquet::file::metadata::ColumnChunkMetaData::builder(described.clone())
                    .set_compression(column.compression())
                    .set_num_values(column.num_values())
                    .set_data_page_offset(column.data_page_offset())
                    .set_total_compressed_size(column.compressed_size())
                    .set_total_uncompressed_size(column.uncompressed_size())
                    .set_encodings_mask(*column.encodings_mask())
                    .build()
                    .unwrap()
            });
        RowGroupMetaData::builder(schema.clone())
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_column_metadata(columns.collect())
            .build()
            .unwrap()
    });
    let groups = groups.collect();
    let file = FileMetaData::new(
        2,
        meta.file_metadata().num_rows(),
        None,
        None,
        schema.clone(),
        None,
    );
    let last = meta
        .row_group(0)
        .column(meta.row_group(0).num_columns() - 1);
    let start = usize::try_from(last.data_page_offset()).unwrap();
    let end = start + usize::try_from(last.compressed_size()).unwrap();
    let mut kept = bytes[..start].to_vec();
    kept.extend(gap(&bytes[start..end]));
    ParquetMetaDataWriter::new(&mut kept, &ParquetMetaData::new(file, groups))
        .finish()
        .unwrap();
    kept
}

#[test]
fn value_in_a_column_that_the_footer_omits_is_found() {
    for codec in CODECS {
        let columns = vec![("name", texts(&[])), ("deleted", texts(&["canary-one"]))];
        let whole = encoded(columns, bare().set_compression(codec()));
        let residue = found(
            &without_the_last_column(&whole, <[u8]>::to_vec),
            &["canary-one", "someone-000017"],
        );
        let spots = places(&residue);
        assert!(
            spots.contains(&(1, LocationKind::Unnamed)),
            "{:?}: {spots:?}",
            codec()
        );
        assert!(
            spots.contains(&(2, LocationKind::Value)),
            "{:?}: {spots:?}",
            codec()
        );
    }
}

#[test]
fn bytes_that_no_codec_opens_and_no_footer_names_are_reported() {
    let whole = encoded(vec![("name", texts(&[])), ("deleted", texts(&[]))], bare());
    let searched = |gap: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("part"),
            without_the_last_column(&whole, |_| gap.to_vec()),
        )
        .unwrap();
        searched(folder.path(), &["canary-one"])
    };
    let residue = searched(b"\xff\xff\xff\xffjunk canary-one");
    assert_eq!(places(&residue), [(1, LocationKind::Unnamed)]);
    assert_eq!(residue.unsearched.len(), 1, "{:?}", residue.unsearched);
    assert_eq!(searched(&[0xff; 24]).verdict(), ResidueOutcome::Incomplete);
}

#[test]
fn zeros_and_repeated_metadata_between_columns_are_nothing() {
    let pairs = vec![KeyValue::new("note".to_owned(), "canary-one".to_owned())];
    let columns = vec![("name", texts(&[])), ("deleted", texts(&[]))];
    let whole = encoded(columns, bare().set_key_value_metadata(Some(pairs)));
    let zeros = without_the_last_column(&whole, |gap| vec![0; gap.len()]);
    assert_eq!(found(&zeros, &["canary"]).verdict(), ResidueOutcome::Clean);
    let length: [u8; 4] = whole[whole.len() - 8..][..4].try_into().unwrap();
    let footer = &whole[whole.len() - 8 - u32::from_le_bytes(length) as usize..whole.len() - 8];
    let repeated = without_the_last_column(&whole, |_| footer.to_vec());
    assert_eq!(
        found(&repeated, &["absent"]).verdict(),
        ResidueOutcome::Clean
    );
    assert_eq!(
        places(&found(&repeated, &["canary-one"])),
        [(1, LocationKind::Unnamed)]
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
