//! The operator's configuration: one YAML file, overridden by `EBBTIDE_*` variables. The only
//! reader of the environment.
//!
//! All problems are reported together, each with its place and its fix, and a [`Config`] is
//! complete and consistent. Must never print a secret or put one in a problem.

mod check;
mod client_rules;
mod declare;
mod environment;
mod forms;
mod keys;
mod origins;
mod property;
mod reader;
mod secret;
mod sections;
mod show;
mod store_access;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use client_rules::{SESSION_TIMEOUT_MS, uses_consumer_protocol};
pub use keys::keys;
pub use origins::{Origin, Origins};
pub use property::{Property, spellings};
pub use secret::Secret;
pub use sections::{
    CompactConfig, Config, HttpConfig, IngestConfig, KafkaConfig, LogConfig, LogFormat,
    MaintenanceConfig, NoticeLimits, NoticesConfig, RegistryAuth, RegistryConfig, RetentionCheck,
    SchemasConfig, SweepConfig,
};
pub use store_access::ObjectStoreConfig;
pub use units::show_duration;

use ebbtide_base::problem::{Problem, Problems, TextPosition};
use ebbtide_base::yaml;

/// The result of reading a configuration.
#[derive(Debug)]
pub struct CheckedConfig {
    /// The configuration; `None` if there is any error.
    pub config: Option<Config>,
    /// Every error and warning, in the order of the file.
    pub problems: Vec<Problem>,
}

/// The inputs of a configuration besides its text.
#[derive(Debug, Clone, Default)]
pub struct ConfigInputs {
    /// The environment's variables.
    pub variables: BTreeMap<String, String>,
    /// The folder that relative paths are relative to: the folder of the file.
    pub folder: PathBuf,
}

impl ConfigInputs {
    /// Returns this process's environment and the folder of `file`. Variables that are not UTF-8
    /// are left out.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "the one module that may read the environment"
    )]
    pub fn of(file: &Path) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Self {
            variables: std::env::vars_os().filter_map(text).collect(),
            folder,
        }
    }
}

/// Returns the time by which this process's clock is ahead of the machine's clock: `CLOCK_AHEAD` in
/// the environment, in seconds. It lets tests see data expire without waiting. A clock that is
/// ahead deletes data, so no other build has this.
#[cfg(feature = "failpoints")]
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one module that may read the environment"
)]
pub fn clock_ahead() -> Option<std::time::Duration> {
    std::env::var("CLOCK_AHEAD")
        .ok()?
        .parse()
        .ok()
        .map(std::time::Duration::from_secs)
}

/// Returns the start and speed of a clock that is faster than the machine's clock and agrees with
/// it at one instant: `CLOCK_FROM` (RFC 3339) and `CLOCK_SPEED` in the environment. It is for the
/// test of a whole retention period, whose processes must agree on the time; no other build has
/// this.
#[cfg(feature = "failpoints")]
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one module that may read the environment"
)]
pub fn clock_fast() -> Option<(chrono::DateTime<chrono::Utc>, u32)> {
    let from = chrono::DateTime::parse_from_rfc3339(&std::env::var("CLOCK_FROM").ok()?).ok()?;
    Some((
        from.to_utc(),
        std::env::var("CLOCK_SPEED")
            .ok()?
            .parse()
            .ok()
            .filter(|speed| *speed > 0)?,
    ))
}

impl Config {
    /// Reads `file` and this process's environment. A file that cannot be read is reported as a
    /// problem.
    #[must_use]
    pub fn load(file: &Path) -> CheckedConfig {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&name, &text, &ConfigInputs::of(file)),
            Err(error) => {
                let mut problems = Problems::new(&name);
                problems.error(
                    TextPosition::default(),
                    "",
                    format!("cannot be read: {error}"),
                    "name a readable YAML file",
                );
                CheckedConfig {
                    config: None,
                    problems: problems.into_sorted(),
                }
            }
        }
    }

    /// Reads a configuration from `text`; `file` is its name in problems. Reads the files that
    /// secrets name.
    #[must_use]
    pub fn parse(file: &str, text: &str, around: &ConfigInputs) -> CheckedConfig {
        let mut problems = Problems::new(file);
        let mut tree = match yaml::parse(text) {
            Ok(tree) => tree,
            Err(error) => {
                problems.error(error.at, "", error.what, "correct the YAML");
                return CheckedConfig {
                    config: None,
                    problems: problems.into_sorted(),
                };
            }
        };
        let variables = environment::overlay(&mut tree, &around.variables, &mut problems);
        let mut config = reader::read(&tree, around, &mut problems)
            .map(|read| check::check(read, &tree, &mut problems))
            .filter(|_| !problems.any_error());
        if let Some(config) = &mut config {
            config.complete(around);
            config.origins = Origins::read(file, &tree, &variables);
        }
        let problems = origins::name_variables(problems.into_sorted(), &variables);
        CheckedConfig { config, problems }
    }

    /// Adds the settings that come from the file's surroundings.
    fn complete(&mut self, around: &ConfigInputs) {
        self.store.variables = ObjectStoreConfig::of(around).variables;
        if !self.root.contains("://") {
            let folder = around.folder.join(&self.root);
            self.root = folder.to_string_lossy().into_owned();
        }
    }
}

#[cfg(test)]
mod tests;
