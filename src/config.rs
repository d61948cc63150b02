//! What the operator configures: one YAML file, overridden by `EBBTIDE_*` variables. The only reader of the environment.
//!
//! Promises that every problem is told at once with its place and its mend, and that a [`Config`] is whole and
//! consistent. Must never print a secret, nor put one in a problem.

mod client_rules;
mod environment;
mod origins;
mod property;
mod reach;
mod reader;
mod secret;
mod sections;
mod show;
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
pub use reach::ObjectStore;
pub use secret::Secret;
pub use units::show_duration;

use crate::problem::{At, Problem, Problems};
use crate::yaml;

/// Every key of the file by its path, except the open `kafka.properties.*`. `config/ebbtide.yaml` explains each.
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
    /// Where the tables are: a path, or a URL where the text holds `://`.
    pub root: String,
    /// How the object store is reached, where the tables are in one.
    pub store: ObjectStore,
    /// The broker.
    pub kafka: Kafka,
    /// The topics of notices.
    pub notices: Notices,
    /// Where writer schemas come from. The products' own schemas are known without any of it.
    pub schemas: SchemasSource,
    /// How much is held, and how often it is committed.
    pub ingest: Ingest,
    /// What the tables need beside commits.
    pub maintain: Maintain,
    /// How what is due is made to go.
    pub sweep: Sweep,
    /// How small segments are made large ones.
    pub compact: Compact,
    /// The operations port.
    pub http: Http,
    /// The log.
    pub log: Log,
    /// The place at which each setting is set.
    pub origins: Origins,
}

/// The broker, the group and the dead letters.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// librdkafka's own properties, each under its canonical name. They always contain `bootstrap.servers`, and never a
    /// property that Ebbtide sets itself.
    pub properties: BTreeMap<String, Property>,
    /// The consumer group.
    pub group: String,
    /// The topic of the dead letters.
    pub dead_letter_topic: String,
    /// What to do where a topic keeps records longer than the policy's shortest ceiling.
    pub retention_check: RetentionCheck,
}

/// The limits above which a notice needs a person's decision before it takes effect (docs/triggers.md).
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

/// The topics in which other systems tell of triggers (docs/triggers.md).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notices {
    /// Contracts that ended.
    pub contracts: Option<String>,
    /// People who withdrew consent.
    pub consents: Option<String>,
    /// The limits above which they need a person's decision.
    pub limits: NoticeLimits,
}

/// What to do where a topic keeps records longer than the policy's shortest ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionCheck {
    /// Do not start.
    Refuse,
    /// Start, and say so in the log.
    Warn,
}

/// Where writer schemas come from.
#[derive(Debug, Clone, Default)]
pub struct SchemasSource {
    /// A Confluent-compatible registry.
    pub registry: Option<Registry>,
    /// A folder of `*.avsc` files.
    pub folder: Option<PathBuf>,
}

/// A Confluent-compatible schema registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The base URLs of its servers (http or https, without credentials), at least one; `schemas/ids/7` is appended.
    pub urls: Vec<Url>,
    /// How to log in.
    pub auth: Auth,
    /// A PEM file of the authorities to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// The most that one request may take.
    pub timeout: Duration,
    /// The longest time that records wait for a schema that the registry does not know yet. Zero: its first answer
    /// counts.
    pub unknown_schema_wait: Duration,
}

/// How to log in at the registry.
#[derive(Debug, Clone)]
pub enum Auth {
    /// Not at all.
    None,
    /// By user and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// By a token.
    Bearer(Secret),
}

/// How much is held in memory, and how often it is committed.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// How many threads decode, tag and encode.
    pub lanes: usize,
    /// The most bytes that decoded, buffered and in-flight data may take together.
    pub memory: u64,
    /// Bytes of one product's buffered data at which it is committed.
    pub commit_bytes: u64,
    /// The age of the oldest buffered record at which its product is committed.
    pub commit_age: Duration,
    /// How far in the future an event may lie.
    pub future_tolerance: Duration,
    /// The most that a stop may take to flush, commit and leave the group.
    pub shutdown_timeout: Duration,
    /// The largest message's bytes; a larger one is a dead letter.
    pub max_message_bytes: u64,
}

/// What the tables need beside commits.
#[derive(Debug, Clone)]
pub struct Maintain {
    /// Commits between two checkpoints of a table.
    pub checkpoint_every: u64,
    /// How long old log entries stay.
    pub log_retention: Duration,
    /// The age from which a file that no commit names is deleted.
    pub orphan_age: Duration,
    /// How long a replaced file stays for those who read an older version. It counts inside every rule's grace.
    pub readers_grace: Duration,
    /// The retention of a dead letter in the quarantine, unless the policy sets a shorter one.
    pub quarantine_retention: Duration,
}

