//! Splice and merge of random schemas, encodings and sets of categories: kept values are equal, no
//! byte of dropped ones is left.

mod merge;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::DataType;
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{categories, holds, read, texts};
use crate::spec::{ColumnRole, TableColumn, TableSpec, tags};
use crate::testing::arbitrary::array;
use crate::testing::{noon, put, root};
use crate::{StoredSegment, Table};
use ebbtide_base::ids::BucketUnit;

/// The style in which a file is written.
#[derive(Debug, Clone)]
struct Style {
    compressed: bool,
    dictionary: bool,
    second: bool,
    indexed: bool,
    blooms: bool,
    group_rows: usize,
    page_bytes: usize,
}

/// One file: its style, the seeds of its rows, and for each column whether it has it.
type File = (Style, Vec<Option<u16>>, Vec<bool>);

/// The kind and the category of each column, and the files.
type Case = (Vec<(u8, u8)>, Vec<File>);

fn cases() -> impl Strategy<Value = Case> {
    let style = (any::<[bool; 5]>(), 20usize..200, 64usize..2048).prop_map(
        |(flags, group_rows, page_bytes)| {
            let [compressed, dictionary, second, indexed, blooms] = flags;
            Style {
                compressed,
                dictionary,
                second,
                indexed,
                blooms,
                group_rows,
                page_bytes,
            }
        },
    );
    prop::collection::vec((0u8..14, 0u8..3), 1..7).prop_flat_map(move |columns| {
        let seeds = prop::collection::vec(prop::option::weighted(0.9, 0u16..2000), 1..300);
        let file = (
            style.clone(),
            seeds,
            prop::collection::vec(prop::bool::weighted(0.8), columns.len()),
        );
        (Just(columns), prop::collection::vec(file, 1..4))
    })
}

fn name(number: usize) -> String {
    format!("column_number_{number}")
}

/// Returns the column's values: no two columns share a value, if their kind allows it.
fn values(number: usize, kind: u8, seeds: &[Option<u16>]) -> ArrayRef {
    let salt = u16::try_from(number).unwrap() * 2000;
    array(
        kind,
        &seeds
            .iter()
            .map(|seed| seed.map(|seed| seed + salt))
            .collect::<Vec<_>>(),
    )
}

fn spec(columns: &[(u8, u8)]) -> Arc<TableSpec> {
    let of = |category: u8| match category {
        0 => ColumnRole::Plain,
        1 => ColumnRole::Personal("going".parse().unwrap()),
        _ => ColumnRole::Personal("staying".parse().unwrap()),
    };
    let mut all: Vec<TableColumn> = columns
        .iter()
        .enumerate()
        .map(|(number, (kind, category))| TableColumn {
            name: name(number),
            data_type: values(number, *kind, &[]).data_type().clone(),
            role: of(*category),
            doc: None,
            bloom: false,
        })
        .collect();
    all.extend(tags(&categories(&["going", "staying"]), BucketUnit::Day));
    Arc::new(TableSpec {
        product: "sms".parse().unwrap(),
        unit: BucketUnit::Day,
        columns: all,
        forms: None,
    })
}

/// Returns the rows of a file, and the file itself.
fn written(columns: &[(u8, u8)], (style, seeds, has): &File) -> (RecordBatch, Vec<u8>) {
    let instant = |value: i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(vec![value; seeds.len()]).with_timezone("UTC"))
    };
    let brought = columns
        .iter()
        .enumerate()
        .filter(|(number, _)| has[*number]);
    let mut all: Vec<(String, ArrayRef)> = brought
        .map(|(number, (kind, _))| (name(number), values(number, *kind, seeds)))
        .collect();
    all.extend([
        (
            "expires_going".to_owned(),
            instant(noon().timestamp_micros()),
        ),
        (
            "expires_staying".to_owned(),
            instant(noon().timestamp_micros() + 1),
        ),
        (
            "records".to_owned(),
            Arc::new(Int64Array::from(vec![1; seeds.len()])) as ArrayRef,
        ),
    ]);
    let rows = RecordBatch::try_from_iter_with_nullable(all.into_iter().map(|(n, c)| (n, c, true)))
        .unwrap();
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(if style.compressed {
            zstd
        } else {
            Compression::UNCOMPRESSED
        })
        .set_dictionary_enabled(style.dictionary)
        .set_writer_version(if style.second {
            WriterVersion::PARQUET_2_0
        } else {
            WriterVersion::PARQUET_1_0
        })
        .set_statistics_enabled(if style.indexed {
            EnabledStatistics::Page
        } else {
            EnabledStatistics::None
        })
        .set_offset_index_disabled(!style.indexed)
        .set_bloom_filter_enabled(style.blooms)
        .set_max_row_group_row_count(Some(style.group_rows))
        .set_data_page_size_limit(style.page_bytes)
        .set_write_batch_size(16)
        .set_coerce_types(true)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: true,
        }]))
        .set_key_value_metadata(Some(vec![KeyValue::new(
            "note".to_owned(),
            "a note of the old file".to_owned(),
        )]))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    (rows, writer.into_inner().unwrap())
}

