//! The pruner compared with evaluating every row, over random files in every Parquet style and with
//! footers as other engines write them.

mod bounds;
mod reads;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use bytes::Bytes;
use chrono::DateTime;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::data_type::ByteArray;
use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, ParquetMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use proptest::prelude::*;

use super::{BloomPlaces, FilePruner, Predicate, ScannedFile, TextBounds};
use ebbtide_policy::tag::{FormsMark, NamedSubject, SubjectValue};
use ebbtide_policy::{Policy, Records, SchemaSource, SubjectColumn, SubjectKind, parse};

/// The footer that the pruner gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Footer {
    /// As it was written.
    Written,
    /// The lengths of bloom filters are missing.
    NoBloomLengths,
    /// The lengths of bloom filters are wrong.
    WrongBloomLengths,
    /// The places of bloom filters are wrong.
    WrongBloomPlaces,
    /// The order of the bounds is not defined, and they are those of signed bytes.
    SignedWithoutOrder,
    /// The bounds are those of signed bytes although the order is defined: a splice copied them.
    SignedWithOrder,
    /// The bounds are those of an old writer, which compared signed bytes.
    SignedDeprecated,
    /// The numbers of nulls are missing.
    NoNullCounts,
    /// Only the lower bounds are known.
    OnlyLeast,
}

#[derive(Debug, Clone)]
struct Style {
    dictionary: bool,
    blooms: bool,
    statistics: EnabledStatistics,
    truncated: bool,
    group_rows: usize,
    /// For each column: false if the file lacks it.
    has: [bool; 3],
    /// For each column: true if it has no value.
    empty: [bool; 3],
    /// True if subjects are in today's canonical form.
    own_forms: bool,
    footer: Footer,
}

type Row = (Option<u8>, Option<u8>, Option<u8>);

struct Shipped;

impl SchemaSource for Shipped {
    fn load(&self, path: &str) -> Result<String, String> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        std::fs::read_to_string(config.join(path)).map_err(|error| error.to_string())
    }
}

fn policy() -> Policy {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/policy.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    parse("policy.yaml", &text, &Shipped).policy.unwrap()
}

fn records() -> Records {
    let mut products = policy().products.into_values();
    products.find_map(|product| product.records).unwrap()
}

fn styles() -> impl Strategy<Value = Style> {
    let footer = prop::sample::select(vec![
        Footer::Written,
        Footer::Written,
        Footer::NoBloomLengths,
        Footer::WrongBloomLengths,
        Footer::WrongBloomPlaces,
        Footer::SignedWithoutOrder,
        Footer::SignedWithOrder,
        Footer::SignedDeprecated,
        Footer::NoNullCounts,
        Footer::OnlyLeast,
    ]);
    let statistics = prop::sample::select(vec![
        EnabledStatistics::None,
        EnabledStatistics::Chunk,
        EnabledStatistics::Page,
    ]);
    let columns = |weight| prop::array::uniform3(prop::bool::weighted(weight));
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.8),
        any::<bool>(),
        any::<bool>(),
    );
    (
        flags,
        statistics,
        3usize..60,
        columns(0.9),
        columns(0.1),
        footer,
    )
        .prop_map(|(flags, statistics, group_rows, has, empty, footer)| {
            let (dictionary, blooms, truncated, own_forms) = flags;
            Style {
                dictionary,
                blooms,
                statistics,
                truncated,
                group_rows,
                has,
                empty,
                own_forms,
                footer,
            }
        })
}

/// Returns a person's text. Some differ only at their ends, so that truncated bounds are equal, and
/// some have bytes that are negative as signed numbers.
fn person(number: u8) -> String {
    match number % 4 {
        0 => format!("{}{number:03}", "4915".repeat(20)),
        1 => format!("ä{number}@example.org"),
        _ => format!("316{:08}", u32::from(number) * 7919),
    }
}

fn time(number: u8) -> i64 {
    1_790_000_000_000_000 + i64::from(number) * 1_000_001
}

fn batch(style: &Style, rows: &[Row]) -> RecordBatch {
    let texts = |of: &dyn Fn(&Row) -> Option<u8>| -> ArrayRef {
        let text = |row: &Row| {
            let number = of(row)?;
            // An earlier form has the number as it was dialled.
            let text = person(number);
            Some(match number % 3 {
                0 if !style.own_forms && text.starts_with("316") => format!("+{text}"),
                _ => text,
            })
        };
        Arc::new(StringArray::from_iter(rows.iter().map(text)))
    };
    let at = |row: &Row| row.2.filter(|_| !style.empty[2]).map(time);
    let at = TimestampMicrosecondArray::from_iter(rows.iter().map(at)).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 3] = [
        ("caller", texts(&|row| row.0.filter(|_| !style.empty[0]))),
        ("callee", texts(&|row| row.1.filter(|_| !style.empty[1]))),
        ("at", Arc::new(at)),
    ];
    let has = columns.into_iter().zip(style.has).filter(|(_, has)| *has);
    let numbers = rows
        .iter()
        .map(|row| row.2.map(|number| i64::from(number) - 100));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter(numbers));
    let columns = has.map(|(column, _)| column).chain([("number", numbers)]);
    let columns = columns.map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn written(style: &Style, rows: &RecordBatch) -> Bytes {
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(style.dictionary)
        .set_statistics_enabled(style.statistics)
        .set_statistics_truncate_length(style.truncated.then_some(5))
        .set_bloom_filter_enabled(style.blooms)
        .set_max_row_group_row_count(Some(style.group_rows))
        .set_coerce_types(true)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.into_inner().unwrap().into()
}

