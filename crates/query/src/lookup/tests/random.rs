//! Compares a look-up with reading everything, over random files written in every Parquet style.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::{every, files, found, looks, near};
use ebbtide_base::ids::BucketUnit;
use ebbtide_table::spec::{ColumnRole, TableColumn, TableSpec, instant, tags};
use ebbtide_table::testing::arbitrary::array;
use ebbtide_table::testing::{put, root};
use ebbtide_table::{Predicate, StoredSegment, Table};

/// The style in which a file is written.
#[derive(Debug, Clone)]
struct Style {
    compressed: bool,
    dictionary: bool,
    second: bool,
    blooms: bool,
    offsets: bool,
    sorted: bool,
    /// True if all rows are of one person, tenant and time.
    alike: bool,
    statistics: u8,
    truncated: bool,
    /// The numbers of rows of a row group and of a page.
    pages: (usize, usize),
}

/// A row: two people, a tenant, a time, and the seed of the other columns.
type Row = (Option<u8>, Option<u8>, u8, Option<u16>, Option<u16>);

/// A file: its style, its rows, and the columns that it has.
type File = (Style, Vec<Row>, [bool; 5]);

/// The searched rows: people by columns, a tenant, a range of times, and true if rows without a
/// time are in the range.
type Sought = (
    Option<(u8, u8)>,
    Option<u8>,
    Option<(Option<u16>, Option<u16>, bool)>,
);

fn cases() -> impl Strategy<Value = (Vec<File>, Vec<Sought>)> {
    let flags = (any::<[bool; 7]>(), prop::bool::weighted(0.2));
    let style = (flags, 0u8..3, 20usize..200, 5usize..60).prop_map(
        |(flags, statistics, group_rows, page_rows)| {
            let (
                [
                    compressed,
                    dictionary,
                    second,
                    blooms,
                    offsets,
                    sorted,
                    truncated,
                ],
                alike,
            ) = flags;
            let pages = (group_rows, page_rows);
            Style {
                compressed,
                dictionary,
                second,
                blooms,
                offsets,
                sorted,
                alike,
                statistics,
                truncated,
                pages,
            }
        },
    );
    let person = || prop::option::weighted(0.9, 0u8..40);
    let row = (
        person(),
        person(),
        0u8..4,
        prop::option::weighted(0.8, 0u16..500),
        prop::option::weighted(0.9, 0u16..500),
    );
    let has = prop::array::uniform5(prop::bool::weighted(0.85));
    let file = (style, prop::collection::vec(row, 1..400), has);
    let range = (
        prop::option::of(0u16..500),
        prop::option::of(0u16..500),
        any::<bool>(),
    );
    let sought = (
        prop::option::weighted(0.9, (0u8..44, 1u8..4)),
        prop::option::weighted(0.3, 0u8..5),
        prop::option::weighted(0.4, range),
    );
    (
        prop::collection::vec(file, 1..5),
        prop::collection::vec(sought, 1..5),
    )
}

fn spec() -> Arc<TableSpec> {
    let phone = || ColumnRole::Personal("phone_number".parse().unwrap());
    let column = |name: &str, data_type: DataType, role: ColumnRole| {
        let name = name.to_owned();
        TableColumn {
            name,
            data_type,
            role,
            doc: None,
            bloom: false,
        }
    };
    let mut columns = vec![
        column("caller", DataType::Utf8, phone()),
        column("callee", DataType::Utf8, phone()),
        column("tenant", DataType::Utf8, ColumnRole::Plain),
        column("at", instant(), phone()),
        column(
            "media",
            array(10, &[]).data_type().clone(),
            ColumnRole::Plain,
        ),
    ];
    columns.extend(tags(
        &["phone_number".parse().unwrap()].into(),
        BucketUnit::Day,
    ));
    Arc::new(TableSpec {
        product: "sms".parse().unwrap(),
        unit: BucketUnit::Day,
        columns,
        forms: None,
    })
}

/// Returns a person's text. Some are long, so that their bounds are truncated, and differ only at
/// their ends.
fn person(number: u8) -> String {
    match number % 4 {
        0 => format!("{}{number:03}", "4915".repeat(20)),
        1 => format!("ann-{number}@example.org"),
        _ => format!("316{:08}", u32::from(number) * 7919),
    }
}

