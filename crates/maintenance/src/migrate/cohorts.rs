//! The rows of a segment, grouped by what decides their profile under a new policy.
//!
//! Only the columns that decide are read, a batch at a time, and only counts are kept.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use futures::StreamExt;

use super::effect::Cohort;
use super::migration::{Migration, ProfileInputs, StoredTerms};
use super::subjects::SubjectConversion;
use ebbtide_base::ids::Country;
use ebbtide_policy::RecordKind;
use ebbtide_table::{RewriteError, Table};

/// The column with the time of arrival of a record. Minimums count from the later of arrival and
/// event.
const ARRIVAL: &str = "ingested_at";
const JURISDICTION: &str = "jurisdiction";

/// The columns that decide.
pub struct DecidingColumns<'a> {
    /// The tenant's column, if the tenant decides.
    pub tenant: Option<&'a str>,
    /// The event's column, if the arrival decides.
    pub event: Option<&'a str>,
    /// The treatment of subjects, if they may be in an earlier form.
    pub subjects: Option<&'a SubjectConversion>,
}

/// The effect of a policy change on one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowEffect {
    /// Its kind after the change.
    pub kind: RecordKind,
    /// The number of buckets after its own from which its minimums count.
    pub late: u32,
    /// True if its subjects change their form.
    pub edited: bool,
}

impl<'a> DecidingColumns<'a> {
    /// Creates the columns that are read for `need`, by the names that they are stored under.
    #[must_use]
    pub fn stored(migration: &'a Migration, need: ProfileInputs) -> DecidingColumns<'a> {
        DecidingColumns {
            tenant: migration.tenant.as_deref().filter(|_| need.tenant),
            event: Some(migration.event.as_str()).filter(|_| need.arrival),
            subjects: Some(&migration.subjects).filter(|_| need.subjects),
        }
    }

    pub(super) fn columns(&self) -> Vec<&'a str> {
        let arrival = self.event.is_some().then_some(ARRIVAL);
        let mut columns: Vec<&str> = [JURISDICTION]
            .into_iter()
            .chain(self.tenant)
            .chain(arrival)
            .chain(self.event)
            .collect();
        for column in self
            .subjects
            .into_iter()
            .flat_map(SubjectConversion::columns)
        {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        columns
    }

    /// Returns the effect on each row of a batch of those columns.
    pub(super) fn rows<'r>(
        &'r self,
        rows: &'r RecordBatch,
        migration: &'r Migration,
        promised: &'r StoredTerms<'_>,
    ) -> impl Iterator<Item = RowEffect> + 'r {
        let texts = |name: &str| {
            rows.column_by_name(name)
                .and_then(|column| column.as_string_opt::<i32>())
        };
        let (jurisdiction, tenant) = (texts(JURISDICTION), self.tenant.and_then(texts));
        let reformed = self
            .subjects
            .map(|subjects| subjects.rows(rows))
            .unwrap_or_default();
        (0..rows.num_rows()).map(move |row| {
            let late = match self.event {
                None => promised.profile.late,
                Some(event) => came(rows, row, event)
                    .map_or(0, |at| migration.late(promised.segment.bucket, at)),
            };
            let reformed = reformed.get(row);
            let country = reformed.and_then(|of| of.country);
            let country = country
                .as_ref()
                .map(Country::as_str)
                .or_else(|| value(jurisdiction, row));
            let kind = migration.kind(country, value(tenant, row));
            RowEffect {
                kind,
                late,
                edited: reformed.is_some_and(|of| of.changes),
            }
        })
    }
}

/// Reads the rows of a segment and returns their cohorts.
pub async fn read_cohorts(
    table: &Table,
    promised: &StoredTerms<'_>,
    migration: &Migration,
    need: ProfileInputs,
) -> Result<Vec<Cohort>, RewriteError> {
    let deciding = DecidingColumns::stored(migration, need);
    let mut counts: HashMap<RowEffect, u64> = HashMap::new();
    let mut rows = table.read_columns(
        std::slice::from_ref(promised.segment),
        &deciding.columns(),
        None,
    )?;
    while let Some(batch) = rows.next().await {
        for key in deciding.rows(&batch?.rows, migration, promised) {
            *counts.entry(key).or_default() += 1;
        }
    }
    let cohort = |(RowEffect { kind, late, edited }, rows)| Cohort {
        kind,
        late,
        edited,
        rows,
    };
    let mut cohorts: Vec<Cohort> = counts.into_iter().map(cohort).collect();
    cohorts.sort_by_key(|cohort| (cohort.kind, cohort.late, cohort.edited));
    Ok(cohorts)
}

fn value(column: Option<&StringArray>, row: usize) -> Option<&str> {
    column
        .filter(|column| column.is_valid(row))
        .map(|column| column.value(row))
}

/// Returns the later of a row's arrival and event, in microseconds, as far as they are still
/// stored.
fn came(rows: &RecordBatch, row: usize, event: &str) -> Option<i64> {
    let instant = |name: &str| {
        let column = rows
            .column_by_name(name)?
            .as_primitive_opt::<TimestampMicrosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    instant(ARRIVAL).max(instant(event))
}
