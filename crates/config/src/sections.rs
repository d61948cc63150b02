//! Each section of the file, with its defaults and its limits.
//!
//! All requirements of one key on another are checked here, and nowhere later.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::client_rules;
use super::property::canonical;
use super::reader::{Section, scalar, secret};
use super::units::{UnitProblem, bytes, duration, show_bytes};
use super::{
    CompactConfig, Config, ConfigInputs, HttpConfig, IngestConfig, KafkaConfig, LogConfig,
    LogFormat, MaintenanceConfig, NoticeLimits, NoticesConfig, Origins, Property, RegistryAuth,
    RegistryConfig, RetentionCheck, SchemasConfig, SweepConfig, store_access,
};
use ebbtide_base::ids::{IdError, Topic};
use ebbtide_base::problem::Problems;
use ebbtide_base::yaml::{YamlNode, YamlValue, join};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const HOUR: u64 = 3_600;
/// The minimum memory of a lane in bytes, if the number of lanes is not set.
const LANE_MEMORY: u64 = 32 * MIB;
/// The number of messages of the maximum size that must fit into a lane's memory.
const LANE_MESSAGES: u64 = 8;

/// Reads the whole tree. Returns `None` if a part without a default is missing. Every problem is in
/// `problems`.
pub(super) fn config(
    tree: &YamlNode,
    origins: Origins,
    around: &ConfigInputs,
    problems: &mut Problems,
) -> Option<Config> {
    let root = Section::root(tree, problems);
    let policy = root.required(
        "policy",
        "name the policy's file: policy: policy.yaml",
        problems,
    );
    let tables = root.required(
        "root",
        "say where the tables are: root: /var/lib/ebbtide",
        problems,
    );
    let store = store_access::reach(&root.open("store", problems), around, problems);
    let kafka = kafka(&root.open("kafka", problems), around, problems);
    let notices = notices(&root.open("notices", problems), problems);
    let schemas = schemas(&root.open("schemas", problems), around, problems);
    let ingest = ingest(&root.open("ingest", problems), problems);
    let maintain = maintain(&root.open("maintain", problems), problems);
    let sweep = sweep(&root.open("sweep", problems), problems);
    let compact = compact(&root.open("compact", problems), problems);
    let http = http(&root.open("http", problems), problems);
    let log = log(&root.open("log", problems), problems);
    let tables = tables?;
    let place = around.folder.join(tables);
    Some(Config {
        policy: around.folder.join(policy?),
        root: if tables.contains("://") {
            tables.to_owned()
        } else {
            place.to_string_lossy().into_owned()
        },
        store,
        kafka: kafka?,
        notices,
        schemas: schemas?,
        ingest,
        maintain,
        sweep,
        compact,
        http,
        log,
        origins,
    })
}

fn kafka(
    section: &Section<'_>,
    around: &ConfigInputs,
    problems: &mut Problems,
) -> Option<KafkaConfig> {
    let mut properties = properties(section, around, problems);
    let servers = section.text("bootstrap_servers", problems);
    match (servers, properties.contains_key("bootstrap.servers")) {
        (Some(servers), false) => {
            properties.insert(
                "bootstrap.servers".to_owned(),
                Property::Plain(servers.to_owned()),
            );
            if let Some((what, fix)) = client_rules::refusal("bootstrap.servers", &properties) {
                section.error("bootstrap_servers", what, fix, problems);
            }
        }
        (Some(_), true) => {
            let what = "the servers are set here and as `properties.bootstrap.servers`";
            section.error("bootstrap_servers", what, "keep one of the two", problems);
        }
        (None, true) => {}
        (None, false) => {
            let mend = "name the brokers: kafka: { bootstrap_servers: localhost:9092 }";
            section.error("bootstrap_servers", "no broker is named", mend, problems);
        }
    }
    let group = section.value("group", "ebbtide".to_owned(), problems, |text| {
        if text.trim() != text || text.contains(char::is_control) {
            let fix = "write it without spaces around it and without control characters";
            return Err((
                "the name of the group cannot be written elsewhere as it is here".to_owned(),
                fix.to_owned(),
            ));
        }
        Ok(text.to_owned())
    });
    let dead_letter_topic = section.value(
        "dead_letter_topic",
        "ebbtide.dead-letters".to_owned(),
        problems,
        topic,
    );
    let retention_check = section.value(
        "retention_check",
        RetentionCheck::Refuse,
        problems,
        |text| match text {
            "refuse" => Ok(RetentionCheck::Refuse),
            "warn" => Ok(RetentionCheck::Warn),
            _ => Err(choice(text, "refuse or warn")),
        },
    );
    Some(KafkaConfig {
        properties,
        group,
        dead_letter_topic,
        retention_check,
    })
}

