//! Columns of every type that tables have, with random values.

use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::{DataType, Field};
use parquet::data_type::AsBytes;
use proptest::prelude::*;

/// Returns a column of the type `kind`, with one value for each of `seeds`.
pub fn array(kind: u8, seeds: &[Option<u16>]) -> ArrayRef {
    let text = |seed: u16| format!("{}{}", "x".repeat(usize::from(seed % 40)), seed % 97);
    let distinct = |seed: u16| format!("{:x}", u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    match kind {
        0 => Arc::new(StringArray::from_iter(
            seeds.iter().map(|seed| seed.map(text)),
        )),
        1 => Arc::new(Int32Array::from_iter(
            seeds.iter().map(|seed| seed.map(|s| i32::from(s) - 9000)),
        )),
        2 => Arc::new(Int64Array::from_iter(
            seeds.iter().map(|seed| seed.map(|s| i64::from(s) << 40)),
        )),
        3 => Arc::new(Float64Array::from_iter(
            seeds.iter().map(|seed| seed.map(|s| f64::from(s) / 7.0)),
        )),
        4 => Arc::new(BooleanArray::from_iter(
            seeds.iter().map(|seed| seed.map(|s| s % 2 == 0)),
        )),
        5 => Arc::new(BinaryArray::from_iter(
            seeds.iter().map(|seed| seed.map(|s| s.as_bytes().to_vec())),
        )),
        6 => Arc::new(Date32Array::from_iter(
            seeds.iter().map(|seed| seed.map(i32::from)),
        )),
        7 => Arc::new(
            TimestampMicrosecondArray::from_iter(
                seeds
                    .iter()
                    .map(|seed| seed.map(|s| i64::from(s) * 1_000_003)),
            )
            .with_timezone("UTC"),
        ),
        8 => Arc::new(
            Decimal128Array::from_iter(seeds.iter().map(|seed| seed.map(i128::from)))
                .with_precision_and_scale(20, 4)
                .unwrap(),
        ),
        9 => Arc::new(Float32Array::from_iter(
            seeds.iter().map(|seed| seed.map(|s| f32::from(s) * 0.5)),
        )),
        10 => {
            let mut list = ListBuilder::new(StringBuilder::new());
            for seed in seeds {
                for part in 0..seed.unwrap_or(0) % 4 {
                    list.values()
                        .append_option((part != 2).then(|| text(part + seed.unwrap_or(0))));
                }
                list.append(seed.is_some());
            }
            Arc::new(list.finish())
        }
        11 => {
            let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
            for seed in seeds {
                for part in 0..seed.unwrap_or(0) % 3 {
                    map.keys().append_value(format!("k{part}"));
                    map.values()
                        .append_option((part != 1).then(|| i64::from(part)));
                }
                map.append(seed.is_some()).unwrap();
            }
            Arc::new(map.finish())
        }
        // Text that differs for different seeds, and a nested column of such text.
        12 => Arc::new(StringArray::from_iter(
            seeds.iter().map(|seed| seed.map(distinct)),
        )),
        _ => {
            let mut list = ListBuilder::new(StringBuilder::new());
            for seed in seeds {
                (0..seed.unwrap_or(0) % 3).for_each(|part| {
                    list.values()
                        .append_value(distinct(seed.unwrap_or(0) + part))
                });
                list.append(seed.is_some_and(|seed| seed % 5 > 0));
            }
            let texts: ArrayRef = Arc::new(StringArray::from_iter(
                seeds.iter().map(|seed| seed.map(distinct)),
            ));
            let fields = vec![
                Field::new("text", DataType::Utf8, true),
                Field::new_list("parts", Field::new("item", DataType::Utf8, true), true),
            ];
            let valid = seeds
                .iter()
                .map(|seed| seed.is_some_and(|seed| seed % 7 > 0))
                .collect::<Vec<_>>();
            Arc::new(StructArray::new(
                fields.into(),
                vec![texts, Arc::new(list.finish())],
                Some(valid.into()),
            ))
        }
    }
}

/// Columns: kind, true if not personal, and the seeds of its values.
pub type RandomColumns = Vec<(u8, bool, Vec<Option<u16>>)>;

/// Generates columns of one length, and some of the numbers of their rows.
pub fn columns() -> impl Strategy<Value = (RandomColumns, Vec<usize>)> {
    (1usize..400).prop_flat_map(|rows| {
        let seeds = prop::collection::vec(prop::option::weighted(0.9, 0u16..2000), rows);
        let cuts = prop::collection::vec(0..=rows, 0..5);
        (
            prop::collection::vec((0u8..12, any::<bool>(), seeds), 1..6),
            cuts,
        )
    })
}