/// Returns the bounds of a chunk of texts as other engines write them.
fn foreign(footer: Footer, of: &Statistics, texts: &StringArray) -> Statistics {
    let nulls = of.null_count_opt();
    let signed = |text: &&str| text.bytes().map(u8::cast_signed).collect::<Vec<i8>>();
    let bytes = |text: Option<&str>| text.map(ByteArray::from);
    let values = || texts.iter().flatten();
    let (signed_least, signed_most) = (
        bytes(values().min_by_key(signed)),
        bytes(values().max_by_key(signed)),
    );
    let (least, most) = (bytes(values().min()), bytes(values().max()));
    match footer {
        Footer::SignedWithoutOrder | Footer::SignedWithOrder => {
            Statistics::byte_array(signed_least, signed_most, None, nulls, false)
        }
        Footer::SignedDeprecated => {
            Statistics::byte_array(signed_least, signed_most, None, nulls, true)
        }
        Footer::NoNullCounts => Statistics::byte_array(least, most, None, None, false),
        Footer::OnlyLeast => Statistics::byte_array(least, None, None, nulls, false),
        _ => of.clone(),
    }
}

fn changed(footer: Footer, chunk: &ColumnChunkMetaData, rows: &RecordBatch) -> ColumnChunkMetaData {
    let texts = rows
        .column_by_name(chunk.column_descr().name())
        .and_then(|column| column.as_any().downcast_ref::<StringArray>());
    let statistics = match (chunk.statistics(), texts) {
        (Some(of), Some(texts)) => Some(foreign(footer, of, texts)),
        (Some(Statistics::Int64(of)), None) if footer == Footer::NoNullCounts => {
            let (least, most) = (of.min_opt().copied(), of.max_opt().copied());
            Some(Statistics::int64(least, most, None, None, false))
        }
        (of, _) => of.cloned(),
    };
    let (place, length) = (chunk.bloom_filter_offset(), chunk.bloom_filter_length());
    let mut builder = chunk.clone().into_builder();
    builder = match footer {
        Footer::NoBloomLengths => builder.set_bloom_filter_length(None),
        Footer::WrongBloomLengths => {
            builder.set_bloom_filter_length(length.map(|length| length + 64))
        }
        Footer::WrongBloomPlaces => builder.set_bloom_filter_offset(place.map(|place| place + 1)),
        _ => builder,
    };
    builder = match statistics {
        Some(statistics) => builder.set_statistics(statistics),
        None => builder,
    };
    builder.build().unwrap()
}

/// Returns the metadata of a file with that footer.
fn metadata(footer: Footer, file: &Bytes, groups: &[RecordBatch]) -> ArrowReaderMetadata {
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let read = ArrowReaderMetadata::load(file, options()).unwrap();
    let of = read.metadata().file_metadata();
    let orders = of.column_orders().cloned();
    let of = FileMetaData::new(
        of.version(),
        of.num_rows(),
        None,
        None,
        of.schema_descr_ptr(),
        orders.filter(|_| footer != Footer::SignedWithoutOrder),
    );
    let row_groups = read
        .metadata()
        .row_groups()
        .iter()
        .zip(groups)
        .map(|(group, rows)| {
            let chunks = group.columns().iter();
            let chunks = chunks.map(|chunk| changed(footer, chunk, rows)).collect();
            let builder = group.clone().into_builder().set_column_metadata(chunks);
            builder.build().unwrap()
        });
    let metadata = ParquetMetaData::new(of, row_groups.collect());
    ArrowReaderMetadata::try_new(Arc::new(metadata), options()).unwrap()
}

/// Returns the rows of each row group.
fn row_groups(file: &Bytes) -> Vec<RecordBatch> {
    let options = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let read = ArrowReaderMetadata::load(file, options()).unwrap();
    let of_group = |group| {
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file.clone(), read.clone());
        let mut batches = builder
            .with_row_groups(vec![group])
            .with_batch_size(1 << 20)
            .build()
            .unwrap();
        let rows = batches.next().unwrap().unwrap();
        assert!(batches.next().is_none());
        rows
    };
    (0..read.metadata().num_row_groups())
        .map(of_group)
        .collect()
}

