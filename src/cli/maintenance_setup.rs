//! The common parts of `ebbtide sweep` and `ebbtide compact`: the work of an instance, done once,
//! by its configuration.
//!
//! Both use the same root and policy as an instance, and refuse what an instance refuses.

use std::path::{Path, PathBuf};

use super::CommandOutput;
use chrono::{DateTime, Utc};
use ebbtide_config::Config;
use ebbtide_services::app::{PolicyInUse, ReadPolicyError, check_grace, read_policy};
use uuid::Uuid;

use ebbtide_base::ids::ProductKey;
use ebbtide_base::problem::{Problem, Severity};
use ebbtide_controls::{
    CommitIdentity, SharedControls, UsePolicyError, record_active, require_active,
};
use ebbtide_policy::LoadedPolicy;
use ebbtide_services::telemetry;
use ebbtide_table::{ProbeError, Root, RootError};

/// The reason why the work cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaintenanceSetupError {
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

impl MaintenanceSetupError {
    /// Returns true if the error is a wrong use, which the caller can fix.
    pub(super) fn is_use(&self) -> bool {
        match self {
            Self::Active(error) => error.is_other_policy(),
            Self::Unfit(_) => false,
            _ => true,
        }
    }
}

/// Runs `command` with the log that the configuration asks for. The reasons of failures are only in
/// the log.
pub(super) fn logged(config: &Path, command: impl FnOnce() -> CommandOutput) -> CommandOutput {
    #[cfg(feature = "failpoints")]
    let _watched = ebbtide_base::failpoint::watch();
    // Without a configuration there is nothing to do, and the command reports it.
    if let Some(config) = Config::load(config).config
        && let Err(error) = telemetry::init(&config.log)
    {
        return CommandOutput::failure(format!("error: {error}\n"));
    }
    command()
}

/// Returns the configuration and its policy, which must have the product that was asked for.
pub(super) fn configured(
    file: &Path,
    product: Option<&ProductKey>,
) -> Result<(Config, LoadedPolicy), MaintenanceSetupError> {
    let config = Config::load(file)
        .config
        .ok_or_else(|| MaintenanceSetupError::Config {
            file: file.to_owned(),
        })?;
    let loaded = read_policy(&config.policy)?.loaded();
    let loaded = loaded.ok_or_else(|| MaintenanceSetupError::Policy {
        file: config.policy.clone(),
    })?;
    let mut problems = check_grace(
        &config,
        PolicyInUse {
            policy: &loaded.policy,
            text: &loaded.text,
        },
    );
    problems.retain(|problem| problem.severity == Severity::Error);
    if !problems.is_empty() {
        return Err(MaintenanceSetupError::Settings(problems));
    }
    match product.filter(|key| {
        loaded
            .policy
            .products
            .get(key)
            .is_none_or(|product| product.records.is_none())
    }) {
        Some(product) => Err(MaintenanceSetupError::Product {
            product: product.clone(),
        }),
        None => Ok((config, loaded)),
    }
}

/// Returns the root, on which the policy must be the active one. If a write at the time `written`
/// follows, the bucket is tested too, and the policy becomes the active one of a root that has
/// none.
pub(super) async fn root(
    config: &Config,
    loaded: &LoadedPolicy,
    written: Option<DateTime<Utc>>,
) -> Result<Root, MaintenanceSetupError> {
    let root = Root::open(&config.root, &config.store)?;
    let controls = SharedControls::new(root.clone());
    require_active(&root, &controls, loaded).await?;
    if let Some(at) = written {
        prepare_commit(&root, loaded, at).await?;
    }
    Ok(root)
}

/// Tests the bucket before a commit at the time `at`, and records the policy as the active one of a
/// root that has none.
pub(super) async fn prepare_commit(
    root: &Root,
    loaded: &LoadedPolicy,
    at: DateTime<Utc>,
) -> Result<(), MaintenanceSetupError> {
    root.check().await?;
    let by = CommitIdentity {
        writer: Uuid::new_v4(),
        at,
        policy_version: loaded.policy.version.clone(),
    };
    Ok(record_active(root, &SharedControls::new(root.clone()), loaded, &by).await?)
}