const WINDOW: usize = 16;

/// Returns every sequence of [`WINDOW`] bytes that is unlikely to occur by chance.
fn windows(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .windows(WINDOW)
        .filter(|window| window.iter().collect::<HashSet<_>>().len() >= WINDOW / 2)
}

/// Returns the bytes of a file's chunks, bloom filters and column indexes: of the dropped columns,
/// and of the kept ones.
fn parts<'a>(
    file: &'a [u8],
    metadata: &ParquetMetaData,
    dropped: &BTreeSet<String>,
) -> [Vec<&'a [u8]>; 2] {
    let mut parts = [Vec::new(), Vec::new()];
    for chunk in metadata
        .row_groups()
        .iter()
        .flat_map(|group| group.columns())
    {
        let of = &mut parts[usize::from(!dropped.contains(&chunk.column_path().parts()[0]))];
        let (start, length) = chunk.byte_range();
        let mut take = |start: u64, length: u64| {
            of.push(
                &file[usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap()],
            );
        };
        take(start, length);
        if let Some((start, length)) = chunk.bloom_filter_offset().zip(chunk.bloom_filter_length())
        {
            take(start as u64, length as u64);
        }
        if let Some((start, length)) = chunk.column_index_offset().zip(chunk.column_index_length())
        {
            take(start as u64, length as u64);
        }
    }
    parts
}

/// Returns a sequence of bytes in `new` that belongs to a dropped column and to no kept one.
fn left<'a>(
    new: &[u8],
    old: impl Iterator<Item = &'a [u8]>,
    dropped: &BTreeSet<String>,
) -> Option<&'a [u8]> {
    let new: HashSet<&[u8]> = windows(new).collect();
    let (mut dropped_bytes, mut stayed) = (HashSet::new(), HashSet::new());
    for file in old {
        let metadata = ParquetMetaDataReader::new()
            .parse_and_finish(&bytes::Bytes::copy_from_slice(file))
            .unwrap();
        let [go, stay] = parts(file, &metadata, dropped);
        dropped_bytes.extend(go.into_iter().flat_map(windows));
        stayed.extend(stay.into_iter().flat_map(windows));
    }
    dropped_bytes
        .into_iter()
        .find(|window| new.contains(window) && !stayed.contains(window))
}

