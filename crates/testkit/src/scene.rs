//! The environment of one test: its own topics on a broker, a policy that reads them, a
//! configuration, an empty store.

mod policy;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use policy::{ScenePolicy, next_prefix};

use super::ebbtide::Ebbtide;
use super::kafka::Kafka;
use super::process::Process;
use super::producer::{Order, Producer};
use super::readers::ReaderComparison;
use super::{ProgramUnderTest, Scratch, eventually, registry, repo};
use crate::args;

/// The time that a broker may wait for members that were killed while their group was formed
/// (`max.poll.interval.ms`, five minutes), plus the time to catch up.
pub const KILLED_IN_BETWEEN: Duration = Duration::from_secs(360);

/// The environment of one test.
pub struct Scene<'a> {
    pub program: ProgramUnderTest,
    pub scratch: Scratch,
    pub kafka: &'a Kafka,
    /// The registry's base URL, as the configuration has it.
    pub registry: String,
    pub policy: PathBuf,
    pub topics: Vec<String>,
    pub dead_letters: String,
    pub root: PathBuf,
    /// The path of the store for this process: the root, unless the store is on its own disk.
    pub seen: PathBuf,
    pub partitions: u32,
    /// The consumers' session time-out in milliseconds.
    pub session: u32,
    /// The reaction to a topic that keeps its records for too long: `refuse` or `warn`.
    pub retention_check: &'static str,
    pub log_level: &'static str,
    /// The longest time that records wait for a schema that the registry does not know.
    pub schema_wait: &'static str,
    /// The number of records of a producer after which one without a value follows; 0 for none.
    pub tombstones: usize,
    /// More sections of the configuration.
    pub sections: String,
    prefix: String,
    settings: Vec<(&'static str, String)>,
    properties: Vec<(&'static str, String)>,
}

impl<'a> Scene<'a> {
    /// Creates topics and a policy on `kafka` for `products` of the shipped policy; for all if
    /// `products` is empty.
    pub fn new(
        program: &ProgramUnderTest,
        kafka: &'a Kafka,
        registry: String,
        products: &[&str],
        partitions: u32,
    ) -> Self {
        let arguments = &args!["--products", products.join(",")][..2 * products.len().min(1)];
        let policy = ScenePolicy::derived(arguments, partitions);
        Self::with_policy(program, kafka, registry, policy)
    }

    /// Creates SMS and calls with retention in hours: content 3, or 5 in Italy, locations 4, the
    /// record 6. The topics keep their records for longer, which is only a warning.
    pub fn short(
        program: &ProgramUnderTest,
        kafka: &'a Kafka,
        registry: String,
        partitions: u32,
    ) -> Self {
        let rules = repo().join("tests/fixtures/short.yaml");
        let arguments = args!["--products", "sms,voice", "--rules", rules.display()];
        let policy = ScenePolicy::derived(arguments, partitions);
        Self {
            retention_check: "warn",
            ..Self::with_policy(program, kafka, registry, policy)
        }
    }

    /// Creates all products with the rules of a file, whose retention may be shorter than that of
    /// the topics.
    pub fn ruled(
        program: &ProgramUnderTest,
        kafka: &'a Kafka,
        registry: String,
        rules: &Path,
        partitions: u32,
    ) -> Self {
        let policy = ScenePolicy::derived(args!["--rules", rules.display()], partitions);
        Self {
            retention_check: "warn",
            ..Self::with_policy(program, kafka, registry, policy)
        }
    }

    /// Creates topics for a policy that a test wrote.
    pub fn with_policy(
        program: &ProgramUnderTest,
        kafka: &'a Kafka,
        registry: String,
        policy: ScenePolicy,
    ) -> Self {
        let ScenePolicy {
            scratch,
            path: policy,
            topics,
            prefix,
            partitions,
        } = policy;
        kafka.create(&topics, partitions, &[]);
        let dead_letters = format!("{prefix}.dead");
        kafka.create(
            std::slice::from_ref(&dead_letters),
            1,
            &["max.message.bytes=33554432"],
        );
        let root = scratch.join("store");
        Self {
            program: program.clone(),
            scratch,
            kafka,
            registry,
            policy,
            topics,
            dead_letters,
            seen: root.clone(),
            root,
            partitions,
            session: 6000,
            retention_check: "refuse",
            log_level: "info,ebbtide=debug,buoyant_kernel=warn,deltalake_core=warn",
            schema_wait: "3s",
            tombstones: 50,
            sections: String::new(),
            prefix,
            settings: vec![
                ("commit_age", "500ms".to_owned()),
                ("lanes", "2".to_owned()),
            ],
            properties: Vec::new(),
        }
    }

    /// Sets a key of the section `ingest`.
    pub fn set(&mut self, key: &'static str, value: &str) {
        self.settings.retain(|(name, _)| *name != key);
        self.settings.push((key, value.to_owned()));
    }

    /// Sets a property of librdkafka.
    pub fn property(&mut self, key: &'static str, value: &str) {
        self.properties.push((key, value.to_owned()));
    }

    /// Writes the configuration again, and returns its path.
    pub fn config(&self) -> PathBuf {
        let ingest: String = self
            .settings
            .iter()
            .map(|(key, value)| format!("  {key}: {value}\n"))
            .collect();
        let mut properties: String = self
            .properties
            .iter()
            .map(|(key, value)| format!("    {key}: {value}\n"))
            .collect();
        if !self
            .properties
            .contains(&("group.protocol", "consumer".to_owned()))
        {
            // In the other protocol, the brokers decide these.
            properties += &format!(
                "    session.timeout.ms: {}\n    heartbeat.interval.ms: 500\n",
                self.session
            );
        }
        let text = format!(
            "policy: {}\nroot: '{}'\nkafka:\n  bootstrap_servers: {}\n  group: {}\n  dead_letter_topic: {}\n  retention_check: {}\n  properties:\n\
             \x20   max.poll.interval.ms: 300000\n\
             {properties}\
             schemas:\n  registry:\n    url: {}/apis/ccompat/v7\n    unknown_schema_wait: {}\ningest:\n{ingest}http:\n  listen: 127.0.0.1:9464\n\
             log:\n  format: json\n  level: {}\n{}",
            self.policy.display(),
            self.root.display(),
            self.kafka.bootstrap(),
            self.prefix,
            self.dead_letters,
            self.retention_check,
            self.registry,
            self.schema_wait,
            self.log_level,
            self.sections,
        );
        let path = self.scratch.join("ebbtide.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts an instance; its log is `name.log`.
    pub fn start(&self, name: &str, environment: &[(&str, &str)]) -> Ebbtide {
        Ebbtide::start(
            &self.program,
            &self.config(),
            &self.scratch.join(format!("{name}.log")),
            environment,
        )
    }

    /// Starts the independent producer on this scene's topics; its records are of the last hours.
    pub fn produce(&self, count: usize, rate: usize, seed: &str) -> Producer {
        self.produce_of(false, count, rate, seed)
    }

    /// Starts the independent producer; if `ages` is true, some of its records are months and years
    /// late.
    pub fn produce_of(&self, ages: bool, count: usize, rate: usize, seed: &str) -> Producer {
        let order = Order {
            bootstrap: self.kafka.bootstrap(),
            registry: registry::shared().base(),
            policy: &self.policy,
            products: &[],
            count,
            rate,
            partitions: self.partitions,
            tombstones: self.tombstones,
            ages,
            ahead: None,
            transaction: None,
            keys: 0,
            seed,
        };
        Producer::start(&order, self.scratch.path())
    }

    /// Starts the independent producer with all of its records in one transaction: `commit`,
    /// `abort`, or `open` until it is stopped.
    pub fn produce_in(&self, transaction: &str, count: usize, seed: &str) -> Producer {
        let order = self.order(count, seed);
        Producer::start(
            &Order {
                transaction: Some(transaction),
                ..order
            },
            self.scratch.path(),
        )
    }

    /// Starts the independent producer with records that have one of `keys` keys.
    pub fn produce_keyed(&self, keys: usize, count: usize, seed: &str) -> Producer {
        Producer::start(
            &Order {
                keys,
                ..self.order(count, seed)
            },
            self.scratch.path(),
        )
    }

    /// Starts the independent producer with records of one product.
    pub fn produce_only(&self, product: &str, count: usize, seed: &str) -> Producer {
        let products = [product];
        let order = self.order(count, seed);
        Producer::start(
            &Order {
                products: &products,
                ..order
            },
            self.scratch.path(),
        )
    }

    /// Returns an order for records of the last hours, produced as fast as possible, all with a
    /// value.
    fn order<'o>(&'o self, count: usize, seed: &'o str) -> Order<'o> {
        Order {
            bootstrap: self.kafka.bootstrap(),
            registry: registry::shared().base(),
            policy: &self.policy,
            products: &[],
            count,
            rate: 0,
            partitions: self.partitions,
            tombstones: 0,
            ages: false,
            ahead: None,
            transaction: None,
            keys: 0,
            seed,
        }
    }

    /// Starts the independent producer; its records are of the last hours of a clock whose lead in
    /// seconds is in a file.
    pub fn produce_ahead(&self, ahead: &Path, rate: usize, seed: &str) -> Producer {
        let order = Order {
            bootstrap: self.kafka.bootstrap(),
            registry: registry::shared().base(),
            policy: &self.policy,
            products: &[],
            count: usize::MAX / 2,
            rate,
            partitions: self.partitions,
            tombstones: self.tombstones,
            ages: false,
            ahead: Some(ahead),
            transaction: None,
            keys: 0,
            seed,
        };
        Producer::start(&order, self.scratch.path())
    }

    /// Returns the next offset of a partition that its table has committed, read from the table's
    /// own log.
    pub fn committed(&self, topic: &str, partition: usize) -> i64 {
        let app = format!("ebbtide/{topic}/{partition}");
        let logs = walkdir::WalkDir::new(&self.seen)
            .into_iter()
            .filter_map(Result::ok)
            .map(|entry| entry.into_path());
        let entries = logs.filter(|path| {
            path.parent().is_some_and(|at| at.ends_with("_delta_log"))
                && path.extension().is_some_and(|e| e == "json")
        });
        let lines = entries.filter_map(|path| fs::read_to_string(path).ok());
        let next = |line: &str| {
            let action: serde_json::Value = serde_json::from_str(line).ok()?;
            let txn = action.get("txn")?;
            if txn.get("appId")? == app.as_str() {
                txn.get("version")?.as_i64()
            } else {
                None
            }
        };
        lines
            .flat_map(|text| text.lines().filter_map(next).collect::<Vec<_>>())
            .max()
            .unwrap_or(0)
    }

    /// Waits until every partition is committed to its end.
    pub fn caught_up(&self, patience: Duration, instances: &mut [&mut Process]) {
        let ends = self.kafka.ends(&self.topics);
        let mut uncommitted = Vec::new();
        let start = std::time::Instant::now();
        eventually("all is committed", patience, || {
            for process in instances.iter_mut() {
                assert!(
                    process.ended().is_none(),
                    "ebbtide ended:\n{}",
                    process.tail()
                );
            }
            uncommitted = ends
                .iter()
                .flat_map(|(topic, offsets)| {
                    offsets
                        .iter()
                        .enumerate()
                        .map(move |(p, end)| (topic, p, *end))
                })
                .filter(|(topic, partition, end)| self.committed(topic, *partition) < *end)
                .collect();
            if start.elapsed() + Duration::from_secs(1) > patience && !uncommitted.is_empty() {
                let tails: Vec<_> = instances.iter().map(|process| process.tail()).collect();
                panic!(
                    "not committed to their ends: {uncommitted:?}\n{}",
                    tails.join("\n---\n")
                );
            }
            uncommitted.is_empty().then_some(())
        });
    }

    /// Returns the records of the dead-letter topic, and a file of them.
    pub fn dead_letters(&self) -> (Vec<serde_json::Value>, PathBuf) {
        let letters = self.kafka.dump(&self.dead_letters);
        let path = self.scratch.join("dead.jsonl");
        fs::write(
            &path,
            letters
                .iter()
                .map(|letter| format!("{letter}\n"))
                .collect::<String>(),
        )
        .unwrap();
        (letters, path)
    }

    /// Asserts that every acknowledged record is stored exactly once, as `readers` see it. Returns
    /// the counts.
    pub fn check(&self, acked: &[PathBuf], readers: &str) -> serde_json::Value {
        let (_, dead) = self.dead_letters();
        let compared = ReaderComparison {
            root: &self.root,
            policy: &self.policy,
            acked,
            dead: Some(&dead),
            readers,
        };
        let counts = compared.check();
        self.audit();
        counts
    }

    /// Runs a command of the program on this scene's configuration. Returns its exit code and its
    /// output.
    pub fn command(&self, words: &[&str]) -> (i32, String) {
        let output = std::process::Command::new(&self.program)
            .args(words)
            .arg("--config")
            .arg(self.config())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap_or(-1), said)
    }

    /// Returns the number of records in a product's table.
    pub fn stored(&self, product: &str) -> u64 {
        let output = std::process::Command::new(&self.program)
            .args(["table", "show", product, "--output", "json", "--root"])
            .arg(&self.root)
            .output()
            .unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        shown["records"].as_u64().unwrap()
    }

    /// Asserts that `ebbtide table audit` finds no error in any table.
    pub fn audit(&self) {
        let tables = fs::read_dir(self.root.join("tables")).unwrap();
        for table in tables.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            let output = std::process::Command::new(&self.program)
                .args(["table", "audit", &table, "--output", "json", "--root"])
                .arg(&self.root)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "the audit of {table} fails: {said}"
            );
        }
    }
}