/// How what is due is made to go.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Whether this instance sweeps. What is overdue is counted either way.
    pub enabled: bool,
    /// How often it is looked for what is due.
    pub every: Duration,
    /// The most bytes that the cells of one bucket may take while they are made.
    pub memory: u64,
    /// How long work that another instance should do waits for it before it is everybody's.
    pub takeover: Duration,
    /// How far the wall clock and the machine's running time may part before the clock has jumped.
    pub clock_tolerance: Duration,
    /// How long the clock must go evenly after a jump before it is trusted again.
    pub clock_settle: Duration,
    /// The longest time by which the clock may be ahead of the last trusted time without a confirmation.
    pub clock_max_step: Duration,
}

impl Default for Sweep {
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

/// How small segments are made large ones.
#[derive(Debug, Clone)]
pub struct Compact {
    /// Whether this instance compacts.
    pub enabled: bool,
    /// How often it is looked for segments that become one.
    pub every: Duration,
    /// How long after its end a bucket is left alone, for records that come late.
    pub late: Duration,
    /// Bytes that a compacted segment has at most.
    pub target: u64,
    /// The bytes that one merge is to take, about.
    pub memory: u64,
}

/// The operations port.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where `/livez`, `/readyz` and `/metrics` answer.
    pub listen: SocketAddr,
}

/// The log.
#[derive(Debug, Clone)]
pub struct Log {
    /// Its form.
    pub format: LogFormat,
    /// What is written: a level, or `target=level` parts, separated by commas.
    pub level: String,
}

/// The log's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What reading a configuration gave.
#[derive(Debug)]
pub struct Checked {
    /// The configuration; `None` if there is any error.
    pub config: Option<Config>,
    /// Every error and warning, in the order of the file.
    pub problems: Vec<Problem>,
}

/// What a configuration depends on beside its text.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The environment's variables.
    pub variables: BTreeMap<String, String>,
    /// The folder that relative paths count from: the file's own.
    pub folder: PathBuf,
}

impl Surroundings {
    /// This process's environment, and the folder of `file`. Variables that are not UTF-8 are left out.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one room that may read the environment")]
    pub fn of(file: &Path) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
        Self { variables: std::env::vars_os().filter_map(text).collect(), folder }
    }
}

/// How far ahead of the machine's clock this process is to live: `CLOCK_AHEAD` in the environment, in seconds. For tests that
/// see what is due go without waiting for it; a clock that is ahead deletes, so no other build knows it.
#[cfg(feature = "failpoints")]
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one room that may read the environment")]
pub fn clock_ahead() -> Option<Duration> {
    std::env::var("CLOCK_AHEAD").ok()?.parse().ok().map(Duration::from_secs)
}

/// A clock that goes many times as fast as the machine's, and agrees with it at an instant: `CLOCK_FROM` (RFC 3339) and
/// `CLOCK_SPEED` in the environment. For the test of a whole retention life, whose processes must agree; no other build knows it.
#[cfg(feature = "failpoints")]
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one room that may read the environment")]
pub fn clock_fast() -> Option<(chrono::DateTime<chrono::Utc>, u32)> {
    let from = chrono::DateTime::parse_from_rfc3339(&std::env::var("CLOCK_FROM").ok()?).ok()?;
    Some((from.to_utc(), std::env::var("CLOCK_SPEED").ok()?.parse().ok().filter(|speed| *speed > 0)?))
}

impl Config {
    /// Reads `file` and this process's environment. A file that cannot be read is a problem like any other.
    #[must_use]
    pub fn load(file: &Path) -> Checked {
        let name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(&name, &text, &Surroundings::of(file)),
            Err(error) => {
                let mut problems = Problems::of(&name);
                problems.error(At::default(), "", format!("cannot be read: {error}"), "name a readable YAML file");
                Checked { config: None, problems: problems.into_sorted() }
            }
        }
    }

    /// Reads a configuration from `text`; `file` is its name in problems. Reads the files that secrets name.
    #[must_use]
    pub fn parse(file: &str, text: &str, around: &Surroundings) -> Checked {
        let mut problems = Problems::of(file);
        let mut tree = match yaml::parse(text) {
            Ok(tree) => tree,
            Err(error) => {
                problems.error(error.at, "", error.what, "mend the YAML");
                return Checked { config: None, problems: problems.into_sorted() };
            }
        };
        let variables = environment::overlay(&mut tree, &around.variables, &mut problems);
        let origins = Origins::read(file, &tree, &variables);
        let config = sections::config(&tree, origins, around, &mut problems);
        let failed = problems.any_error();
        let problems = environment::named(problems.into_sorted(), &variables);
        Checked { config: config.filter(|_| !failed), problems }
    }
}

#[cfg(test)]
mod tests;
