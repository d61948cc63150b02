//! Reads the demo's tables while they are written. It only reads, and never waits for a writer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::snapshot::TableStatus;
use ebbtide_base::ids::ProductKey;
use ebbtide_query::{ViewError, products, show};
use ebbtide_table::Root;

/// Returns the content of the tables under `root` at `now`. A table that does not exist yet has no
/// entry.
pub async fn look(
    root: &Root,
    now: DateTime<Utc>,
) -> Result<BTreeMap<ProductKey, TableStatus>, ViewError> {
    let mut tables = BTreeMap::new();
    for product in products(root).await? {
        let overview = show(root, &product, now).await?;
        let (buckets, profiles) = root.local().map_or((0, 0), |folder| {
            partitions(&folder.join("tables").join(product.as_str()))
        });
        tables.insert(
            product,
            TableStatus {
                overview,
                buckets,
                profiles,
            },
        );
    }
    Ok(tables)
}

/// Counts the buckets and profiles in the names of a table's folders. Folders that cannot be read
/// are not counted.
fn partitions(table: &Path) -> (usize, usize) {
    let buckets = folders(table, "bucket=");
    let profiles: BTreeSet<String> = buckets
        .iter()
        .flat_map(|bucket| folders(&table.join(bucket), "profile="))
        .collect();
    (buckets.len(), profiles.len())
}

fn folders(of: &Path, prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(of).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}
