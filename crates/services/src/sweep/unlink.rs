//! The deletion of files that were replaced longer ago than the readers' grace.

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_table::{DeleteFailures, OpenError, Root, Table, TableSpec};

use crate::instance::upkeep;
use crate::maintenance_setup::MaintenanceSetup;

/// Files deleted apart from the sweep's commits.
#[derive(Default)]
pub(super) struct Unlinked {
    /// Replaced files that were deleted.
    pub(super) files: usize,
    /// Files that could not be deleted.
    pub(super) failures: DeleteFailures,
    /// The number of tables whose overdue files are unknown.
    pub(super) unknown: usize,
}

/// The tables whose files are deleted.
pub(super) struct Unlinking<'a> {
    pub(super) setup: &'a MaintenanceSetup,
    pub(super) root: &'a Root,
    pub(super) clock: &'a SharedClock,
    /// The only product.
    pub(super) only: Option<&'a ProductKey>,
}

impl Unlinking<'_> {
    /// Deletes the files that are no longer needed. A file that fails does not delay the others.
    pub(super) async fn unlink(&self) -> Result<Unlinked, OpenError> {
        let (upkeep, mut unlinked) = (upkeep(&self.setup.config.maintain), Unlinked::default());
        for spec in TableSpec::all(&self.setup.loaded.policy) {
            if self.only.is_some_and(|only| *only != spec.product) {
                continue;
            }
            let mut table = Table::open(self.root, spec).await?;
            // One pass deletes a bounded number of files; after a pass that deletes none, no later
            // pass deletes any.
            loop {
                let done = match table.maintain(self.clock.now(), &upkeep).await {
                    Ok(done) => done,
                    Err(error) => {
                        let product = &table.spec().product;
                        tracing::error!(%product, %error, "it is not known which files should be deleted");
                        unlinked.unknown += 1;
                        break;
                    }
                };
                unlinked.files += done.deleted.replaced.len();
                if !done.deleted.more || done.deleted.is_empty() {
                    unlinked.failures.extend(done.failures);
                    break;
                }
            }
        }
        let old = self
            .clock
            .now()
            .checked_sub_signed(upkeep.keep_orphans)
            .unwrap_or_default();
        match self.root.give_up_uploads(old).await {
            Ok(done) => unlinked.failures.extend(done.failures),
            Err(error) => {
                tracing::warn!(%error, "unfinished uploads could not be listed; the next sweep tries again")
            }
        }
        if !unlinked.failures.is_empty() {
            let count = unlinked.failures.count;
            tracing::error!(count, first = %unlinked.failures, "files could not be deleted");
        }
        Ok(unlinked)
    }
}