fn time(number: u16) -> i64 {
    1_790_000_000_000_000 + i64::from(number) * 1_000_001
}

fn batch(number: usize, file: &File) -> RecordBatch {
    let (style, rows, has) = file;
    let mut rows = rows.clone();
    if style.sorted {
        rows.sort();
    }
    if style.alike {
        let first = rows[0];
        rows.iter_mut()
            .for_each(|row| *row = (first.0, row.1, first.2, first.3, row.4));
    }
    let texts = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(of)))
    };
    let at = TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.3.map(time)))
        .with_timezone("UTC");
    let seeds: Vec<Option<u16>> = rows.iter().map(|row| row.4).collect();
    let first = i64::try_from(number * 1000).unwrap();
    let offsets = Int64Array::from_iter_values(first..first + i64::try_from(rows.len()).unwrap());
    let columns: [(&str, ArrayRef); 5] = [
        ("caller", texts(&|row| row.0.map(person))),
        ("callee", texts(&|row| row.1.map(person))),
        ("tenant", texts(&|row| Some(format!("customer-{}", row.2)))),
        ("at", Arc::new(at)),
        ("media", array(10, &seeds)),
    ];
    let some = columns
        .into_iter()
        .zip(has)
        .filter(|(_, has)| **has)
        .map(|(column, _)| column);
    let with_offset = some.chain([("source_offset", Arc::new(offsets) as ArrayRef)]);
    RecordBatch::try_from_iter_with_nullable(with_offset.map(|(name, column)| (name, column, true)))
        .unwrap()
}

fn written(style: &Style, rows: &RecordBatch) -> Vec<u8> {
    let level = ZstdLevel::try_new(1).unwrap();
    let compression = if style.compressed {
        Compression::ZSTD(level)
    } else {
        Compression::UNCOMPRESSED
    };
    let statistics = [
        EnabledStatistics::None,
        EnabledStatistics::Chunk,
        EnabledStatistics::Page,
    ];
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_dictionary_enabled(style.dictionary)
        .set_writer_version(if style.second {
            WriterVersion::PARQUET_2_0
        } else {
            WriterVersion::PARQUET_1_0
        })
        .set_statistics_enabled(statistics[usize::from(style.statistics)])
        .set_statistics_truncate_length(style.truncated.then_some(5))
        .set_column_index_truncate_length(style.truncated.then_some(5))
        .set_offset_index_disabled(!style.offsets && style.statistics < 2)
        .set_bloom_filter_enabled(style.blooms)
        .set_max_row_group_row_count(Some(style.pages.0))
        .set_data_page_row_count_limit(style.pages.1)
        .set_write_batch_size(8)
        .set_coerce_types(true)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap()
}

fn is(column: &str, value: String) -> Predicate {
    let column = column.to_owned();
    Predicate::Is { column, value }
}

fn predicate((subject, tenant, range): &Sought) -> Predicate {
    let mut all = Vec::new();
    if let Some((number, columns)) = subject {
        let named = ["caller", "callee"]
            .into_iter()
            .enumerate()
            .filter(|(at, _)| columns & (1 << at) != 0);
        all.push(Predicate::Any(
            named.map(|(_, name)| is(name, person(*number))).collect(),
        ));
    }
    if let Some(tenant) = tenant {
        all.push(is("tenant", format!("customer-{tenant}")));
    }
    if let Some((from, to, nulls)) = range {
        let column = "at".to_owned();
        let mut any = vec![Predicate::Between {
            column: column.clone(),
            from: from.map(|from| moment(time(from))),
            to: to.map(|to| moment(time(to))),
        }];
        any.extend(nulls.then_some(Predicate::Null { column }));
        all.push(Predicate::Any(any));
    }
    Predicate::All(all)
}

