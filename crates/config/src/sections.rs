//! Each section of the file: its keys with their defaults and limits.
//!
//! A key is declared here and nowhere else. Requirements of one key on another are in
//! [`super::check`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use url::Url;

use super::declare::settings;
use super::forms::{Amount, Number, Time};
use super::units::{DAY, GIB, HOUR, KIB, MIB, MINUTE, TIB};
use super::{ObjectStoreConfig, Origins, Property, Secret};

/// The shortest time of a setting in milliseconds, unless it may be zero.
const SHORTEST: u64 = 100;
/// The minimum memory of a lane in bytes, if the number of lanes is not set.
const LANE_MEMORY: u64 = 32 * MIB;

settings! {
    /// The whole configuration.
    pub struct Config {
        /// The policy's file.
        #[serde(with = "super::forms::path")]
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
        #[serde(skip)]
        pub origins: Origins,
    }

    /// The broker, the group and the dead letters.
    pub struct KafkaConfig {
        /// The brokers, as the file's short form of the property `bootstrap.servers`. The check
        /// moves them there.
        #[serde(skip_serializing)]
        pub(crate) bootstrap_servers: Option<String>,
        /// librdkafka's own properties, each under its canonical name. They always contain
        /// `bootstrap.servers`, and never a property that Ebbtide sets itself.
        pub properties: BTreeMap<String, Property>,
        /// The consumer group.
        #[serde(deserialize_with = "super::forms::group")]
        pub group: String = "ebbtide".to_owned(),
        /// The topic of the dead letters.
        #[serde(deserialize_with = "super::forms::topic")]
        pub dead_letter_topic: String = "ebbtide.dead-letters".to_owned(),
        /// The reaction to a topic that keeps records longer than the policy's shortest ceiling.
        pub retention_check: RetentionCheck,
    }

    /// The topics in which other systems report triggers (docs/triggers.md).
    #[derive(PartialEq)]
    pub struct NoticesConfig {
        /// Contracts that ended.
        #[serde(deserialize_with = "super::forms::topic")]
        pub contracts: Option<String>,
        /// People who withdrew consent.
        #[serde(deserialize_with = "super::forms::topic")]
        pub consents: Option<String>,
        /// The limits above which they need a person's decision.
        #[serde(rename = "")]
        pub limits: NoticeLimits,
    }

    /// The limits above which a notice needs a person's decision before it takes effect
    /// (docs/triggers.md).
    #[derive(Copy, PartialEq)]
    pub struct NoticeLimits {
        /// The first day on which a contract can have ended or consent been withdrawn.
        #[serde(deserialize_with = "super::forms::date")]
        pub earliest: NaiveDate = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap_or_default(),
        /// The longest time in the future at which a contract may end.
        #[serde(with = "Time::<0, { 36_500 * DAY }>")]
        pub contract_ahead: Duration = Duration::from_hours(3_650 * 24),
        /// The share of a table's records, from 0 to 1, that notices may make due immediately.
        #[serde(deserialize_with = "super::forms::share")]
        pub max_share: f64 = 0.2,
        /// The number of records up to which notices may make any share due immediately.
        #[serde(deserialize_with = "Number::<0, { u64::MAX }>::deserialize")]
        pub max_share_from: u64 = 1_000,
    }

    /// The sources of writer schemas.
    pub struct SchemasConfig {
        /// A Confluent-compatible registry.
        pub registry: Option<RegistryConfig>,
        /// A folder of `*.avsc` files.
        #[serde(with = "super::forms::path")]
        pub folder: Option<PathBuf>,
    }

    /// A Confluent-compatible schema registry.
    pub struct RegistryConfig {
        /// The base URLs of its servers (http or https, without credentials), at least one;
        /// `schemas/ids/7` is appended.
        #[serde(rename = "url", with = "super::forms::servers")]
        pub urls: Vec<Url>,
        /// The credentials.
        #[serde(rename = "")]
        pub auth: RegistryAuth,
        /// A PEM file of the authorities to trust in addition to the system's.
        #[serde(with = "super::forms::path")]
        pub ca: Option<PathBuf>,
        /// The longest time that one request may take.
        #[serde(with = "Time::<SHORTEST, { 5 * MINUTE }>")]
        pub timeout: Duration = Duration::from_secs(10),
        /// The longest time that records wait for a schema that the registry does not know yet.
        /// Zero: its first answer counts.
        #[serde(with = "Time::<0, { 10 * MINUTE }>")]
        pub unknown_schema_wait: Duration = Duration::from_secs(30),
    }

    /// The keys of the registry's credentials.
    pub(crate) struct AuthKeys {
        /// The user and the password to log in with.
        pub basic: Option<BasicAuth>,
        /// The token to log in with, instead of `basic`.
        pub bearer: Option<Secret>,
    }

    /// A user and a password.
    pub(crate) struct BasicAuth {
        /// The user.
        pub user: Option<String>,
        /// The password.
        pub password: Option<Secret>,
    }

    /// The limits of buffered data, and the times of commits.
    pub struct IngestConfig {
        /// The number of threads that decode, tag and encode.
        #[serde(deserialize_with = "Number::<1, 256>::deserialize")]
        pub lanes: usize = default_lanes(512 * MIB),
        /// The maximum number of bytes of decoded, buffered and in-flight data together.
        #[serde(with = "Amount::<{ 16 * MIB }, TIB>")]
        pub memory: u64 = 512 * MIB,
        /// Bytes of one product's buffered data at which it is committed.
        #[serde(with = "Amount::<MIB, TIB>")]
        pub commit_bytes: u64 = default_commit_bytes(512 * MIB),
        /// The age of the oldest buffered record at which its product is committed.
        #[serde(with = "Time::<SHORTEST, DAY>")]
        pub commit_age: Duration = Duration::from_secs(10),
        /// The longest time by which an event may be in the future.
        #[serde(with = "Time::<SHORTEST, DAY>")]
        pub future_tolerance: Duration = Duration::from_hours(1),
        /// The longest time that a stop may take to flush, commit and leave the group.
        #[serde(with = "Time::<SHORTEST, HOUR>")]
        pub shutdown_timeout: Duration = Duration::from_secs(30),
        /// The maximum size of a message in bytes; a larger message is a dead letter.
        #[serde(with = "Amount::<KIB, { 256 * MIB }>")]
        pub max_message_bytes: u64 = MIB,
    }

    /// The maintenance of the tables besides commits.
    pub struct MaintenanceConfig {
        /// The number of commits between two checkpoints of a table.
        #[serde(deserialize_with = "Number::<1, 100_000>::deserialize")]
        pub checkpoint_every: u64 = 100,
        /// The time for which old log entries are kept.
        #[serde(with = "Time::<HOUR, { 3_650 * DAY }>")]
        pub log_retention: Duration = Duration::from_hours(30 * 24),
        /// The age from which a file that no commit names is deleted.
        #[serde(with = "Time::<HOUR, { 3_650 * DAY }>")]
        pub orphan_age: Duration = Duration::from_hours(6),
        /// The time for which a replaced file is kept for readers of an older version. It counts
        /// as part of every rule's grace.
        #[serde(with = "Time::<0, { 30 * DAY }>")]
        pub readers_grace: Duration = Duration::from_hours(1),
        /// The retention of a dead letter in the quarantine, unless the policy sets a shorter one.
        #[serde(with = "Time::<HOUR, { 3_650 * DAY }>")]
        pub quarantine_retention: Duration = Duration::from_hours(7 * 24),
    }

    /// The deletion of expired data.
    pub struct SweepConfig {
        /// True if this instance sweeps. Overdue data is counted in either case.
        pub enabled: bool = true,
        /// The interval between two searches for expired data.
        #[serde(with = "Time::<SHORTEST, DAY>")]
        pub every: Duration = Duration::from_mins(1),
        /// The maximum number of bytes that the cells of one bucket may take while they are made.
        #[serde(with = "Amount::<MIB, TIB>")]
        pub memory: u64 = 128 * MIB,
        /// The time for which a task waits for the instance that should do it. After that any
        /// instance may do it.
        #[serde(with = "Time::<SHORTEST, DAY>")]
        pub takeover: Duration = Duration::from_mins(10),
        /// The difference between the wall clock and the machine's running time above which the
        /// clock counts as having jumped.
        #[serde(with = "Time::<SHORTEST, DAY>")]
        pub clock_tolerance: Duration = Duration::from_mins(5),
        /// The time for which the clock must run evenly after a jump before it is trusted again.
        #[serde(with = "Time::<SHORTEST, DAY>")]
        pub clock_settle: Duration = Duration::from_mins(10),
        /// The longest time by which the clock may be ahead of the last trusted time without a
        /// confirmation.
        #[serde(with = "Time::<HOUR, { 3_650 * DAY }>")]
        pub clock_max_step: Duration = Duration::from_hours(3 * 24),
    }

    /// The merging of small segments into large ones.
    pub struct CompactConfig {
        /// True if this instance compacts.
        pub enabled: bool = true,
        /// The interval between two searches for segments to merge.
        #[serde(with = "Time::<SHORTEST, { 30 * DAY }>")]
        pub every: Duration = Duration::from_mins(10),
        /// The time after the end of a bucket during which it is not compacted, because late
        /// records may arrive.
        #[serde(with = "Time::<SHORTEST, { 30 * DAY }>")]
        pub late: Duration = Duration::from_hours(1),
        /// The maximum number of bytes of a compacted segment.
        #[serde(with = "Amount::<MIB, { 16 * GIB }>")]
        pub target: u64 = GIB,
        /// The approximate number of bytes of memory that one merge may take.
        #[serde(with = "Amount::<{ 64 * MIB }, TIB>")]
        pub memory: u64 = 256 * MIB,
    }

    /// The operations port.
    pub struct HttpConfig {
        /// The address of `/livez`, `/readyz` and `/metrics`.
        #[serde(deserialize_with = "super::forms::address")]
        pub listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 9464)),
    }

    /// The log.
    pub struct LogConfig {
        /// The format.
        pub format: LogFormat,
        /// The events that are written: a level, or `target=level` parts, separated by commas.
        #[serde(deserialize_with = "super::forms::log_level")]
        pub level: String =
            "info,librdkafka=warn,buoyant_kernel=off,deltalake_core=warn".to_owned(),
    }
}

