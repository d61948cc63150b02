//! Finds the rows of records in a segment, and reads their tags.
//!
//! Bounds and bloom filters are checked first. Only the necessary columns are read: no personal
//! column except the one that the caller names.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::DateTime;

use super::RecordHints;
use ebbtide_base::ids::{
    Category, Country, Deadline, Offset, Partition, PolicyVersion, TopicPartition,
};
use ebbtide_policy::{expires_category, is_expires_column};
use ebbtide_table::Predicate;
use ebbtide_table::log::TableLog;
use ebbtide_table::rewrite::{OpenedSegment, RewriteError, blocking};
use ebbtide_table::segment::{SegmentError, cell_records};
use ebbtide_table::spec::SOURCE_COLUMNS;

/// A record's row.
pub(super) struct FoundRow {
    pub(super) path: String,
    /// The columns of its segment.
    pub(super) columns: BTreeSet<String>,
    pub(super) partition: Option<TopicPartition>,
    pub(super) offset: Option<Offset>,
    pub(super) deadlines: BTreeMap<Category, Deadline>,
    pub(super) policy_version: Option<PolicyVersion>,
    pub(super) jurisdiction: Option<Country>,
    pub(super) tenant: Option<String>,
}

/// The place of a row in a segment.
#[derive(Clone, Copy)]
struct RowPlace {
    /// Its row group.
    group: usize,
    /// Its number in the row group.
    row: usize,
}

/// Returns up to `most` rows of a segment that match; none of a segment of cells.
pub(super) async fn records(
    log: &TableLog,
    path: &str,
    sought: &Predicate,
    known: &RecordHints,
    most: usize,
) -> Result<Vec<FoundRow>, RewriteError> {
    if cell_records(path).is_some() {
        return Ok(Vec::new());
    }
    let opened = OpenedSegment::open(&log.object_store(None), path).await?;
    let (sought, tenant) = (sought.clone(), known.tenant.clone());
    blocking(move || {
        let places = places(&opened, &sought, most)?.into_iter();
        places
            .map(|place| FoundRow::read(&opened, place, tenant.as_deref()))
            .collect()
    })
    .await
}

/// Returns for each predicate whether it matches the row of a record or, without a record, any row.
pub(super) fn takes_in(
    opened: &OpenedSegment,
    record: Option<&Predicate>,
    predicates: &[Predicate],
) -> Result<Vec<bool>, RewriteError> {
    let place = match record {
        None => None,
        Some(record) => match places(opened, record, 1)?.pop() {
            None => return Ok(vec![false; predicates.len()]),
            found => found,
        },
    };
    let takes = |predicate: &Predicate| {
        let selected = opened.select(predicate)?;
        let of_group = |group: usize| selected.groups.get(group).and_then(Option::as_ref);
        Ok(
            place.map_or(selected.matched > 0, |RowPlace { group, row }| {
                of_group(group).is_some_and(|bits| bits.value(row))
            }),
        )
    };
    predicates.iter().map(takes).collect()
}

/// Returns the places of the first `most` rows that match.
fn places(
    opened: &OpenedSegment,
    predicate: &Predicate,
    most: usize,
) -> Result<Vec<RowPlace>, RewriteError> {
    let mut found = Vec::new();
    for (group, bits) in opened.select_each(predicate)?.enumerate() {
        let Some(bits) = bits? else { continue };
        let rows = bits.set_indices().take(most - found.len());
        found.extend(rows.map(|row| RowPlace { group, row }));
        if found.len() >= most {
            break;
        }
    }
    Ok(found)
}

impl FoundRow {
    /// Returns the tags of one row of a segment. `tenant`: the column with the tenant.
    fn read(
        opened: &OpenedSegment,
        place: RowPlace,
        tenant: Option<&str>,
    ) -> Result<FoundRow, RewriteError> {
        let schema = opened.metadata.schema();
        let columns: BTreeSet<String> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let tells = |name: &str| {
            is_expires_column(name)
                || SOURCE_COLUMNS.contains(&name)
                || ["policy_version", "jurisdiction"].contains(&name)
                || Some(name) == tenant
        };
        let wanted: Vec<&str> = columns
            .iter()
            .map(String::as_str)
            .filter(|name| tells(name))
            .collect();
        let reader = opened
            .reader(vec![place.group], Some(&wanted))
            .with_offset(place.row)
            .with_limit(1)
            .build();
        let rows = reader.map_err(|error| opened.damaged(&error))?.next();
        let rows = rows.transpose().map_err(SegmentError::from)?;
        let rows = rows.unwrap_or_else(|| RecordBatch::new_empty(schema.clone()));
        let text = |name: &str| {
            let texts = rows.column_by_name(name)?.as_string_opt::<i32>()?;
            (rows.num_rows() > 0 && texts.is_valid(0)).then(|| texts.value(0).to_owned())
        };
        let deadline = |column: &String| {
            let instants = rows
                .column_by_name(column)?
                .as_primitive_opt::<TimestampMicrosecondType>()?;
            let at = (rows.num_rows() > 0 && instants.is_valid(0)).then(|| instants.value(0))?;
            Some((
                Category::new(expires_category(column)?).ok()?,
                Deadline(DateTime::from_timestamp_micros(at)?),
            ))
        };
        let (partition, offset) = source(&rows);
        Ok(FoundRow {
            path: opened.path.to_string(),
            deadlines: columns.iter().filter_map(deadline).collect(),
            policy_version: text("policy_version").and_then(|text| text.parse().ok()),
            jurisdiction: text("jurisdiction").and_then(|text| text.parse().ok()),
            tenant: tenant.and_then(text),
            partition,
            offset,
            columns,
        })
    }
}

/// Returns the source of the first row.
fn source(rows: &RecordBatch) -> (Option<TopicPartition>, Option<Offset>) {
    let found = || {
        let [topic, partition, offset] = SOURCE_COLUMNS.map(|name| rows.column_by_name(name));
        let (topic, partition) = (
            topic?.as_string_opt::<i32>()?,
            partition?.as_primitive_opt::<Int32Type>()?,
        );
        let offset = offset?.as_primitive_opt::<Int64Type>()?;
        if rows.num_rows() == 0 || topic.is_null(0) || partition.is_null(0) || offset.is_null(0) {
            return None;
        }
        let of = TopicPartition {
            topic: topic.value(0).parse().ok()?,
            partition: Partition(partition.value(0)),
        };
        Some((of, Offset(offset.value(0))))
    };
    found().map_or((None, None), |(partition, offset)| {
        (Some(partition), Some(offset))
    })
}
