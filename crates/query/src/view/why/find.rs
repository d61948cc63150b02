//! Finds a record's row in a segment, and reads its tags.
//!
//! Bounds and bloom filters are checked first. Only the necessary columns are read: no personal
//! column except the one that the caller names.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::DateTime;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

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

/// Returns the row of an offset.
pub(super) async fn by_source(
    log: &TableLog,
    path: &str,
    (partition, offset): (&TopicPartition, Offset),
    known: &RecordHints,
) -> Result<Option<FoundRow>, RewriteError> {
    if cell_records(path).is_some() {
        return Ok(None);
    }
    let opened = OpenedSegment::open(&log.object_store(None), path).await?;
    let (partition, tenant) = (partition.clone(), known.tenant.clone());
    blocking(move || {
        let reading = SegmentSearch {
            opened: &opened,
            tenant: tenant.as_deref(),
        };
        let row = reading.row_of(&partition, offset)?;
        row.map(|(group, row)| reading.found(group, row))
            .transpose()
    })
    .await
}

/// Returns for each predicate whether it matches the row of an offset or, without an offset, any
/// row.
pub(super) fn takes_in(
    opened: &OpenedSegment,
    record: Option<(&TopicPartition, Offset)>,
    predicates: &[Predicate],
) -> Result<Vec<bool>, RewriteError> {
    let row = match record {
        None => None,
        Some((partition, offset)) => match (SegmentSearch {
            opened,
            tenant: None,
        })
        .row_of(partition, offset)?
        {
            None => return Ok(vec![false; predicates.len()]),
            found => found,
        },
    };
    let takes = |predicate: &Predicate| {
        let selected = opened.select(predicate)?;
        let of_group = |group: usize| selected.groups.get(group).and_then(Option::as_ref);
        Ok(row.map_or(selected.matched > 0, |(group, row)| {
            of_group(group).is_some_and(|bits| bits.value(row))
        }))
    };
    predicates.iter().map(takes).collect()
}

/// Returns up to `most` rows that contain a value.
pub(super) async fn by_value(
    log: &TableLog,
    path: &str,
    (column, value): (&str, &str),
    known: &RecordHints,
    most: usize,
) -> Result<Vec<FoundRow>, RewriteError> {
    if cell_records(path).is_some() {
        return Ok(Vec::new());
    }
    let opened = OpenedSegment::open(&log.object_store(None), path).await?;
    let (column, value, tenant) = (column.to_owned(), value.to_owned(), known.tenant.clone());
    blocking(move || {
        let reading = SegmentSearch {
            opened: &opened,
            tenant: tenant.as_deref(),
        };
        let Some(field) = opened
            .metadata
            .schema()
            .fields()
            .iter()
            .find(|field| *field.name() == column)
        else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        if *field.data_type() == DataType::Utf8 {
            let predicate = Predicate::Is { column, value };
            for (number, bits) in opened.select(&predicate)?.groups.iter().enumerate() {
                for row in bits
                    .iter()
                    .flat_map(|bits| bits.set_indices())
                    .take(most - found.len())
                {
                    found.push(reading.found(number, row)?);
                }
            }
            return Ok(found);
        }
        for number in 0..opened.metadata.metadata().num_row_groups() {
            let is_it = |rows: &RecordBatch, row: usize| {
                let texts = rows
                    .column_by_name(&column)
                    .and_then(|column| cast(&column.slice(row, 1), &DataType::Utf8).ok());
                texts.is_some_and(|texts| {
                    texts.is_valid(0) && texts.as_string::<i32>().value(0) == value
                })
            };
            for row in reading.rows(number, &[column.as_str()], is_it, most - found.len())? {
                found.push(reading.found(number, row)?);
            }
        }
        Ok(found)
    })
    .await
}

/// Returns true if a row group may contain an offset, by its bounds.
fn may_hold(group: &RowGroupMetaData, offset: Offset) -> bool {
    let column = group
        .columns()
        .iter()
        .find(|chunk| chunk.column_path().string() == "source_offset");
    match column.map(|column| column.statistics()) {
        None => false,
        Some(Some(Statistics::Int64(of))) => {
            of.min_opt().is_none_or(|least| *least <= offset.0)
                && of.max_opt().is_none_or(|most| offset.0 <= *most)
        }
        Some(_) => true,
    }
}