fn moment(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

/// Returns true if a row matches, evaluated one row at a time.
fn matches(rows: &RecordBatch, row: usize, (subject, tenant, range): &Sought) -> bool {
    let text = |column: &str| {
        let texts = rows.column_by_name(column).unwrap().as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let subject = subject.is_none_or(|(number, columns)| {
        let is =
            |at: u8, column: &str| columns & (1 << at) != 0 && text(column) == Some(person(number));
        is(0, "caller") || is(1, "callee")
    });
    let tenant = tenant.is_none_or(|tenant| text("tenant") == Some(format!("customer-{tenant}")));
    let range = range.is_none_or(|(from, to, nulls)| {
        let at = rows
            .column_by_name("at")
            .unwrap()
            .as_primitive::<TimestampMicrosecondType>();
        if at.is_null(row) {
            return nulls;
        }
        from.is_none_or(|from| time(from) <= at.value(row))
            && to.is_none_or(|to| at.value(row) < time(to))
    });
    subject && tenant && range
}

/// Returns all rows of the segments, from the reader that reads everything.
async fn everything(table: &Table, segments: &[StoredSegment], columns: &SchemaRef) -> RecordBatch {
    let names: Vec<&str> = columns
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let mut rows = table.read_columns(segments, &names, None).unwrap();
    let mut all = Vec::new();
    while let Some(some) = rows.next().await {
        all.push(some.unwrap().rows);
    }
    concat_batches(columns, &all).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn lookup_finds_the_same_rows_as_a_full_scan(case in cases(), memory in prop::sample::select(vec![0, 20_000, 1 << 24]), local in any::<bool>()) {
        let (written_files, sought) = case;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (_folder, root) = root();
        runtime.block_on(async {
            let table = Table::open(&root, spec()).await.unwrap();
            let segments: Vec<StoredSegment> = written_files
                .iter()
                .enumerate()
                .map(|(number, file)| {
                    let rows = batch(number, file);
                    put(&root, number, &rows, &written(&file.0, &rows))
                })
                .collect();
            // The partition columns are not in the files.
            let all = table.spec().arrow();
            let stored: Vec<usize> = (0..all.fields().len() - 2).collect();
            let columns = Arc::new(all.project(&stored).unwrap());
            let everything = everything(&table, &segments, &columns).await;
            let files = if local { near(&root, memory) } else { files(&root, memory).0 };
            // Run all concurrently, and each again when the footers are known.
            let mut answers = BTreeMap::new();
            for round in 0..2 {
                let asked = sought.iter().enumerate().map(|(number, sought)| {
                    let looks = looks(&segments, &predicate(sought));
                    let (files, columns, root) = (files.clone(), Arc::clone(&columns), root.clone());
                    tokio::spawn(async move { (number, found(&root, &files, looks, columns).await.unwrap()) })
                });
                for asked in asked.collect::<Vec<_>>() {
                    let (number, rows) = asked.await.unwrap();
                    answers.insert((round, number), concat_batches(&columns, &rows).unwrap());
                }
            }
            for ((_, number), rows) in &answers {
                let chosen: BooleanArray =
                    (0..everything.num_rows()).map(|row| Some(matches(&everything, row, &sought[*number]))).collect();
                let expected = filter_record_batch(&everything, &chosen).unwrap();
                assert_eq!(rows, &expected, "{:?}", sought[*number]);
            }
            // Read also with the partition columns, in another order.
            let mut order: Vec<usize> = (0..all.fields().len()).collect();
            order.reverse();
            let turned = Arc::new(all.project(&order).unwrap());
            let rows = found(&root, &files, looks(&segments, &every()), turned.clone()).await.unwrap();
            let rows = concat_batches(&turned, &rows).unwrap();
            assert_eq!(rows.num_rows(), everything.num_rows());
            let bucket = rows.column_by_name("bucket").unwrap();
            assert_eq!(arrow::util::display::array_value_to_string(bucket, 0).unwrap(), "2026-09-21");
            let back: Vec<usize> = stored.iter().map(|at| all.fields().len() - 1 - at).collect();
            let numbers = arrow::array::UInt64Array::from_iter_values(0..rows.num_rows() as u64);
            assert_eq!(take_record_batch(&rows.project(&back).unwrap(), &numbers).unwrap(), everything);
        });
    }
}