fn topic(text: &str) -> Result<String, UnitProblem> {
    let refused = |error: IdError| (format!("{text:?} is not a topic"), error.why.to_owned());
    Topic::new(text)
        .map(|topic| topic.to_string())
        .map_err(refused)
}

fn notices(section: &Section<'_>, problems: &mut Problems) -> NoticesConfig {
    let mut named = |key: &str| section.value(key, None, problems, |text| topic(text).map(Some));
    let (contracts, consents) = (named("contracts"), named("consents"));
    NoticesConfig {
        contracts,
        consents,
        limits: notice_limits(section, problems),
    }
}

fn notice_limits(section: &Section<'_>, problems: &mut Problems) -> NoticeLimits {
    let default = NoticeLimits::default();
    let earliest = section.value("earliest", default.earliest, problems, |text| {
        text.parse().map_err(|_| {
            (
                format!("{text:?} is not a date"),
                "write one like 2000-01-01".to_owned(),
            )
        })
    });
    let contract_ahead =
        section.value("contract_ahead", default.contract_ahead, problems, |text| {
            within(
                duration(text)?,
                Duration::ZERO,
                Duration::from_secs(36_500 * 24 * HOUR),
                "0s and 36500d",
            )
        });
    let max_share = section.value("max_share", default.max_share, problems, |text| {
        let share: f64 = text.parse().map_err(|_| {
            (
                format!("{text:?} is not a number"),
                "write one like 0.2".to_owned(),
            )
        })?;
        // A value that is not a number is in no range.
        within(
            if share.is_nan() { -1.0 } else { share },
            0.0,
            1.0,
            "0 and 1",
        )
    });
    let max_share_from =
        section.value("max_share_from", default.max_share_from, problems, |text| {
            text.parse().map_err(|_| whole_number(text))
        });
    NoticeLimits {
        earliest,
        contract_ahead,
        max_share,
        max_share_from,
    }
}

/// Reads the client library's properties, each under its canonical name.
fn properties(
    section: &Section<'_>,
    around: &ConfigInputs,
    problems: &mut Problems,
) -> BTreeMap<String, Property> {
    let mut read = BTreeMap::new();
    let Some(node) = section
        .get("properties")
        .filter(|node| !matches!(node.value, YamlValue::Null))
    else {
        return read;
    };
    let path = section.path_of("properties");
    if !matches!(node.value, YamlValue::Map(_)) {
        let what = format!("expected a mapping, found {}", node.kind());
        problems.error(
            node.at,
            &path,
            what,
            "write librdkafka's properties: { security.protocol: sasl_ssl }",
        );
    }
    for entry in node.entries() {
        let path = join(&path, &entry.key);
        let name = canonical(&entry.key);
        if let Some(other) = node
            .entries()
            .iter()
            .take_while(|other| other.key != entry.key)
            .find(|other| canonical(&other.key) == name)
        {
            let what = format!(
                "`{}` and `{}` are one property, set twice",
                other.key, entry.key
            );
            problems.error(entry.value.at, &path, what, "keep one of the two");
            continue;
        }
        let value = if matches!(entry.value.value, YamlValue::Map(_)) {
            secret(&entry.value, &path, around, problems).map(Property::Hidden)
        } else {
            scalar(&entry.value, &path, problems)
                .map(|text| Property::literal(&entry.key, text.to_owned()))
        };
        if let Some(value) = value {
            read.insert(name.to_owned(), value);
        }
    }
    for entry in node.entries() {
        if let Some((what, fix)) = client_rules::refusal(canonical(&entry.key), &read) {
            // The place of the value, so that a variable is named as the source.
            problems.error(entry.value.at, &join(&path, &entry.key), what, fix);
        }
    }
    read
}

