mod bounds;
mod cells;
mod memory;
mod merge;
mod random;
mod read;
mod reform;
mod retag;
mod splice;
mod split;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::util::display::array_value_to_string;
use chrono::TimeDelta;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::testing::{batch, noon, rows, spec};
use crate::{
    NewTags, Predicate, Retagging, RewriteError, Root, SegmentIndex, SegmentWriter, StoredSegment,
    Table,
};
use ebbtide_base::ids::{Category, Deadline, ProfileId};

fn categories(names: &[&str]) -> BTreeSet<Category> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Returns a table of `count` segments of 100 rows each.
async fn filled(root: &Root, count: i64) -> (Table, SegmentIndex) {
    let mut table = Table::open(root, spec()).await.unwrap();
    for from in 0..count {
        let work = batch(
            &table,
            0,
            (from > 0).then_some(from * 100),
            from * 100 + 100,
        )
        .await;
        table.commit(work).await.unwrap();
    }
    let index = SegmentIndex::load(&table).await.unwrap();
    (table, index)
}

fn all(index: &SegmentIndex) -> Vec<StoredSegment> {
    index.iter().cloned().collect()
}

fn bytes(root: &Root, path: &str) -> bytes::Bytes {
    std::fs::read(root.table_folder(&"sms".parse().unwrap()).join(path))
        .unwrap()
        .into()
}

fn read(bytes: bytes::Bytes) -> RecordBatch {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn texts(column: &ArrayRef) -> Vec<String> {
    let text = |row| {
        if column.is_null(row) {
            "-".to_owned()
        } else {
            array_value_to_string(column, row).unwrap()
        }
    };
    (0..column.len()).map(text).collect()
}

fn column(rows: &RecordBatch, name: &str) -> Vec<String> {
    texts(
        rows.column_by_name(name)
            .unwrap_or_else(|| panic!("no {name}")),
    )
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Returns rows like those of other tests, each sent a minute after the one before. Some lack their
/// recipient or the time.
fn varied(from: i64, next: i64) -> RecordBatch {
    let batch = rows(0, from, next);
    let schema = batch.schema();
    let recipient =
        (from..next).map(|offset| (offset % 11 > 0).then(|| format!("31{:03}", offset % 50)));
    let sent = (from..next)
        .map(|offset| (offset % 13 > 0).then(|| noon().timestamp_micros() + offset * 60_000_000));
    let recipient: ArrayRef = Arc::new(StringArray::from_iter(recipient));
    let sent: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter(sent).with_timezone("UTC"));
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| match field.name().as_str() {
            "recipient" => recipient.clone(),
            "sent_at" => sent.clone(),
            _ => column.clone(),
        });
    let columns = columns.collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

/// Writes a segment of such rows, and returns it as the index describes it.
async fn stored(table: &Table, rows: &RecordBatch) -> StoredSegment {
    let tags = crate::testing::segment_tags();
    let mut writer = SegmentWriter::new(table.spec().clone(), tags.clone(), &[]).unwrap();
    writer.write(rows).unwrap();
    let segment = table.put(writer.finish().unwrap()).await.unwrap();
    as_indexed(&segment)
}

/// Returns a segment that is not committed as the index would describe it.
fn as_indexed(segment: &crate::Segment) -> StoredSegment {
    let tags = crate::testing::segment_tags();
    StoredSegment {
        path: Arc::from(segment.path()),
        bucket: segment.bucket(),
        profile: segment.profile().clone(),
        rows: segment.rows(),
        records: segment.records(),
        size: segment.size(),
        deadlines: Arc::new(
            tags.deadlines
                .into_iter()
                .map(|(category, at)| (category, at.unwrap()))
                .collect(),
        ),
        policy_version: Some(tags.policy_version),
        cells: segment.cells(),
    }
}

/// The number of the target of each customer; 0 for none.
#[derive(Debug, Clone)]
struct ByCustomer {
    of: Vec<u64>,
    targets: Vec<NewTags>,
}

impl Retagging for ByCustomer {
    fn columns(&self) -> Vec<&str> {
        vec!["customer_id"]
    }

    fn concerns(&self) -> Option<Predicate> {
        let changing = (0..self.of.len()).filter(|customer| self.of[*customer] > 0);
        let is = |customer| Predicate::Is {
            column: "customer_id".to_owned(),
            value: format!("customer-{customer}"),
        };
        Some(Predicate::Any(changing.map(is).collect()))
    }

    fn assign(&self, rows: &RecordBatch) -> Result<Vec<u64>, RewriteError> {
        let customers = rows.column(0).as_string::<i32>();
        let number = |row| {
            customers
                .value(row)
                .strip_prefix("customer-")
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        Ok((0..rows.num_rows())
            .map(|row| self.of[number(row)])
            .collect())
    }

    fn target(&self, number: u64) -> Option<NewTags> {
        let at = usize::try_from(number).unwrap().checked_sub(1)?;
        Some(self.targets[at].clone())
    }
}

fn tags(number: u8, deadlines: &[(&str, Option<i64>)], version: Option<&str>) -> NewTags {
    let due = |days: i64| Deadline(noon() + TimeDelta::days(days));
    NewTags {
        forms: None,
        profile: ProfileId::of_hash([number; 6]),
        profile_text: format!("the profile {number}"),
        deadlines: deadlines
            .iter()
            .map(|(name, days)| (name.parse().unwrap(), days.map(due)))
            .collect(),
        policy_version: version.map(|version| version.parse().unwrap()),
    }
}
