//! Spliced files, as foreign readers see them: the columns that stay have the same values, whatever
//! wrote the old files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field};
use ebbtide_base::ids::{BucketUnit, Category};
use ebbtide_table::{ColumnRole, Root, StoredSegment, Table, TableColumn, TableSpec};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use ebbtide_testkit::args;
use ebbtide_testkit::python;

/// The number of splices that the readers compare.
const CASES: u64 = 30;

/// Returns a column of the type `kind` with random values.
fn values(kind: usize, rows: usize, random: &mut StdRng) -> ArrayRef {
    let mut some = |most: u32| {
        random
            .random_bool(0.9)
            .then(|| random.random_range(0..most))
    };
    let numbers: Vec<Option<u32>> = (0..rows).map(|_| some(500)).collect();
    let text = |n: u32| format!("text {n} {}", "y".repeat(n as usize % 30));
    match kind {
        0 => Arc::new(StringArray::from_iter(numbers.iter().map(|n| n.map(text)))),
        1 => Arc::new(Int32Array::from_iter(
            numbers.iter().map(|n| n.map(|n| n as i32 - 250)),
        )),
        2 => Arc::new(Int64Array::from_iter(
            numbers.iter().map(|n| n.map(|n| i64::from(n) << 35)),
        )),
        3 => Arc::new(Float64Array::from_iter(
            numbers.iter().map(|n| n.map(|n| f64::from(n) / 3.0)),
        )),
        4 => Arc::new(BooleanArray::from_iter(
            numbers.iter().map(|n| n.map(|n| n % 2 == 0)),
        )),
        5 => {
            let mut list = ListBuilder::new(StringBuilder::new());
            for n in &numbers {
                (0..n.unwrap_or(0) % 4)
                    .for_each(|part| list.values().append_option((part != 2).then(|| text(part))));
                list.append(n.is_some());
            }
            Arc::new(list.finish())
        }
        6 => {
            let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
            for n in &numbers {
                for part in 0..n.unwrap_or(0) % 3 {
                    map.keys().append_value(format!("key {part}"));
                    map.values()
                        .append_option((part != 1).then(|| i64::from(part)));
                }
                map.append(n.is_some()).unwrap();
            }
            Arc::new(map.finish())
        }
        _ => {
            let inner = [values(0, rows, random), values(5, rows, random)];
            let fields = [("text", &inner[0]), ("parts", &inner[1])];
            let fields: Vec<Field> = fields
                .iter()
                .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
                .collect();
            let valid: Vec<bool> = numbers.iter().map(Option::is_some).collect();
            Arc::new(StructArray::new(
                fields.into(),
                inner.to_vec(),
                Some(valid.into()),
            ))
        }
    }
}

fn name(kind: usize) -> String {
    format!("column_{kind}")
}

fn properties(random: &mut StdRng) -> WriterProperties {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).unwrap());
    let indexed = random.random_bool(0.7);
    let second = random.random_bool(0.5);
    WriterProperties::builder()
        .set_compression(if random.random_bool(0.5) {
            zstd
        } else {
            Compression::UNCOMPRESSED
        })
        .set_dictionary_enabled(random.random_bool(0.5))
        .set_writer_version(if second {
            WriterVersion::PARQUET_2_0
        } else {
            WriterVersion::PARQUET_1_0
        })
        .set_statistics_enabled(if indexed {
            EnabledStatistics::Page
        } else {
            EnabledStatistics::Chunk
        })
        .set_offset_index_disabled(!indexed)
        .set_bloom_filter_enabled(random.random_bool(0.5))
        .set_max_row_group_row_count(Some(random.random_range(50..400)))
        .set_data_page_size_limit(random.random_range(100..2000))
        .set_write_batch_size(32)
        .build()
}