/// Writes the case's files, splices them, and checks the result.
fn check((columns, files): &Case) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (_folder, root) = root();
    let table = runtime.block_on(Table::open(&root, spec(columns))).unwrap();
    let written: Vec<_> = files.iter().map(|file| written(columns, file)).collect();
    let sources: Vec<StoredSegment> = written
        .iter()
        .enumerate()
        .map(|(number, (rows, file))| put(&root, number, rows, file))
        .collect();
    let due = categories(&["going"]);
    let spliced = runtime.block_on(table.splice(&sources, &due)).unwrap();
    prop_assert_eq!(spliced.segments.len(), 1);
    let path = root
        .table_folder(&"sms".parse().unwrap())
        .join(spliced.segments[0].path());
    let new = std::fs::read(path).unwrap();

    let dropped: BTreeSet<String> = (0..columns.len())
        .filter(|number| columns[*number].1 == 1)
        .map(name)
        .chain(["expires_going".to_owned()])
        .collect();
    let found = read(new.clone().into());
    for number in 0..columns.len() {
        if dropped.contains(&name(number)) || !files.iter().any(|(_, _, has)| has[number]) {
            prop_assert!(found.column_by_name(&name(number)).is_none());
            continue;
        }
        let kind: DataType = table
            .spec()
            .column(&name(number))
            .unwrap()
            .data_type
            .clone();
        let of = |(rows, _): &(RecordBatch, Vec<u8>)| match rows.column_by_name(&name(number)) {
            Some(column) => texts(column),
            None => texts(&new_null_array(&kind, rows.num_rows())),
        };
        let expected: Vec<String> = written.iter().flat_map(of).collect();
        prop_assert_eq!(
            texts(found.column_by_name(&name(number)).unwrap()),
            expected,
            "{}",
            name(number)
        );
    }
    for absent in dropped
        .iter()
        .map(String::as_str)
        .chain(["a note of the old file", "ARROW:schema"])
    {
        prop_assert!(
            !holds(&new, absent.as_bytes()),
            "{} is in the footer",
            absent
        );
    }
    let after = ParquetMetaDataReader::new()
        .parse_and_finish(&bytes::Bytes::from(new.clone()))
        .unwrap();
    prop_assert!(
        after
            .row_groups()
            .iter()
            .all(|group| group.sorting_columns().is_none())
    );

    let left = left(
        &new,
        written.iter().map(|(_, file)| file.as_slice()),
        &dropped,
    );
    prop_assert!(left.is_none(), "{:?} of what should be gone", left);
    Ok(())
}

/// Writes the case's files and reads every column with and without dictionaries: the values are
/// equal. Returns the number of arrays that came plain and as dictionaries.
fn read_both(runtime: &Runtime, (columns, files): &Case) -> Result<[usize; 2], TestCaseError> {
    let (_folder, root) = root();
    let table = runtime.block_on(Table::open(&root, spec(columns))).unwrap();
    let sources: Vec<StoredSegment> = (files.iter().enumerate())
        .map(|(number, file)| {
            let (rows, bytes) = written(columns, file);
            put(&root, number, &rows, &bytes)
        })
        .collect();
    let names: Vec<String> = (0..columns.len()).map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut forms = [0, 0];
    let mut collected = |coded: bool| {
        runtime.block_on(async {
            let mut rows = match coded {
                true => table.reader().read_coded(&sources, &names),
                false => table.read_columns(&sources, &names, None),
            }
            .unwrap();
            let mut all = vec![Vec::new(); names.len()];
            while let Some(some) = rows.next().await {
                for (texts_of, column) in all.iter_mut().zip(some.unwrap().rows.columns()) {
                    forms[usize::from(matches!(column.data_type(), DataType::Dictionary(..)))] += 1;
                    texts_of.extend(texts(column));
                }
            }
            all
        })
    };
    let (coded, plain) = (collected(true), collected(false));
    prop_assert_eq!(coded, plain);
    Ok(forms)
}

#[test]
fn a_column_that_is_still_there_is_found_whatever_its_encoding() {
    let seeds: Vec<_> = (0..200)
        .map(|seed| (seed % 9 > 0).then_some(seed))
        .collect();
    for flags in 0..16u8 {
        let on = |bit: u8| flags & (1 << bit) > 0;
        let style = Style {
            compressed: on(0),
            dictionary: on(1),
            second: on(2),
            indexed: false,
            blooms: on(3),
            group_rows: 90,
            page_bytes: 500,
        };
        let (_, file) = written(
            &[(12, 1), (12, 2)],
            &(style, seeds.clone(), vec![true, true]),
        );
        let search = |dropped: &[&str]| {
            left(
                &file,
                [file.as_slice()].into_iter(),
                &dropped.iter().map(|name| (*name).to_owned()).collect(),
            )
        };
        assert!(search(&["column_number_0"]).is_some(), "{flags}");
        assert!(search(&[]).is_none(), "{flags}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_surviving_value_is_equal_and_no_byte_of_a_dropped_column_remains(case in cases()) {
        check(&case)?;
    }

    #[test]
    fn dictionaries_that_are_read_as_they_are_say_the_same(case in cases()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let [_, coded] = read_both(&runtime, &case)?;
        // The values are few enough for every page to use the dictionary.
        let some = case.1.iter().any(|(style, _, has)| style.dictionary && case.0.iter().zip(has).any(|((kind, _), has)| *kind == 0 && *has));
        prop_assert!(coded > 0 || !some);
    }
}
