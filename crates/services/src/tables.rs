//! The contents of the tables, and their check. Changes nothing.

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::ids::ProductKey;
use ebbtide_query::{Audit, Leftovers, TableOverview, ViewError, audit_contents, leftovers};
use ebbtide_table::{MaintenanceSettings, Root};

/// The tables to read, and how long they keep files.
#[derive(Debug)]
pub struct TableView<'a> {
    /// The root of the tables.
    pub root: &'a Root,
    /// The time at which files are counted as left over.
    pub now: DateTime<Utc>,
    /// The times after which files should be deleted.
    pub maintenance: &'a MaintenanceSettings,
}

/// The contents of a table, with the files that should be deleted and still exist.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableReport {
    /// The contents.
    #[serde(flatten)]
    pub overview: TableOverview,
    /// The files that should be deleted and still exist.
    pub leftovers: Leftovers,
}

/// The result of an audit, with the files that should be deleted and still exist.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    /// True if no error was found.
    pub holds: bool,
    /// The result.
    #[serde(flatten)]
    pub audit: Audit,
    /// The files that should be deleted and still exist. They are not an error.
    pub leftovers: Leftovers,
}

impl TableView<'_> {
    /// Returns the contents of a table.
    pub async fn show(&self, product: &ProductKey) -> Result<TableReport, ViewError> {
        Ok(TableReport {
            overview: ebbtide_query::show(self.root, product, self.now).await?,
            leftovers: self.leftovers(product).await?,
        })
    }

    /// Checks a table; if `contents` is true, every byte of its files too.
    pub async fn audit(
        &self,
        product: &ProductKey,
        contents: bool,
    ) -> Result<AuditReport, ViewError> {
        let audit = match contents {
            true => audit_contents(self.root, product).await?,
            false => ebbtide_query::audit(self.root, product).await?,
        };
        Ok(AuditReport {
            holds: audit.holds(),
            audit,
            leftovers: self.leftovers(product).await?,
        })
    }

    async fn leftovers(&self, product: &ProductKey) -> Result<Leftovers, ViewError> {
        leftovers(self.root, product, self.now, self.maintenance).await
    }
}
