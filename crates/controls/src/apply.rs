//! Finishes what a crash interrupted: puts a control that is in the log in force in the tables in
//! which it is not in force yet.
//!
//! Safe to call at any time, by any number of processes concurrently. Must never lower the version
//! of a table's controls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::activation::PolicyActivation;
use super::commit_identity::CommitIdentity;
use super::control::Control;
use super::log::Controls;
use ebbtide_base::ids::ProductKey;
use ebbtide_query::products;
use ebbtide_table::{
    CommitError, ControlsVersion, PolicyCommit, Root, StoreError, TableControls,
    TableControlsCache, TableSpec, raise_controls, take_force,
};

/// A control that is in the log and not in force in every table that it covers.
#[derive(Debug, thiserror::Error)]
#[error(
    "control {} is recorded, but not in force in {}; `ebbtide hold list --repair` finishes it, and so does the next start \
     of an instance",
    version.0,
    FailedTables(tables)
)]
pub struct NotInForceError {
    /// The version of the control.
    pub version: ControlsVersion,
    /// The tables in which it is not in force, each with the reason.
    pub tables: Vec<(ProductKey, CommitError)>,
}

struct FailedTables<'a>(&'a [(ProductKey, CommitError)]);

impl fmt::Display for FailedTables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (product, why)) in self.0.iter().enumerate() {
            write!(
                f,
                "{}{product} ({why})",
                if number == 0 { "" } else { ", " }
            )?;
        }
        Ok(())
    }
}

/// The reason why not every control is in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyControlsError {
    /// The control log or a table cannot be read.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// A table accepts no commit.
    #[error(transparent)]
    NotInForce(#[from] NotInForceError),
}

/// Puts controls in force in the tables in which they are not, and forgets controls that are over.
/// It keeps what it read of the tables, so that each call reads only what was committed since the
/// call before.
pub struct ControlsApplier {
    pub(super) root: Root,
    tables: TableControlsCache,
    pub(super) controls: Controls,
    /// The control of the policy that was last put in force everywhere, and the tables that existed
    /// then, including those that were created for the policy.
    policy: Option<(ControlsVersion, BTreeSet<ProductKey>)>,
}

/// Puts every control of the log in force in every table under `root` that it covers. Returns the
/// tables that needed it, each with the version that was put in force.
pub async fn settle(
    root: &Root,
    by: &CommitIdentity,
) -> Result<Vec<(ProductKey, ControlsVersion)>, ApplyControlsError> {
    ControlsApplier::new(root.clone()).settle(by).await
}

impl ControlsApplier {
    /// Returns a settler for the tables under `root` that has read nothing yet.
    #[must_use]
    pub fn new(root: Root) -> ControlsApplier {
        ControlsApplier {
            tables: TableControlsCache::new(root.clone()),
            root,
            controls: Controls::default(),
            policy: None,
        }
    }

    /// Reads what is new in the tables and in the control log, and returns the controls of every
    /// table.
    pub(super) async fn look(&mut self) -> Result<BTreeMap<ProductKey, TableControls>, StoreError> {
        let tables = self.tables.look().await?;
        let known = tables
            .values()
            .map(|table| table.controls)
            .max()
            .unwrap_or_default();
        let refreshed = self.controls.refresh(&self.root, known).await;
        if refreshed.is_err() {
            // After an error the next call reads the log from its start.
            self.controls = Controls::default();
        }
        refreshed.map(|()| tables)
    }

    /// Does the same as [`settle()`].
    pub async fn settle(
        &mut self,
        by: &CommitIdentity,
    ) -> Result<Vec<(ProductKey, ControlsVersion)>, ApplyControlsError> {
        let mut tables = self.look().await?;
        let (root, controls) = (&self.root, &self.controls);
        // The policy comes first: no other control makes its changes to a table.
        let mut settled = Vec::new();
        if let Some((version, activation)) = controls.active()
            && !self.is_under(version, &tables)
        {
            let taken = put_policy_in_force(root, version, activation, by).await?;
            settled.extend(
                taken
                    .iter()
                    .filter(|(_, new)| *new)
                    .map(|(product, _)| (product.clone(), version)),
            );
            self.policy = Some((
                version,
                taken.into_iter().map(|(product, _)| product).collect(),
            ));
            tables = self.tables.look().await?;
        }
        for (product, table) in tables {
            let Some((version, control)) = controls
                .iter()
                .rfind(|(_, control)| control.covers(&product))
            else {
                continue;
            };
            if table.controls < *version {
                raise(root, &product, *version, control, by)
                    .await
                    .map_err(|error| NotInForceError {
                        version: *version,
                        tables: vec![(product.clone(), error)],
                    })?;
                settled.push((product, *version));
            }
        }
        Ok(settled)
    }