/// Returns a table of one column of each kind, with the roles `roles`.
fn spec(roles: &[ColumnRole]) -> Arc<TableSpec> {
    let mut random = StdRng::seed_from_u64(0);
    let column = |name: String, data_type, role| TableColumn {
        name,
        data_type,
        role,
        doc: None,
        bloom: false,
    };
    let typed = roles.iter().enumerate();
    let typed = typed.map(|(kind, role)| {
        (
            kind,
            values(kind, 0, &mut random).data_type().clone(),
            role.clone(),
        )
    });
    let mut columns: Vec<TableColumn> = typed
        .map(|(kind, of, role)| column(name(kind), of, role))
        .collect();
    columns.push(column(
        "records".to_owned(),
        DataType::Int64,
        ColumnRole::Tag,
    ));
    columns.push(column(
        "bucket".to_owned(),
        DataType::Date32,
        ColumnRole::Tag,
    ));
    columns.push(column(
        "profile".to_owned(),
        DataType::Utf8,
        ColumnRole::Tag,
    ));
    Arc::new(TableSpec {
        product: "sms".parse().unwrap(),
        unit: BucketUnit::Day,
        columns,
        forms: None,
    })
}

/// Writes some files to the table's folder, splices them, and leaves old and new in `folder`.
async fn case(number: u64, folder: &Path) {
    let mut random = StdRng::seed_from_u64(number);
    let (going, staying): (Category, Category) =
        ("going".parse().unwrap(), "staying".parse().unwrap());
    let roles: Vec<ColumnRole> = (0..8)
        .map(|_| match random.random_range(0..3) {
            0 => ColumnRole::Plain,
            1 => ColumnRole::Personal(going.clone()),
            _ => ColumnRole::Personal(staying.clone()),
        })
        .collect();
    let root = Root::parse(folder.join("root").to_str().unwrap()).unwrap();
    let spec = spec(&roles);
    let table = Table::open(&root, spec.clone()).await.unwrap();
    let mut sources = Vec::new();
    for file in 0..random.random_range(1..4) {
        let rows = random.random_range(1..1000);
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for kind in 0..roles.len() {
            let column = values(kind, rows, &mut random);
            columns.extend(random.random_bool(0.8).then(|| (name(kind), column)));
        }
        columns.push((
            "records".to_owned(),
            Arc::new(Int64Array::from(vec![1; rows])),
        ));
        let columns = columns
            .into_iter()
            .map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties(&mut random)))
                .unwrap();
        writer.write(&batch).unwrap();
        let bytes = writer.into_inner().unwrap();
        let path = format!("bucket=2026-09-21/profile=0123456789ab/{file}.parquet");
        let at = root
            .local()
            .unwrap()
            .join("tables")
            .join(spec.product.as_str())
            .join(&path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, &bytes).unwrap();
        fs::write(folder.join(format!("before-{file}.parquet")), &bytes).unwrap();
        sources.push(StoredSegment {
            path: path.into(),
            bucket: "2026-09-21".parse().unwrap(),
            profile: "0123456789ab".parse().unwrap(),
            rows: rows as u64,
            records: rows as u64,
            size: bytes.len() as u64,
            deadlines: Arc::default(),
            policy_version: None,
            cells: false,
        });
    }
    let spliced = table
        .splice(&sources, &BTreeSet::from([going.clone()]))
        .await
        .unwrap();
    assert_eq!(spliced.segments.len(), 1);
    fs::copy(
        root.local()
            .unwrap()
            .join("tables")
            .join(spec.product.as_str())
            .join(spliced.segments[0].path()),
        folder.join("after.parquet"),
    )
    .unwrap();
    let dropped: Vec<String> = spec
        .columns
        .iter()
        .filter(|of| of.role == ColumnRole::Personal(going.clone()))
        .map(|of| of.name.clone())
        .collect();
    fs::write(folder.join("gone"), dropped.join("\n")).unwrap();
}

#[test]
fn data_kept_by_a_splice_reads_as_before_in_pyarrow_and_duckdb() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    for number in 0..CASES {
        let folder = folder.path().join(number.to_string());
        fs::create_dir_all(&folder).unwrap();
        runtime.block_on(case(number, &folder));
    }
    let said = python::run("splices.py", args![folder.path().display()]);
    assert_eq!(said, format!("{CASES} splices are as they should be\n"));
}