/// Returns the rest of the predicate in each row group, and the ranges that each step read.
fn pruned(
    bytes: &Bytes,
    file: ScannedFile<'_>,
    predicate: &Predicate,
) -> (Vec<Option<Predicate>>, Vec<Vec<Range<u64>>>) {
    let mut pruner = FilePruner::new(file, predicate);
    let mut steps = Vec::new();
    for _ in 0..=3 * file.metadata.metadata().num_row_groups() {
        let ranges = pruner.ranges();
        if ranges.is_empty() {
            return (pruner.finish(), steps);
        }
        let at = |at: u64| usize::try_from(at).unwrap();
        let read = ranges
            .iter()
            .map(|range| bytes.slice(at(range.start)..at(range.end)));
        pruner.answer(read.collect());
        steps.push(ranges);
    }
    panic!("the search does not end");
}

fn predicates() -> impl Strategy<Value = Predicate> {
    let column = || prop::sample::select(vec!["caller", "callee", "missing"]);
    let is = (column(), 0u8..44).prop_map(|(column, number)| Predicate::Is {
        column: column.to_owned(),
        value: person(number),
    });
    let records = records();
    let names = (column(), 0u8..44).prop_map(move |(column, number)| {
        let of = SubjectColumn {
            column: column.to_owned(),
            kind: SubjectKind::Phone,
        };
        let text = &person(number);
        Predicate::Names {
            column: column.to_owned(),
            subject: SubjectValue::new(
                &records,
                &of,
                NamedSubject {
                    text,
                    as_dialled: false,
                },
            ),
        }
    });
    let instant = || prop::option::of(any::<u8>());
    let between = (instant(), instant()).prop_map(|(from, to)| {
        let at = |number: Option<u8>| {
            number.map(|number| DateTime::from_timestamp_micros(time(number)).unwrap())
        };
        Predicate::Between {
            column: "at".to_owned(),
            from: at(from),
            to: at(to),
        }
    });
    let nullable = prop::sample::select(vec!["caller", "at", "missing"]);
    let null = nullable.prop_map(|column| Predicate::Null {
        column: column.to_owned(),
    });
    let of_any_type = prop::sample::select(vec!["caller", "number", "at", "missing"]);
    let shows = (of_any_type, any::<u8>()).prop_map(|(column, number)| Predicate::Shows {
        column: column.to_owned(),
        value: match (column, number % 8) {
            ("caller", _) => person(number % 44),
            (_, 0) => format!("+{number}"),
            _ => (i64::from(number) - 100).to_string(),
        },
    });
    prop_oneof![4 => is, 3 => names, 2 => between, 2 => shows, 1 => null].prop_recursive(
        3,
        12,
        4,
        |inner| {
            let parts = prop::collection::vec(inner, 0..4);
            prop_oneof![
                parts.clone().prop_map(Predicate::All),
                parts.prop_map(Predicate::Any)
            ]
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_matching_row_is_pruned(
        style in styles(),
        rows in prop::collection::vec(
            (prop::option::weighted(0.9, 0u8..40), prop::option::weighted(0.7, 0u8..40), prop::option::weighted(0.8, any::<u8>())),
            1..200,
        ),
        asked in prop::collection::vec(predicates(), 1..8),
    ) {
        let file = written(&style, &batch(&style, &rows));
        let groups = row_groups(&file);
        let metadata = metadata(style.footer, &file, &groups);
        let blooms = BloomPlaces::default();
        let scanned = ScannedFile {
            metadata: &metadata,
            size: file.len() as u64,
            forms: style.own_forms.then(|| FormsMark::of(&records())),
            blooms: &blooms,
            text_bounds: match style.footer {
                Footer::SignedWithOrder => TextBounds::Ignored,
                _ => TextBounds::Ordered,
            },
        };
        for predicate in &asked {
            // The second time, the places of the bloom filters are known.
            for _ in 0..2 {
                let (rest, _) = pruned(&file, scanned, predicate);
                prop_assert_eq!(rest.len(), groups.len());
                for (rest, rows) in rest.iter().zip(&groups) {
                    let rest = rest.clone().unwrap_or(Predicate::Any(Vec::new()));
                    let (found, expected) = (rest.evaluate(rows).unwrap(), predicate.evaluate(rows).unwrap());
                    prop_assert_eq!(found, expected.clone(), "{:?} left of {:?}", &rest, predicate);
                    let in_forms = predicate.in_forms(scanned.forms).evaluate(rows).unwrap();
                    prop_assert_eq!(in_forms, expected);
                }
            }
        }
    }
}

#[test]
fn value_that_cannot_be_written_as_text_hides_no_other_row() {
    let noon = DateTime::parse_from_rfc3339("2027-01-01T12:00:00Z").unwrap();
    // An open end, as some producers write it, is after the last year of the calendar.
    let instants = TimestampMicrosecondArray::from(vec![
        Some(i64::MAX),
        Some(noon.timestamp_micros()),
        None,
        Some(i64::MIN),
    ]);
    let instants: ArrayRef = Arc::new(instants);
    let rows = RecordBatch::try_from_iter([("valid_until", instants)]).unwrap();
    let shows = Predicate::Shows {
        column: "valid_until".to_owned(),
        value: "2027-01-01T12:00:00".to_owned(),
    };
    let found: Vec<bool> = shows.evaluate(&rows).unwrap().iter().collect();
    assert_eq!(found, [false, true, false, false]);
}