    /// Returns true if the policy that this control activated is known to be in force in all
    /// tables, and all tables that it needs exist.
    fn is_under(
        &self,
        control: ControlsVersion,
        tables: &BTreeMap<ProductKey, TableControls>,
    ) -> bool {
        self.policy.as_ref().is_some_and(|(before, needed)| {
            *before == control
                && tables.values().all(|table| table.policy >= control)
                && needed.iter().all(|product| tables.contains_key(product))
        })
    }
}

/// Returns every table under `root` with the version of its controls.
pub(super) async fn table_versions(
    root: &Root,
) -> Result<Vec<(ProductKey, ControlsVersion)>, StoreError> {
    let tables = TableControlsCache::new(root.clone()).look().await?;
    Ok(tables
        .into_iter()
        .map(|(product, table)| (product, table.controls))
        .collect())
}

/// Returns every table under `root` with the version of its controls, and the control log, which
/// must have the newest of these versions.
pub async fn tables_and_controls(
    root: &Root,
) -> Result<(Vec<(ProductKey, ControlsVersion)>, Controls), StoreError> {
    let tables = table_versions(root).await?;
    let newest = tables.iter().map(|(_, version)| *version).max();
    let controls = Controls::load(root, newest.unwrap_or_default()).await?;
    Ok((tables, controls))
}

/// Commits one control in every table that it covers, and returns these tables. A failure in one
/// table does not stop the others.
pub(super) async fn put_in_force(
    root: &Root,
    version: ControlsVersion,
    control: &Control,
    by: &CommitIdentity,
) -> Result<Vec<ProductKey>, ApplyControlsError> {
    if let Some(activation) = control.activation() {
        let taken = put_policy_in_force(root, version, activation, by).await?;
        return Ok(taken.into_iter().map(|(product, _)| product).collect());
    }
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for product in products(root)
        .await?
        .into_iter()
        .filter(|product| control.covers(product))
    {
        match raise(root, &product, version, control, by).await {
            Ok(Some(_)) => done.push(product),
            // The table is being created: its creator reads the control log after it has written
            // the table's first entry.
            Ok(None) => {}
            Err(error) => failed.push((product, error)),
        }
    }
    all_done(done, failed, version)
}

/// Returns `done`, or the error that names the tables in which the control is not in force.
fn all_done<T>(
    done: Vec<T>,
    failed: Vec<(ProductKey, CommitError)>,
    version: ControlsVersion,
) -> Result<Vec<T>, ApplyControlsError> {
    if failed.is_empty() {
        return Ok(done);
    }
    let tables = failed;
    Err(NotInForceError { version, tables }.into())
}

/// Commits a policy in every table, and creates the tables that it needs. A failure in one table
/// does not stop the others. Returns the tables in which the policy or a later one is in force,
/// each with true if this call put it in force.
async fn put_policy_in_force(
    root: &Root,
    version: ControlsVersion,
    activation: &PolicyActivation,
    by: &CommitIdentity,
) -> Result<Vec<(ProductKey, bool)>, ApplyControlsError> {
    let unreadable = || StoreError::ControlsUnreadable {
        version: u64::try_from(version.0).unwrap_or(0),
        what: "its policy has errors for this version of the program".to_owned(),
    };
    let policy = activation.text.checked("").policy.ok_or_else(unreadable)?;
    // The existing tables, and those of the policy with their columns.
    let mut all: BTreeMap<ProductKey, Option<Arc<TableSpec>>> = products(root)
        .await?
        .into_iter()
        .map(|product| (product, None))
        .collect();
    all.extend(TableSpec::all(&policy).map(|spec| (spec.product.clone(), Some(spec))));
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (product, columns) in all {
        let taking = PolicyCommit {
            control: version,
            policy: policy.version.clone(),
        };
        match take_force(root, &product, columns, taking, by.evidence("activate")).await {
            Ok(new) => done.push((product, new)),
            Err(error) => failed.push((product, error)),
        }
    }
    all_done(done, failed, version)
}

async fn raise(
    root: &Root,
    product: &ProductKey,
    version: ControlsVersion,
    control: &Control,
    by: &CommitIdentity,
) -> Result<Option<u64>, CommitError> {
    raise_controls(root, product, version, by.evidence(control.operation())).await
}
