//! Tenants of stored records that wait for a trigger, to suggest one for a name that no such record
//! has.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use futures::StreamExt;

use super::{Preview, PreviewError, Previewed};
use crate::Notice;
use ebbtide_base::problem::nearest;
use ebbtide_policy::{ColumnClass, Trigger};
use ebbtide_table::{Predicate, RewriteError, StoredSegment};

/// The maximum number of segments of a table that are read for a suggestion.
const MOST_SEGMENTS: usize = 500;

impl Preview {
    /// Returns the tenant that `notice` may mean: one whose stored records wait for the trigger and
    /// whose name differs by case only, or else by little. `None` if records of the tenant that it
    /// names are stored.
    pub async fn meant_tenant(&self, notice: &Notice) -> Result<Option<String>, PreviewError> {
        let Some(named) = notice.tenant() else {
            return Ok(None);
        };
        let mut waiting = BTreeSet::new();
        for table in &self.tables {
            let product = &table.table.spec().product;
            if !notice.products().is_empty() && !notice.products().contains(product) {
                continue;
            }
            let Some(column) = table.tenant_column() else {
                continue;
            };
            if table.stores(column, named).await? {
                return Ok(None);
            }
            waiting.extend(table.waiting(column, notice.trigger().0).await?);
        }
        let lower = named.to_lowercase();
        let by_case = waiting
            .iter()
            .find(|tenant| tenant.to_lowercase() == lower)
            .map(String::as_str);
        Ok(by_case
            .or_else(|| nearest(named, waiting.iter().map(String::as_str)))
            .map(str::to_owned))
    }
}

impl Previewed {
    fn tenant_column(&self) -> Option<&str> {
        let column = self.records.tenant.as_deref()?;
        let class = self.records.fields.get(column);
        matches!(
            class,
            Some(ColumnClass::Personal(_) | ColumnClass::NotPersonal)
        )
        .then_some(column)
    }

    async fn stores(&self, column: &str, tenant: &str) -> Result<bool, PreviewError> {
        let is = Predicate::Is {
            column: column.to_owned(),
            value: tenant.to_owned(),
        };
        for segment in self
            .table
            .segments()
            .iter()
            .filter(|segment| !segment.cells)
        {
            match self.table.matches(segment, &is).await {
                Ok(0) => {}
                Ok(_) => return Ok(true),
                // A segment that is replaced meanwhile or cannot be read only costs the suggestion.
                Err(error) => readable(error)?,
            }
        }
        Ok(false)
    }

    /// Returns the tenants of segments whose profile waits for `trigger`.
    async fn waiting(
        &self,
        column: &str,
        trigger: Trigger,
    ) -> Result<BTreeSet<String>, PreviewError> {
        let waits = |segment: &&StoredSegment| {
            let profile = self
                .table
                .profile_text(&segment.profile)
                .and_then(ebbtide_policy::Profile::parse);
            let open = |profile: ebbtide_policy::Profile| {
                profile
                    .terms
                    .iter()
                    .any(|term| term.trigger == trigger && term.known.is_none())
            };
            !segment.cells && profile.is_some_and(open)
        };
        let segments: Vec<StoredSegment> = self
            .table
            .segments()
            .iter()
            .filter(waits)
            .take(MOST_SEGMENTS)
            .cloned()
            .collect();
        let mut tenants = BTreeSet::new();
        if segments.is_empty() {
            return Ok(tenants);
        }
        let mut rows = match self.table.read_columns(&segments, &[column], None) {
            Ok(rows) => rows,
            Err(error) => return readable(error).map(|()| tenants),
        };
        while let Some(batch) = rows.next().await {
            let batch = match batch {
                Ok(batch) => batch.rows,
                Err(error) => return readable(error).map(|()| tenants),
            };
            let Some(names) = batch
                .column_by_name(column)
                .and_then(|names| names.as_string_opt::<i32>())
            else {
                continue;
            };
            let named = (0..names.len())
                .filter(|row| names.is_valid(*row))
                .map(|row| names.value(row));
            named.for_each(|name| {
                if !tenants.contains(name) {
                    tenants.insert(name.to_owned());
                }
            });
        }
        Ok(tenants)
    }
}

fn readable(error: RewriteError) -> Result<(), PreviewError> {
    match error {
        RewriteError::Store(error) => Err(error.into()),
        _ => Ok(()),
    }
}