fn schemas(
    section: &Section<'_>,
    around: &ConfigInputs,
    problems: &mut Problems,
) -> Option<SchemasConfig> {
    let folder = section.file("folder", around, problems);
    let registry = section.open("registry", problems);
    if !registry.is_there() {
        return Some(SchemasConfig {
            registry: None,
            folder,
        });
    }
    let auth = auth(&registry, around, problems);
    let ca = registry.file("ca", around, problems);
    let timeout = registry.value("timeout", Duration::from_secs(10), problems, |text| {
        within(
            duration(text)?,
            Duration::from_millis(100),
            Duration::from_secs(300),
            "100ms and 5m",
        )
    });
    let unknown_schema_wait = registry.value(
        "unknown_schema_wait",
        Duration::from_secs(30),
        problems,
        |text| {
            within(
                duration(text)?,
                Duration::ZERO,
                Duration::from_secs(600),
                "0s and 10m",
            )
        },
    );
    let text = registry.required(
        "url",
        "name the registry: url: https://registry:8081",
        problems,
    )?;
    let urls: Vec<Url> = text
        .split(',')
        .map(|url| registry_url(url.trim(), &registry, problems))
        .collect::<Option<_>>()?;
    if urls.iter().any(|url| url.scheme() == "http") && !matches!(auth, RegistryAuth::None) {
        let at = registry.get("url").map_or(registry.at(), |node| node.at);
        let what = "the credentials travel unencrypted";
        problems.warning(at, &registry.path_of("url"), what, "use https");
    }
    Some(SchemasConfig {
        registry: Some(RegistryConfig {
            urls,
            auth,
            ca,
            timeout,
            unknown_schema_wait,
        }),
        folder,
    })
}

/// Parses one URL of the registry's list.
fn registry_url(text: &str, registry: &Section<'_>, problems: &mut Problems) -> Option<Url> {
    let (what, fix) = match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => (
            "the URL holds credentials".to_owned(),
            "write them under `basic`",
        ),
        Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => (
            "the URL is neither http nor https".to_owned(),
            "write https://HOST:PORT, or a list of them with commas",
        ),
        Ok(url) => return Some(url),
        Err(error) => (
            format!("not a URL: {error}"),
            "write https://HOST:PORT, or a list of them with commas",
        ),
    };
    registry.error("url", what, fix, problems);
    None
}

fn auth(registry: &Section<'_>, around: &ConfigInputs, problems: &mut Problems) -> RegistryAuth {
    let basic = registry.open("basic", problems);
    let bearer = registry.secret("bearer", around, problems);
    if basic.is_there() && registry.get("bearer").is_some() {
        registry.error(
            "bearer",
            "`basic` and `bearer` stand beside one another",
            "keep one of the two",
            problems,
        );
    }
    if basic.is_there() {
        let user = basic.required("user", "write the user's name", problems);
        if basic.get("password").is_none() {
            let mend = "write { file: PATH } or { env: NAME }";
            basic.error("password", "`password` is missing", mend, problems);
        }
        let password = basic.secret("password", around, problems);
        if let (Some(user), Some(password)) = (user, password) {
            return RegistryAuth::Basic {
                user: user.to_owned(),
                password,
            };
        }
    }
    bearer.map_or(RegistryAuth::None, RegistryAuth::Bearer)
}

