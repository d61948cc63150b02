//! Files of a table that should be deleted and still exist.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{TableView, ViewError, products};
use ebbtide_base::ids::ProductKey;
use ebbtide_table::error::StoreError;
use ebbtide_table::janitor::{MaintenanceSettings, due_files};
use ebbtide_table::log::LogState;
use ebbtide_table::root::Root;

/// Files that no version of a table lists and that still exist: their contents can still be read
/// from the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Leftovers {
    /// Replaced files within the readers' grace.
    pub in_grace: usize,
    /// Files that should be deleted.
    pub undeleted: usize,
    /// Time at which the first of these should have been deleted.
    pub undeleted_since: Option<DateTime<Utc>>,
}

/// Finds the files of a product's table that should be deleted at `now` and still exist. Errors if
/// the table does not exist.
pub async fn leftovers(
    root: &Root,
    product: &ProductKey,
    now: DateTime<Utc>,
    upkeep: &MaintenanceSettings,
) -> Result<Leftovers, ViewError> {
    let TableView { log, mut state, .. } = TableView::open(root, product).await?;
    let due = due_files(&log, &mut state, now, upkeep).await?;
    let overdue = due.overdue();
    Ok(Leftovers {
        in_grace: due.in_grace,
        undeleted: overdue.files,
        undeleted_since: overdue.since,
    })
}

/// Returns the date of the newest commit of any table under a root, by the clock of the instance
/// that made it.
pub async fn newest_commit(root: &Root) -> Result<Option<DateTime<Utc>>, StoreError> {
    let mut newest = None;
    for product in products(root).await? {
        let state = LogState::load(&root.table_log(&product)).await?;
        newest = newest.max(state.and_then(|state| state.made_at));
    }
    Ok(newest)
}
