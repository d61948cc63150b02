//! The operator's configuration: one YAML file, overridden by `EBBTIDE_*` variables. The only
//! reader of the environment.
//!
//! All problems are reported together, each with its place and its fix, and a [`Config`] is
//! complete and consistent. Must never print a secret or put one in a problem.

mod client_rules;
mod environment;
mod origins;
mod property;
mod reader;
mod secret;
mod sections;
mod show;
mod store_access;
mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::NaiveDate;
use url::Url;

pub use client_rules::{SESSION_TIMEOUT_MS, uses_consumer_protocol};
pub use origins::{Origin, Origins};
pub use property::{Property, spellings};
pub use secret::Secret;
pub use store_access::ObjectStoreConfig;
pub use units::show_duration;

use ebbtide_base::problem::{Problem, Problems, TextPosition};
use ebbtide_base::yaml;

/// Every key of the file by its path, except the open `kafka.properties.*`. `config/ebbtide.yaml`
/// explains each.
pub const KEYS: [&str; 57] = [
    "policy",
    "root",
    "store.endpoint",
    "store.region",
    "store.access_key_id",
    "store.secret_access_key",
    "store.virtual_hosted_style",
    "store.allow_http",
    "store.ca",
    "store.timeout",
    "store.retry_for",
    "kafka.bootstrap_servers",
    "kafka.properties",
    "kafka.group",
    "kafka.dead_letter_topic",
    "kafka.retention_check",
    "notices.contracts",
    "notices.consents",
    "notices.earliest",
    "notices.contract_ahead",
    "notices.max_share",
    "notices.max_share_from",
    "schemas.registry.url",
    "schemas.registry.basic.user",
    "schemas.registry.basic.password",
    "schemas.registry.bearer",
    "schemas.registry.ca",
    "schemas.registry.timeout",
    "schemas.registry.unknown_schema_wait",
    "schemas.folder",
    "ingest.lanes",
    "ingest.memory",
    "ingest.commit_bytes",
    "ingest.commit_age",
    "ingest.future_tolerance",
    "ingest.shutdown_timeout",
    "ingest.max_message_bytes",
    "maintain.checkpoint_every",
    "maintain.log_retention",
    "maintain.orphan_age",
    "maintain.readers_grace",
    "maintain.quarantine_retention",
    "sweep.enabled",
    "sweep.every",
    "sweep.memory",
    "sweep.takeover",
    "sweep.clock_tolerance",
    "sweep.clock_settle",
    "sweep.clock_max_step",
    "compact.enabled",
    "compact.every",
    "compact.late",
    "compact.target",
    "compact.memory",
    "http.listen",
    "log.format",
    "log.level",
];

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The policy's file.
    pub policy: PathBuf,
    /// The location of the tables: a path, or a URL if the text contains `://`.
    pub root: String,
    /// The access to the object store, if the tables are in one.
    pub store: ObjectStoreConfig,
    /// The broker.
    pub kafka: KafkaConfig,
    /// The topics of notices.
    pub notices: NoticesConfig,
    /// The sources of writer schemas. The products' own schemas are known without any of them.
    pub schemas: SchemasConfig,
    /// The limits of buffered data, and the times of commits.
    pub ingest: IngestConfig,
    /// The maintenance of the tables besides commits.
    pub maintain: MaintenanceConfig,
    /// The deletion of expired data.
    pub sweep: SweepConfig,
    /// The merging of small segments into large ones.
    pub compact: CompactConfig,
    /// The operations port.
    pub http: HttpConfig,
    /// The log.
    pub log: LogConfig,
    /// The place at which each setting is set.
    pub origins: Origins,
}

/// The broker, the group and the dead letters.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// librdkafka's own properties, each under its canonical name. They always contain
    /// `bootstrap.servers`, and never a property that Ebbtide sets itself.
    pub properties: BTreeMap<String, Property>,
    /// The consumer group.
    pub group: String,
    /// The topic of the dead letters.
    pub dead_letter_topic: String,
    /// The reaction to a topic that keeps records longer than the policy's shortest ceiling.
    pub retention_check: RetentionCheck,
}

/// The limits above which a notice needs a person's decision before it takes effect
/// (docs/triggers.md).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NoticeLimits {
    /// The first day on which a contract can have ended or consent been withdrawn.
    pub earliest: NaiveDate,
    /// The longest time in the future at which a contract may end.
    pub contract_ahead: Duration,
    /// The share of a table's records, from 0 to 1, that notices may make due immediately.
    pub max_share: f64,
    /// The number of records up to which notices may make any share due immediately.
    pub max_share_from: u64,
}

impl Default for NoticeLimits {
    fn default() -> Self {
        Self {
            earliest: NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default(),
            contract_ahead: Duration::from_secs(3_650 * 86_400),
            max_share: 0.2,
            max_share_from: 1_000,
        }
    }
}

/// The topics in which other systems report triggers (docs/triggers.md).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NoticesConfig {
    /// Contracts that ended.
    pub contracts: Option<String>,
    /// People who withdrew consent.
    pub consents: Option<String>,
    /// The limits above which they need a person's decision.
    pub limits: NoticeLimits,
}

/// The reaction to a topic that keeps records longer than the policy's shortest ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionCheck {
    /// Do not start.
    Refuse,
    /// Start, and log a warning.
    Warn,
}

/// The sources of writer schemas.
#[derive(Debug, Clone, Default)]
pub struct SchemasConfig {
    /// A Confluent-compatible registry.
    pub registry: Option<RegistryConfig>,
    /// A folder of `*.avsc` files.
    pub folder: Option<PathBuf>,
}

