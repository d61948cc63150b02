use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::column::writer::ColumnCloseResult;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;

use super::runs::{ColumnRuns, RunValue, chunk};
use super::{EncodedSegment, SegmentError, SegmentWriter};
use crate::spec::{ColumnRole, TableColumn, TableSpec, instant, tags};
use crate::testing::arbitrary::{array, columns};
use crate::testing::{MARKER, encoded, rows, segment_tags, spec};

fn read(bytes: &Bytes) -> RecordBatch {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn texts(column: &ArrayRef) -> Vec<String> {
    (0..column.len())
        .map(|row| {
            if column.is_null(row) {
                "-".to_owned()
            } else {
                array_value_to_string(column, row).unwrap()
            }
        })
        .collect()
}

fn metadata(segment: &EncodedSegment) -> parquet::file::metadata::ParquetMetaData {
    SerializedFileReader::new(segment.bytes().clone())
        .unwrap()
        .metadata()
        .clone()
}

#[test]
fn tags_that_a_segment_shares_are_on_every_row() {
    let segment = encoded(&rows(0, 0, 500));
    let found = read(segment.bytes());
    assert_eq!((found.num_rows(), segment.rows()), (500, 500));
    let all = |name: &str, value: &str| {
        let column = texts(found.column_by_name(name).unwrap());
        assert!(
            column.iter().all(|found| found == value),
            "{name}: {}",
            column[0]
        );
    };
    all("records", "1");
    all("policy_version", "2026-09-01");
    all("expires_content", "2026-12-20T14:13:20Z");
    all("expires_phone_number", "2027-03-20T14:13:20Z");
}

#[test]
fn a_shared_tag_costs_the_same_for_ten_rows_and_for_a_million() {
    let file = Type::group_type_builder("segment")
        .with_fields(vec![Arc::new(
            Type::primitive_type_builder("records", parquet::basic::Type::INT64)
                .with_repetition(parquet::basic::Repetition::OPTIONAL)
                .build()
                .unwrap(),
        )])
        .build()
        .unwrap();
    let file = SerializedFileWriter::new(Vec::new(), Arc::new(file), Arc::default()).unwrap();
    let column = file.schema_descr().column(0);
    let size = |rows| {
        chunk(column.clone(), &ColumnRuns::one(RunValue::Int64(1), rows))
            .unwrap()
            .0
            .len()
    };
    assert!(size(1 << 20) <= size(10) + 16, "{} bytes", size(1 << 20));
    assert!(size(1 << 20) < 80, "{} bytes", size(1 << 20));
}

#[test]
fn tags_that_change_within_a_segment_come_back_row_by_row() {
    let mut writer = SegmentWriter::new(spec(), segment_tags(), &[]).unwrap();
    for number in [3, 3, 0, 7, 3, -1] {
        writer.write(&rows(number, 0, 300)).unwrap();
        writer.feed(None).unwrap();
    }
    // More values than fit one byte of index, and runs of one row.
    for number in 0..400 {
        writer.write(&rows(number, 0, 1)).unwrap();
    }
    let segment = writer.finish().unwrap();
    let found = read(segment.bytes());
    let expected = [3, 3, 0, 7, 3, -1]
        .into_iter()
        .flat_map(|number| vec![number; 300])
        .chain(0..400);
    let column = found
        .column_by_name("source_partition")
        .unwrap()
        .as_primitive::<arrow::datatypes::Int32Type>();
    assert_eq!(
        (column.null_count(), column.values().to_vec()),
        (0, expected.collect::<Vec<i32>>())
    );
    assert!(
        texts(found.column_by_name("source_topic").unwrap())
            .iter()
            .all(|topic| topic == "traffic.sms")
    );
    let file = metadata(&segment);
    let chunk = file
        .row_group(0)
        .columns()
        .iter()
        .find(|c| c.column_path().string() == "source_partition")
        .unwrap();
    let bounds = chunk.statistics().unwrap();
    assert_eq!(bounds.min_bytes_opt().unwrap(), (-1i32).to_le_bytes());
    assert_eq!(bounds.max_bytes_opt().unwrap(), 399i32.to_le_bytes());
}

#[test]
fn runs_are_split_where_a_row_group_ends() {
    let column = StringArray::from(vec!["a", "a", "b", "b", "b", "a"]);
    let mut rest = ColumnRuns::of(&column).unwrap();
    let first = rest.split(3);
    let text = |value: &str| RunValue::Text(value.to_owned());
    let mut expected = ColumnRuns::one(text("a"), 2);
    expected.append(ColumnRuns::one(text("b"), 1));
    assert_eq!(first, expected);
    let mut joined = first;
    joined.append(rest);
    assert_eq!(joined, ColumnRuns::of(&column).unwrap());
    assert_eq!(
        ColumnRuns::of(&StringArray::from(vec![Some("a"), None])),
        None
    );
}

#[test]
fn an_open_deadline_and_an_absent_category_have_no_column() {
    let mut tags = segment_tags();
    tags.deadlines[0].1 = None;
    let absent = ["body".to_owned(), "media".to_owned()];
    let mut writer = SegmentWriter::new(spec(), tags, &absent).unwrap();
    let batch = rows(0, 0, 10);
    assert!(
        matches!(writer.write(&batch), Err(SegmentError::Column { column, .. }) if column == "body")
    );
    let kept: Vec<usize> = (0..batch.num_columns())
        .filter(|column| !absent.contains(batch.schema().field(*column).name()))
        .collect();
    writer.write(&batch.project(&kept).unwrap()).unwrap();
    let segment = writer.finish().unwrap();
    let found = read(segment.bytes());
    for name in ["body", "media", "expires_content"] {
        assert!(found.column_by_name(name).is_none(), "{name}");
    }
    assert!(found.column_by_name("expires_phone_number").is_some());
    let stats: serde_json::Value = serde_json::from_str(&segment.contents.stats).unwrap();
    assert_eq!(stats["nullCount"]["expires_content"], 10);
    assert!(stats["nullCount"].get("body").is_none());
}

#[test]
fn unknown_and_missing_columns_and_those_of_another_type_are_refused() {
    let batch = rows(0, 0, 10);
    let with = |name: &str, array: ArrayRef| {
        let mut columns: Vec<(String, ArrayRef)> = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .filter(|(field, _)| field.name() != name)
            .map(|(field, column)| (field.name().clone(), column.clone()))
            .collect();
        columns.push((name.to_owned(), array));
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .unwrap()
    };
    let secret: ArrayRef = Arc::new(StringArray::from(vec!["secret"; 10]));
    for (name, wrong) in [
        ("unheard_of", with("unheard_of", secret.clone())),
        (
            "records",
            with("records", Arc::new(Int64Array::from(vec![9; 10]))),
        ),
        ("segments", with("segments", secret)),
        (
            "recipient",
            batch
                .project(&(1..batch.num_columns()).collect::<Vec<_>>())
                .unwrap(),
        ),
    ] {
        let mut writer = SegmentWriter::new(spec(), segment_tags(), &[]).unwrap();
        let error = writer.write(&wrong).unwrap_err();
        assert!(!error.to_string().contains("secret"));
        assert!(matches!(error, SegmentError::Column { column, .. } if column == name));
        assert_eq!(writer.rows(), 0);
    }
}

#[test]
fn a_segment_without_rows_is_not_made() {
    let mut writer = SegmentWriter::new(spec(), segment_tags(), &[]).unwrap();
    writer.write(&rows(0, 5, 5)).unwrap();
    assert!(matches!(writer.finish(), Err(SegmentError::Empty)));
}

#[test]
fn log_has_statistics_of_tags_and_plain_numbers_only() {
    let segment = encoded(&rows(0, 0, 100));
    let stats: serde_json::Value = serde_json::from_str(&segment.contents.stats).unwrap();
    let columns_in = |which: &str| {
        stats[which]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let expected = [
        "expires_content",
        "expires_phone_number",
        "ingested_at",
        "jurisdiction",
        "policy_version",
        "records",
        "segments",
    ];
    assert_eq!(columns_in("minValues"), expected);
    assert_eq!(columns_in("maxValues"), expected);
    assert_eq!(columns_in("nullCount"), expected);
    assert_eq!(stats["numRecords"], 100);
    assert_eq!(
        (
            &stats["minValues"]["segments"],
            &stats["maxValues"]["segments"]
        ),
        (&0.into(), &3.into())
    );
    assert_eq!(stats["maxValues"]["jurisdiction"], "NL");
    assert_eq!(
        stats["minValues"]["expires_content"],
        "2026-12-20T14:13:20.000000Z"
    );
}

#[test]
fn a_file_says_who_wrote_it_and_nothing_more() {
    let file = metadata(&encoded(&rows(0, 0, 100)));
    let created = file.file_metadata().created_by().unwrap();
    assert_eq!(created, format!("ebbtide {}", env!("CARGO_PKG_VERSION")));
    assert!(file.file_metadata().key_value_metadata().is_none());
}

#[test]
fn personal_text_without_look_ups_has_no_bounds_in_the_footer() {
    let file = metadata(&encoded(&rows(0, 0, 100)));
    let bounds = |name: &str| {
        let chunk = file
            .row_group(0)
            .columns()
            .iter()
            .find(|chunk| chunk.column_path().string() == name)
            .unwrap();
        chunk
            .statistics()
            .is_some_and(|stats| stats.min_bytes_opt().is_some())
    };
    assert!(!bounds("body") && !bounds("media.list.element"));
    assert!(bounds("recipient") && bounds("sent_at"));
}

#[test]
fn subjects_and_the_tenant_are_found_by_their_bloom_filters() {
    let segment = encoded(&rows(0, 0, 5000));
    let options = ReadOptionsBuilder::new()
        .with_reader_properties(
            ReaderProperties::builder()
                .set_read_bloom_filter(true)
                .build(),
        )
        .build();
    let reader = SerializedFileReader::new_with_options(segment.bytes().clone(), options).unwrap();
    let group = reader.get_row_group(0).unwrap();
    let names: Vec<String> = group
        .metadata()
        .columns()
        .iter()
        .map(|chunk| chunk.column_path().string())
        .collect();
    let at = |name: &str| names.iter().position(|found| found == name).unwrap();
    let recipients = group.get_column_bloom_filter(at("recipient")).unwrap();
    assert!((0..100).all(|n| recipients.check(&format!("{MARKER}-{n}").as_str())));
    let wrong = (100..10_100)
        .filter(|n| recipients.check(&format!("{MARKER}-{n}").as_str()))
        .count();
    assert!(wrong < 300, "{wrong} of 10,000");
    assert!(
        group
            .get_column_bloom_filter(at("customer_id"))
            .unwrap()
            .check(&"customer-3")
    );
    assert!(group.get_column_bloom_filter(at("body")).is_none());
}

#[test]
fn small_segments_cost_little_memory_and_a_few_rows_do_not_keep_a_batch() {
    let batch = rows(0, 0, 20_000);
    let whole = batch.get_array_memory_size();
    let mut writer = SegmentWriter::new(spec(), segment_tags(), &[]).unwrap();
    writer.write(&batch.slice(7, 20)).unwrap();
    assert!(
        writer.memory() < 32 << 10,
        "{} bytes for 20 rows of a batch of {whole}",
        writer.memory()
    );
    let segment = writer.finish().unwrap();
    assert_eq!(
        texts(
            read(segment.bytes())
                .column_by_name("source_offset")
                .unwrap()
        )[0],
        "7"
    );
}

#[test]
fn a_segment_of_more_rows_than_a_row_group_has_its_tags_in_each() {
    let mut narrow = TableSpec::clone(&spec());
    narrow.columns.retain(|column| {
        matches!(
            column.name.as_str(),
            "source_offset" | "records" | "expires_content"
        )
    });
    let narrow = Arc::new(narrow);
    let mut writer = SegmentWriter::new(narrow, segment_tags(), &[]).unwrap();
    let all = (1 << 20) + 1000;
    for from in (0..all).step_by(100_000) {
        let offsets = Int64Array::from_iter_values(from..(from + 100_000).min(all));
        let schema = Schema::new(vec![Field::new("source_offset", DataType::Int64, true)]);
        writer
            .write(&RecordBatch::try_new(Arc::new(schema), vec![Arc::new(offsets)]).unwrap())
            .unwrap();
    }
    let segment = writer.finish().unwrap();
    let groups: Vec<i64> = metadata(&segment)
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .collect();
    assert_eq!(groups, [1 << 20, 1000]);
    let found = read(segment.bytes());
    let offsets = found
        .column_by_name("source_offset")
        .unwrap()
        .as_primitive::<arrow::datatypes::Int64Type>();
    assert!(offsets.values().iter().copied().eq(0..all));
    let records = found
        .column_by_name("records")
        .unwrap()
        .as_primitive::<arrow::datatypes::Int64Type>();
    assert_eq!(
        (records.null_count(), records.values().iter().sum::<i64>()),
        (0, all)
    );
}

#[test]
fn category_is_dropped_by_copying_the_chunks_of_the_others() {
    let segment = encoded(&rows(0, 0, 3000));
    let reader = SerializedFileReader::new(segment.bytes().clone()).unwrap();
    let old = reader.metadata().file_metadata().schema_descr();
    let is_dropped = |name: &str| ["body", "media", "expires_content"].contains(&name);
    let fields = old
        .root_schema()
        .get_fields()
        .iter()
        .filter(|field| !is_dropped(field.name()))
        .cloned()
        .collect();
    let schema = Type::group_type_builder("segment")
        .with_fields(fields)
        .build()
        .unwrap();
    let mut file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::default()).unwrap();
    for group in reader.metadata().row_groups() {
        let mut copy = file.next_row_group().unwrap();
        for column in group
            .columns()
            .iter()
            .filter(|chunk| !is_dropped(&chunk.column_path().parts()[0]))
        {
            let close = ColumnCloseResult {
                bytes_written: column.compressed_size() as u64,
                rows_written: group.num_rows() as u64,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            copy.append_column(segment.bytes(), close).unwrap();
        }
        copy.close().unwrap();
    }
    let copied = Bytes::from(file.into_inner().unwrap());
    let (before, after) = (read(segment.bytes()), read(&copied));
    for field in before
        .schema()
        .fields()
        .iter()
        .filter(|field| !is_dropped(field.name()))
    {
        let name = field.name();
        assert_eq!(
            texts(before.column_by_name(name).unwrap()),
            texts(after.column_by_name(name).unwrap()),
            "{name}"
        );
    }
    let holds =
        |bytes: &Bytes, needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(!holds(&copied, b"body") && !holds(&copied, b"hello"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn written_data_reads_back_equal((columns, mut cuts) in columns(), eager in any::<bool>()) {
        let arrays: Vec<(String, ArrayRef)> = columns
            .iter()
            .enumerate()
            .map(|(n, (kind, _, seeds))| (format!("c{n}"), array(*kind, seeds)))
            .collect();
        let mut of: Vec<TableColumn> = arrays
            .iter()
            .zip(&columns)
            .map(|((name, array), (kind, bloom, _))| TableColumn {
                name: name.clone(),
                data_type: array.data_type().clone(),
                role: if *bloom { ColumnRole::Plain } else { ColumnRole::Personal("content".parse().unwrap()) },
                doc: None,
                bloom: *bloom && *kind == 0,
            })
            .collect();
        of.extend(
            tags(&["content".parse().unwrap()].into(), ebbtide_base::ids::BucketUnit::Day)
                .into_iter()
                .filter(|tag| !tag.name.starts_with("source") && tag.name != "jurisdiction" && tag.name != "ingested_at"),
        );
        let spec = Arc::new(TableSpec { product: "p".parse().unwrap(), unit: ebbtide_base::ids::BucketUnit::Day, columns: of, forms: None });
        let whole = RecordBatch::try_from_iter_with_nullable(
            arrays.iter().map(|(name, array)| (name.as_str(), array.clone(), true)),
        ).unwrap();
        cuts.extend([0, whole.num_rows()]);
        cuts.sort_unstable();
        let mut writer = SegmentWriter::new(spec, segment_tags(), &[]).unwrap();
        for cut in cuts.windows(2) {
            writer.write(&whole.slice(cut[0], cut[1] - cut[0])).unwrap();
            if eager {
                writer.feed(None).unwrap();
            }
        }
        let segment = writer.finish().unwrap();
        let found = read(segment.bytes());
        prop_assert_eq!(found.num_rows(), whole.num_rows());
        for (name, array) in &arrays {
            prop_assert_eq!(texts(found.column_by_name(name).unwrap()), texts(array));
        }
        prop_assert!(texts(found.column_by_name("expires_content").unwrap()).iter().all(|t| t == "2026-12-20T14:13:20Z"));
        let _ = instant();
    }
}
