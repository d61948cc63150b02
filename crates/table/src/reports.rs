//! The reports of the crate above about what the tests of this crate wrote: they open the same root
//! again, through the library as other crates see it.

use chrono::{DateTime, Utc};

use ebbtide_base::ids::ProductKey;
pub use ebbtide_query::residue;
use ebbtide_query::{Audit, Leftovers, TableOverview, ViewError};

use crate::testing::buckets::from_above;
use crate::{MaintenanceSettings, Root};

/// Returns the audit of a product's table.
pub async fn audit(root: &Root, product: &ProductKey) -> Result<Audit, ViewError> {
    ebbtide_query::audit(&from_above(root), product).await
}

/// Returns the overview of a product's table.
pub async fn show(
    root: &Root,
    product: &ProductKey,
    now: DateTime<Utc>,
) -> Result<TableOverview, ViewError> {
    ebbtide_query::show(&from_above(root), product, now).await
}

/// Returns the files that upkeep should have deleted.
pub async fn leftovers(
    root: &Root,
    product: &ProductKey,
    now: DateTime<Utc>,
    upkeep: &MaintenanceSettings,
) -> Result<Leftovers, ViewError> {
    let upkeep = ebbtide_table::MaintenanceSettings {
        checkpoint_every: upkeep.checkpoint_every,
        keep_log: upkeep.keep_log,
        keep_orphans: upkeep.keep_orphans,
        readers_grace: upkeep.readers_grace,
        limit: upkeep.limit,
    };
    ebbtide_query::leftovers(&from_above(root), product, now, &upkeep).await
}