fn ingest(section: &Section<'_>, problems: &mut Problems) -> IngestConfig {
    let memory = section.value("memory", 512 * MIB, problems, |text| {
        within(bytes(text)?, 16 * MIB, 1 << 40, "16MiB and 1024GiB")
    });
    // Values that are not set follow from the memory, so that a lower memory alone is still a
    // consistent configuration.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let roomy = usize::try_from(memory / LANE_MEMORY)
        .unwrap_or(usize::MAX)
        .clamp(1, 256);
    let lanes = section.value("lanes", cores.min(roomy), problems, |text| {
        let lanes = text.parse().map_err(|_| whole_number(text))?;
        within(lanes, 1, 256, "1 and 256")
    });
    let commit_bytes = section.value(
        "commit_bytes",
        (128 * MIB).min(memory / 4),
        problems,
        |text| within(bytes(text)?, MIB, 1 << 40, "1MiB and 1024GiB"),
    );
    let max_message_bytes = section.value("max_message_bytes", MIB, problems, |text| {
        within(bytes(text)?, 1024, 256 * MIB, "1KiB and 256MiB")
    });
    if commit_bytes > memory / 2 {
        let what = format!(
            "{} is more than half of ingest.memory",
            show_bytes(commit_bytes)
        );
        section.error(
            "commit_bytes",
            what,
            format!("write at most {}", show_bytes(memory / 2)),
            problems,
        );
    }
    let share = memory / u64::try_from(lanes).unwrap_or(u64::MAX);
    if max_message_bytes > share / LANE_MESSAGES {
        let what = format!(
            "{} is more than an eighth of a lane's memory, which is {} shared by {lanes}",
            show_bytes(max_message_bytes),
            show_bytes(memory)
        );
        let mend = "lower it, or raise `memory`, or lower `lanes`";
        section.error("max_message_bytes", what, mend, problems);
    }
    let time = |key: &str, default: u64, most: u64, problems: &mut Problems| {
        section.value(key, Duration::from_secs(default), problems, |text| {
            let most = Duration::from_secs(most);
            within(
                duration(text)?,
                Duration::from_millis(100),
                most,
                &format!("100ms and {}h", most.as_secs() / HOUR),
            )
        })
    };
    IngestConfig {
        lanes,
        memory,
        commit_bytes,
        commit_age: time("commit_age", 10, 24 * HOUR, problems),
        future_tolerance: time("future_tolerance", HOUR, 24 * HOUR, problems),
        shutdown_timeout: time("shutdown_timeout", 30, HOUR, problems),
        max_message_bytes,
    }
}

fn maintain(section: &Section<'_>, problems: &mut Problems) -> MaintenanceConfig {
    let checkpoint_every = section.value("checkpoint_every", 100, problems, |text| {
        let commits = text.parse().map_err(|_| whole_number(text))?;
        within(commits, 1, 100_000, "1 and 100000")
    });
    let age = |key: &str, default: u64, problems: &mut Problems| {
        section.value(key, Duration::from_secs(default), problems, |text| {
            within(
                duration(text)?,
                Duration::from_secs(HOUR),
                Duration::from_secs(3650 * 24 * HOUR),
                "1h and 3650d",
            )
        })
    };
    MaintenanceConfig {
        checkpoint_every,
        log_retention: age("log_retention", 30 * 24 * HOUR, problems),
        orphan_age: age("orphan_age", 6 * HOUR, problems),
        readers_grace: section.value(
            "readers_grace",
            Duration::from_secs(HOUR),
            problems,
            |text| {
                within(
                    duration(text)?,
                    Duration::ZERO,
                    Duration::from_secs(30 * 24 * HOUR),
                    "0s and 30d",
                )
            },
        ),
        quarantine_retention: age("quarantine_retention", 7 * 24 * HOUR, problems),
    }
}