/// A segment that is being searched.
struct SegmentSearch<'a> {
    opened: &'a OpenedSegment,
    tenant: Option<&'a str>,
}

impl SegmentSearch<'_> {
    /// Returns the row group of an offset, and its row in the group.
    fn row_of(
        &self,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<Option<(usize, usize)>, RewriteError> {
        for (number, group) in self
            .opened
            .metadata
            .metadata()
            .row_groups()
            .iter()
            .enumerate()
        {
            if !may_hold(group, offset) {
                continue;
            }
            let is_it = |rows: &RecordBatch, row: usize| {
                source(rows, row) == (Some(partition.clone()), Some(offset))
            };
            if let Some(row) = self.rows(number, &SOURCE_COLUMNS, is_it, 1)?.first() {
                return Ok(Some((number, *row)));
            }
        }
        Ok(None)
    }

    /// Returns the first `most` rows of a row group for which `is_it` returns true. It gets these
    /// columns.
    fn rows(
        &self,
        group: usize,
        columns: &[&str],
        is_it: impl Fn(&RecordBatch, usize) -> bool,
        most: usize,
    ) -> Result<Vec<usize>, RewriteError> {
        let (mut found, mut at) = (Vec::new(), 0);
        let reader = self.opened.reader(vec![group], Some(columns)).build();
        for rows in reader.map_err(|error| self.opened.damaged(&error))? {
            let rows = rows.map_err(|error| self.opened.damaged(&error.into()))?;
            let here = (0..rows.num_rows())
                .filter(|row| is_it(&rows, *row))
                .take(most - found.len());
            found.extend(here.map(|row| at + row));
            if found.len() >= most {
                break;
            }
            at += rows.num_rows();
        }
        Ok(found)
    }

    /// Returns the tags of one row.
    fn found(&self, group: usize, row: usize) -> Result<FoundRow, RewriteError> {
        let schema = self.opened.metadata.schema();
        let columns: BTreeSet<String> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let tells = |name: &str| {
            is_expires_column(name)
                || SOURCE_COLUMNS.contains(&name)
                || ["policy_version", "jurisdiction"].contains(&name)
                || Some(name) == self.tenant
        };
        let wanted: Vec<&str> = columns
            .iter()
            .map(String::as_str)
            .filter(|name| tells(name))
            .collect();
        let reader = self
            .opened
            .reader(vec![group], Some(&wanted))
            .with_offset(row)
            .with_limit(1)
            .build();
        let rows = reader.map_err(|error| self.opened.damaged(&error))?.next();
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
        let (partition, offset) = source(&rows, 0);
        Ok(FoundRow {
            path: self.opened.path.to_string(),
            deadlines: columns.iter().filter_map(deadline).collect(),
            policy_version: text("policy_version").and_then(|text| text.parse().ok()),
            jurisdiction: text("jurisdiction").and_then(|text| text.parse().ok()),
            tenant: self.tenant.and_then(text),
            partition,
            offset,
            columns,
        })
    }
}

/// Returns the source of a row.
fn source(rows: &RecordBatch, row: usize) -> (Option<TopicPartition>, Option<Offset>) {
    let found = || {
        let [topic, partition, offset] = SOURCE_COLUMNS.map(|name| rows.column_by_name(name));
        let (topic, partition) = (
            topic?.as_string_opt::<i32>()?,
            partition?.as_primitive_opt::<Int32Type>()?,
        );
        let offset = offset?.as_primitive_opt::<Int64Type>()?;
        if row >= rows.num_rows()
            || topic.is_null(row)
            || partition.is_null(row)
            || offset.is_null(row)
        {
            return None;
        }
        let of = TopicPartition {
            topic: topic.value(row).parse().ok()?,
            partition: Partition(partition.value(row)),
        };
        Some((of, Offset(offset.value(row))))
    };
    found().map_or((None, None), |(partition, offset)| {
        (Some(partition), Some(offset))
    })
}
