//! The `add` actions of a checkpoint's batch.
//!
//! Memory is bounded by one row: each action is passed on before the next is created.

use arrow::array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;

use crate::log::entry::digest;
use crate::log::{AddedFile, XXH64};

/// Passes each `add` action of the batch to `give`. Skips columns and values that a checkpoint must
/// have and that are missing.
pub fn take(batch: &RecordBatch, give: &mut dyn FnMut(&AddedFile)) {
    let Some(adds) = batch
        .column_by_name("add")
        .and_then(|column| column.as_struct_opt())
    else {
        return;
    };
    let text = |name: &str| {
        adds.column_by_name(name)
            .and_then(|column| column.as_string_opt::<i32>())
    };
    let Some(paths) = text("path") else { return };
    let stats = text("stats");
    let sizes = adds
        .column_by_name("size")
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    let partitions = adds
        .column_by_name("partitionValues")
        .and_then(|column: &ArrayRef| column.as_map_opt());
    let tags = adds
        .column_by_name("tags")
        .and_then(|column: &ArrayRef| column.as_map_opt());
    for row in (0..adds.len()).filter(|row| adds.is_valid(*row) && paths.is_valid(*row)) {
        let size = sizes
            .filter(|sizes| sizes.is_valid(row))
            .map_or(0, |sizes| sizes.value(row));
        give(&AddedFile {
            path: paths.value(row).to_owned(),
            size: u64::try_from(size).unwrap_or(0),
            partition_values: partitions
                .map(|partitions| pairs(partitions, row))
                .unwrap_or_default(),
            stats: stats.and_then(|stats| value(stats, row)),
            data_change: false,
            xxh64: tags
                .map(|tags| pairs(tags, row))
                .and_then(|tags| digest(tag(&tags)?)),
        });
    }
}

/// Returns the value of the tag that holds a file's digest.
fn tag(tags: &[(String, Option<String>)]) -> Option<&str> {
    tags.iter().find(|(key, _)| key == XXH64)?.1.as_deref()
}

/// Returns the key-value pairs of one row of a map of texts.
fn pairs(map: &MapArray, row: usize) -> Vec<(String, Option<String>)> {
    let entries = map.value(row);
    let texts = |column: usize| entries.column(column).as_string_opt::<i32>();
    let (Some(keys), Some(values)) = (texts(0), texts(1)) else {
        return Vec::new();
    };
    (0..keys.len())
        .map(|at| (keys.value(at).to_owned(), value(values, at)))
        .collect()
}

fn value(texts: &StringArray, row: usize) -> Option<String> {
    texts.is_valid(row).then(|| texts.value(row).to_owned())
}