fn sweep(section: &Section<'_>, problems: &mut Problems) -> SweepConfig {
    let usual = SweepConfig::default();
    let enabled = section.value("enabled", usual.enabled, problems, |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(choice(text, "true or false")),
    });
    let memory = section.value("memory", usual.memory, problems, |text| {
        within(bytes(text)?, MIB, 1 << 40, "1MiB and 1024GiB")
    });
    let time = |key: &str, default: Duration, problems: &mut Problems| {
        section.value(key, default, problems, |text| {
            within(
                duration(text)?,
                Duration::from_millis(100),
                Duration::from_secs(24 * HOUR),
                "100ms and 24h",
            )
        })
    };
    SweepConfig {
        enabled,
        every: time("every", usual.every, problems),
        memory,
        takeover: time("takeover", usual.takeover, problems),
        clock_tolerance: time("clock_tolerance", usual.clock_tolerance, problems),
        clock_settle: time("clock_settle", usual.clock_settle, problems),
        clock_max_step: section.value("clock_max_step", usual.clock_max_step, problems, |text| {
            within(
                duration(text)?,
                Duration::from_secs(HOUR),
                Duration::from_secs(3650 * 24 * HOUR),
                "1h and 3650d",
            )
        }),
    }
}

fn compact(section: &Section<'_>, problems: &mut Problems) -> CompactConfig {
    let enabled = section.value("enabled", true, problems, |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(choice(text, "true or false")),
    });
    let time = |key: &str, default: u64, problems: &mut Problems| {
        section.value(key, Duration::from_secs(default), problems, |text| {
            within(
                duration(text)?,
                Duration::from_millis(100),
                Duration::from_secs(30 * 24 * HOUR),
                "100ms and 30d",
            )
        })
    };
    CompactConfig {
        enabled,
        every: time("every", 600, problems),
        late: time("late", HOUR, problems),
        target: section.value("target", GIB, problems, |text| {
            within(bytes(text)?, MIB, 16 * GIB, "1MiB and 16GiB")
        }),
        memory: section.value("memory", 256 * MIB, problems, |text| {
            within(bytes(text)?, 64 * MIB, 1 << 40, "64MiB and 1024GiB")
        }),
    }
}

fn http(section: &Section<'_>, problems: &mut Problems) -> HttpConfig {
    let listen = section.value(
        "listen",
        SocketAddr::from(([127, 0, 0, 1], 9464)),
        problems,
        |text| {
            let mend = "write ADDRESS:PORT: 0.0.0.0:9464, [::]:9464";
            text.parse().map_err(|_| {
                (
                    format!("{text:?} is not an address and port"),
                    mend.to_owned(),
                )
            })
        },
    );
    HttpConfig { listen }
}

fn log(section: &Section<'_>, problems: &mut Problems) -> LogConfig {
    let format = section.value("format", LogFormat::Text, problems, |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(choice(text, "text or json")),
    });
    let level = section.value(
        "level",
        "info,librdkafka=warn,buoyant_kernel=off,deltalake_core=warn".to_owned(),
        problems,
        |text| {
            let is_level = |level: &str| {
                matches!(level, "off" | "error" | "warn" | "info" | "debug" | "trace")
            };
            let is_part = |part: &str| match part.split_once('=') {
                Some((target, level)) => !target.trim().is_empty() && is_level(level.trim()),
                None => is_level(part.trim()),
            };
            if text.split(',').all(is_part) {
                return Ok(text.split(',').map(str::trim).collect::<Vec<_>>().join(","));
            }
            let what = format!("{text:?} is not a log level");
            Err((
                what,
                "write off, error, warn, info, debug or trace, and target=level parts behind it"
                    .to_owned(),
            ))
        },
    );
    LogConfig { format, level }
}

pub(super) fn choice(text: &str, choices: &str) -> UnitProblem {
    (
        format!("{text:?} is not known here"),
        format!("write {choices}"),
    )
}

fn whole_number(text: &str) -> UnitProblem {
    (
        format!("{text:?} is not a whole number"),
        "write digits alone".to_owned(),
    )
}

pub(super) fn within<T: PartialOrd>(
    value: T,
    least: T,
    most: T,
    range: &str,
) -> Result<T, UnitProblem> {
    if value < least || value > most {
        return Err((
            "the value is out of its range".to_owned(),
            format!("write one between {range}"),
        ));
    }
    Ok(value)
}