/// The reaction to a topic that keeps records longer than the policy's shortest ceiling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetentionCheck {
    /// Do not start.
    #[default]
    Refuse,
    /// Start, and log a warning.
    Warn,
}

/// The log's format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines of text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The credentials for the registry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "AuthKeys", into = "AuthKeys")]
pub enum RegistryAuth {
    /// No credentials.
    #[default]
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

impl From<AuthKeys> for RegistryAuth {
    fn from(keys: AuthKeys) -> Self {
        match keys {
            AuthKeys {
                basic:
                    Some(BasicAuth {
                        user: Some(user),
                        password: Some(password),
                    }),
                ..
            } => RegistryAuth::Basic { user, password },
            AuthKeys {
                bearer: Some(token),
                ..
            } => RegistryAuth::Bearer(token),
            _ => RegistryAuth::None,
        }
    }
}

impl From<RegistryAuth> for AuthKeys {
    fn from(auth: RegistryAuth) -> Self {
        let (mut basic, mut bearer) = (None, None);
        match auth {
            RegistryAuth::None => {}
            RegistryAuth::Basic { user, password } => {
                basic = Some(BasicAuth {
                    user: Some(user),
                    password: Some(password),
                });
            }
            RegistryAuth::Bearer(token) => bearer = Some(token),
        }
        Self { basic, bearer }
    }
}

/// Returns the number of lanes for `memory` bytes: one for each core, but not more than the memory
/// has room for.
pub(super) fn default_lanes(memory: u64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let roomy = usize::try_from(memory / LANE_MEMORY)
        .unwrap_or(usize::MAX)
        .clamp(1, 256);
    cores.min(roomy)
}

/// Returns the bytes at which a product is committed, of `memory` bytes for all.
pub(super) fn default_commit_bytes(memory: u64) -> u64 {
    (128 * MIB).min(memory / 4)
}