/// A Confluent-compatible schema registry.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// The base URLs of its servers (http or https, without credentials), at least one;
    /// `schemas/ids/7` is appended.
    pub urls: Vec<Url>,
    /// The credentials.
    pub auth: RegistryAuth,
    /// A PEM file of the authorities to trust in addition to the system's.
    pub ca: Option<PathBuf>,
    /// The longest time that one request may take.
    pub timeout: Duration,
    /// The longest time that records wait for a schema that the registry does not know yet. Zero:
    /// its first answer counts.
    pub unknown_schema_wait: Duration,
}

/// The credentials for the registry.
#[derive(Debug, Clone)]
pub enum RegistryAuth {
    /// No credentials.
    None,
    /// A user and a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Bearer(Secret),
}

/// The limits of buffered data, and the times of commits.
#[derive(Debug, Clone)]
pub struct IngestConfig {
    /// The number of threads that decode, tag and encode.
    pub lanes: usize,
    /// The maximum number of bytes of decoded, buffered and in-flight data together.
    pub memory: u64,
    /// Bytes of one product's buffered data at which it is committed.
    pub commit_bytes: u64,
    /// The age of the oldest buffered record at which its product is committed.
    pub commit_age: Duration,
    /// The longest time by which an event may be in the future.
    pub future_tolerance: Duration,
    /// The longest time that a stop may take to flush, commit and leave the group.
    pub shutdown_timeout: Duration,
    /// The maximum size of a message in bytes; a larger message is a dead letter.
    pub max_message_bytes: u64,
}

/// The maintenance of the tables besides commits.
#[derive(Debug, Clone)]
pub struct MaintenanceConfig {
    /// The number of commits between two checkpoints of a table.
    pub checkpoint_every: u64,
    /// The time for which old log entries are kept.
    pub log_retention: Duration,
    /// The age from which a file that no commit names is deleted.
    pub orphan_age: Duration,
    /// The time for which a replaced file is kept for readers of an older version. It counts as
    /// part of every rule's grace.
    pub readers_grace: Duration,
    /// The retention of a dead letter in the quarantine, unless the policy sets a shorter one.
    pub quarantine_retention: Duration,
}

/// The deletion of expired data.
#[derive(Debug, Clone)]
pub struct SweepConfig {
    /// True if this instance sweeps. Overdue data is counted in either case.
    pub enabled: bool,
    /// The interval between two searches for expired data.
    pub every: Duration,
    /// The maximum number of bytes that the cells of one bucket may take while they are made.
    pub memory: u64,
    /// The time for which a task waits for the instance that should do it. After that any instance
    /// may do it.
    pub takeover: Duration,
    /// The difference between the wall clock and the machine's running time above which the clock
    /// counts as having jumped.
    pub clock_tolerance: Duration,
    /// The time for which the clock must run evenly after a jump before it is trusted again.
    pub clock_settle: Duration,
    /// The longest time by which the clock may be ahead of the last trusted time without a
    /// confirmation.
    pub clock_max_step: Duration,
}

impl Default for SweepConfig {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            enabled: true,
            every: minutes(1),
            memory: 128 << 20,
            takeover: minutes(10),
            clock_tolerance: minutes(5),
            clock_settle: minutes(10),
            clock_max_step: minutes(3 * 24 * 60),
        }
    }
}

/// The merging of small segments into large ones.
#[derive(Debug, Clone)]
pub struct CompactConfig {
    /// True if this instance compacts.
    pub enabled: bool,
    /// The interval between two searches for segments to merge.
    pub every: Duration,
    /// The time after the end of a bucket during which it is not compacted, because late records
    /// may arrive.
    pub late: Duration,
    /// The maximum number of bytes of a compacted segment.
    pub target: u64,
    /// The approximate number of bytes of memory that one merge may take.
    pub memory: u64,
}

/// The operations port.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The address of `/livez`, `/readyz` and `/metrics`.
    pub listen: SocketAddr,
}

/// The log.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The format.
    pub format: LogFormat,
    /// The events that are written: a level, or `target=level` parts, separated by commas.
    pub level: String,
}

/// The log's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines of text for people.
    Text,
    /// One JSON object per line.
    Json,
}

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
        reason = "the one room that may read the environment"
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
    reason = "the one room that may read the environment"
)]
pub fn clock_ahead() -> Option<Duration> {
    std::env::var("CLOCK_AHEAD")
        .ok()?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

/// Returns the start and speed of a clock that is faster than the machine's clock and agrees with
/// it at one instant: `CLOCK_FROM` (RFC 3339) and `CLOCK_SPEED` in the environment. It is for the
/// test of a whole retention period, whose processes must agree on the time; no other build has
/// this.
#[cfg(feature = "failpoints")]
#[must_use]
#[allow(
    clippy::disallowed_methods,
    reason = "the one room that may read the environment"
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
                problems.error(error.at, "", error.what, "mend the YAML");
                return CheckedConfig {
                    config: None,
                    problems: problems.into_sorted(),
                };
            }
        };
        let variables = environment::overlay(&mut tree, &around.variables, &mut problems);
        let origins = Origins::read(file, &tree, &variables);
        let config = sections::config(&tree, origins, around, &mut problems);
        let failed = problems.any_error();
        let problems = environment::named(problems.into_sorted(), &variables);
        CheckedConfig {
            config: config.filter(|_| !failed),
            problems,
        }
    }
}

#[cfg(test)]
mod tests;
