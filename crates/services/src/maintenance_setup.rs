//! The set-up of work that an instance does, done once by its configuration: a sweep, a compaction,
//! or a decision about a partition.
//!
//! It uses the same root and policy as an instance, and refuses what an instance refuses.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::{Metrics, MetricsError};
use ebbtide_base::problem::{Problem, Severity};
use ebbtide_config::Config;
use ebbtide_controls::{
    CommitIdentity, SharedControls, UsePolicyError, record_active, require_active,
};
use ebbtide_maintenance::{
    OpenProductError, PlanBounds, ReviewCache, SweepSettings, Sweeper, SweeperDeps, TrustedClock,
    WorkShare,
};
use ebbtide_policy::LoadedPolicy;
use ebbtide_table::{ProbeError, Root, RootError};

use crate::instance::{PolicyInUse, check_grace};
use crate::policy_file::{ReadPolicyError, read_policy};

/// A configuration and its policy, which may be used together.
pub struct MaintenanceSetup {
    /// The configuration.
    pub config: Config,
    /// The policy.
    pub loaded: LoadedPolicy,
}

/// The reason why the work cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceSetupError {
    /// The configuration cannot be used.
    #[error("{0} cannot be used; see `ebbtide config check {0}`", file.display())]
    Config {
        /// The file.
        file: PathBuf,
    },
    /// The policy has errors.
    #[error("the policy {} has errors; see `ebbtide policy check`", file.display())]
    Policy {
        /// The file.
        file: PathBuf,
    },
    /// Settings contradict the policy.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Settings(Vec<Problem>),
    /// The policy cannot be read.
    #[error(transparent)]
    UnreadablePolicy(#[from] ReadPolicyError),
    /// The root is not valid.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Another policy is the active one, or the active policy cannot be determined.
    #[error(transparent)]
    Active(#[from] UsePolicyError),
    /// The bucket cannot be used for tables, or could not be tested.
    #[error(transparent)]
    Unfit(#[from] ProbeError),
    /// The policy has no such product.
    #[error("--product: the policy has no product {product} with records")]
    Product {
        /// The product.
        product: ProductKey,
    },
}

/// The reason why the sweeper of a command cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenSweeperError {
    /// A table cannot be opened.
    #[error(transparent)]
    Table(#[from] OpenProductError),
    /// The metrics are not valid.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

impl MaintenanceSetup {
    /// Opens a sweeper of the tables under `root`, or of `product` alone, and the guard of its
    /// clock. `bounds` are those of one plan.
    pub async fn sweeper(
        &self,
        root: Root,
        product: Option<&ProductKey>,
        clock: &SharedClock,
        bounds: PlanBounds,
    ) -> Result<(Sweeper, TrustedClock), OpenSweeperError> {
        let metrics = Metrics::new()?;
        let sweep = &self.config.sweep;
        let guard = TrustedClock::for_command(Arc::clone(clock), metrics.clone(), sweep, &root);
        let deps = SweeperDeps {
            root,
            policy: Arc::clone(&self.loaded.policy),
            clock: Arc::clone(clock),
            metrics,
            settings: SweepSettings {
                // The command ends before a clock could settle.
                clock_settle: Duration::MAX,
                bounds,
                ..SweepSettings::of(sweep)
            },
            share: WorkShare::All,
            reviews: ReviewCache::default(),
        };
        let sweeper = Sweeper::open(deps, product).await?;
        Ok((sweeper.with_guard(guard.clone()), guard))
    }

    /// Reads the configuration `file` and its policy, which must have the product that is asked for.
    pub fn load(
        file: &Path,
        product: Option<&ProductKey>,
    ) -> Result<MaintenanceSetup, MaintenanceSetupError> {
        let config = Config::load(file)
            .config
            .ok_or_else(|| MaintenanceSetupError::Config {
                file: file.to_owned(),
            })?;
        let loaded = read_policy(&config.policy)?.loaded();
        let loaded = loaded.ok_or_else(|| MaintenanceSetupError::Policy {
            file: config.policy.clone(),
        })?;
        let setup = MaintenanceSetup { config, loaded };
        setup.check_settings()?;
        setup.check_product(product)?;
        Ok(setup)
    }

    fn check_settings(&self) -> Result<(), MaintenanceSetupError> {
        let policy = PolicyInUse {
            policy: &self.loaded.policy,
            text: &self.loaded.text,
        };
        let mut problems = check_grace(&self.config, policy);
        problems.retain(|problem| problem.severity == Severity::Error);
        match problems.is_empty() {
            true => Ok(()),
            false => Err(MaintenanceSetupError::Settings(problems)),
        }
    }

    fn check_product(&self, product: Option<&ProductKey>) -> Result<(), MaintenanceSetupError> {
        let products = &self.loaded.policy.products;
        let has_records = |key: &&ProductKey| {
            products
                .get(*key)
                .is_some_and(|product| product.records.is_some())
        };
        match product.filter(|key| !has_records(key)) {
            Some(product) => Err(MaintenanceSetupError::Product {
                product: product.clone(),
            }),
            None => Ok(()),
        }
    }

    /// Returns the root, on which the policy must be the active one. If a write at the time
    /// `written` follows, the bucket is tested too, and the policy becomes the active one of a root
    /// that has none.
    pub async fn root(
        &self,
        written: Option<DateTime<Utc>>,
    ) -> Result<Root, MaintenanceSetupError> {
        let root = Root::open(&self.config.root, &self.config.store)?;
        let controls = SharedControls::new(root.clone());
        require_active(&root, &controls, &self.loaded).await?;
        if let Some(at) = written {
            self.prepare_commit(&root, at).await?;
        }
        Ok(root)
    }

    /// Tests the bucket before a commit at the time `at`, and records the policy as the active one
    /// of a root that has none.
    pub async fn prepare_commit(
        &self,
        root: &Root,
        at: DateTime<Utc>,
    ) -> Result<(), MaintenanceSetupError> {
        root.check().await?;
        let by = CommitIdentity {
            writer: Uuid::new_v4(),
            at,
            policy_version: self.loaded.policy.version.clone(),
        };
        let controls = SharedControls::new(root.clone());
        Ok(record_active(root, &controls, &self.loaded, &by).await?)
    }
}
