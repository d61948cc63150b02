//! A real Kafka broker: one node in KRaft mode, in its own folder, on free ports of 127.0.0.1.
//!
//! One broker is shared by the whole binary ([`shared`]); a test that stops its broker starts a
//! private one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::process::Process;
use super::python::{java, part, run};
use super::{Scratch, free_port, listens, repo};
use crate::args;

/// The options of the Java machine for a broker that starts fast and needs little memory.
const SMALL_MACHINE: [&str; 3] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];

/// The properties of a broker of tests: short time-outs, large messages, quick retention.
const QUICK: &str = "transaction.state.log.num.partitions=4\n\
    group.min.session.timeout.ms=1000\n\
    group.consumer.min.session.timeout.ms=1000\ngroup.consumer.session.timeout.ms=3000\n\
    group.consumer.min.heartbeat.interval.ms=100\ngroup.consumer.heartbeat.interval.ms=500\n\
    message.max.bytes=33554432\nlog.cleaner.backoff.ms=200\nlog.initial.task.delay.ms=500\n";

/// One broker and its data.
pub struct Kafka {
    scratch: Scratch,
    port: u16,
    java: PathBuf,
    jars: String,
    /// The options of the Java machine.
    machine: &'static [&'static str],
    running: Mutex<Option<Process>>,
}

/// Returns the broker that all tests share, each with its own topics.
pub fn shared() -> &'static Kafka {
    static SHARED: OnceLock<Kafka> = OnceLock::new();
    SHARED.get_or_init(|| Kafka::start_in(Scratch::of_the_process()))
}

impl Kafka {
    /// Starts a separate broker for one test, and waits until it answers.
    pub fn start() -> Self {
        Self::start_in(Scratch::new())
    }

    /// Starts a separate broker for one test that checks access control lists, and allows every
    /// operation that no list mentions.
    pub fn start_with_lists() -> Self {
        Self::start_as(
            Scratch::new(),
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             allow.everyone.if.no.acl.found=true\n",
        )
    }

    /// Allows everyone every operation on a topic again.
    pub fn allow(&self, topic: &str) {
        run(
            "broker.py",
            args!["allow", "--bootstrap", self.bootstrap(), topic],
        );
    }

    /// Denies everyone an operation on a topic (`read`, `describe` or `describe_configs`), and
    /// allows the others.
    pub fn deny(&self, topic: &str, operation: &str) {
        run(
            "broker.py",
            args![
                "deny",
                "--bootstrap",
                self.bootstrap(),
                "--operation",
                operation,
                topic
            ],
        );
    }

    /// Starts a broker for a measurement: with its data under `folder`, Kafka's own time-outs, and
    /// the default settings of the JIT.
    pub fn start_to_measure(folder: &Path) -> Self {
        Self::start_on(&["-Xmx1g"], Scratch::in_folder(folder), "")
    }

    fn start_in(scratch: Scratch) -> Self {
        Self::start_as(scratch, "")
    }

    fn start_as(scratch: Scratch, more: &str) -> Self {
        Self::start_on(&SMALL_MACHINE, scratch, &format!("{QUICK}{more}"))
    }

    fn start_on(machine: &'static [&'static str], scratch: Scratch, more: &str) -> Self {
        let (port, controller) = (free_port(), free_port());
        let logs = scratch.join("data");
        let properties = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n{more}",
            logs.display()
        );
        fs::write(scratch.join("server.properties"), properties).unwrap();
        let jars = format!("{}/libs/*", part("kafka").display());
        let kafka = Self {
            scratch,
            port,
            java: java("17"),
            jars,
            machine,
            running: Mutex::new(None),
        };
        kafka.format();
        kafka.resume();
        kafka
    }

    fn format(&self) {
        let config = self.scratch.join("server.properties");
        let done = Command::new(&self.java)
            .args([
                "-XX:TieredStopAtLevel=1",
                "-cp",
                &self.jars,
                "kafka.tools.StorageTool",
            ])
            .args(["format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"])
            .arg(config)
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    /// Starts the stopped broker on its old port with its old data.
    pub fn resume(&self) {
        let log4j = repo().join("tests/servers/log4j2.properties");
        let mut arguments: Vec<String> = self.machine.iter().map(|&one| one.to_owned()).collect();
        arguments.extend_from_slice(args![
            format!("-Dlog4j2.configurationFile={}", log4j.display()),
            "-cp",
            self.jars,
            "kafka.Kafka",
            self.scratch.join("server.properties").display()
        ]);
        let mut process = Process::start(
            &self.java,
            &arguments,
            &[],
            &self.scratch.join("broker.log"),
        );
        process.until_it_answers("the broker", Duration::from_secs(120), || {
            listens(self.port).then_some(())
        });
        *self.running.lock().unwrap() = Some(process);
    }

    /// Kills the broker; its data stays.
    pub fn kill(&self) {
        if let Some(mut process) = self.running.lock().unwrap().take() {
            process.kill();
        }
    }

    /// Returns the CPU time that the running broker has used.
    pub fn cpu(&self) -> Duration {
        self.running
            .lock()
            .unwrap()
            .as_ref()
            .map_or(Duration::ZERO, Process::cpu)
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Creates topics of `partitions` each; `config` is like `retention.ms=1000`.
    pub fn create(&self, topics: &[String], partitions: u32, config: &[&str]) {
        let mut arguments = args![
            "create",
            "--bootstrap",
            self.bootstrap(),
            "--partitions",
            partitions
        ]
        .to_vec();
        for setting in config {
            arguments.extend_from_slice(args!["--config", setting]);
        }
        arguments.extend_from_slice(topics);
        run("broker.py", &arguments);
    }

    /// Deletes topics with all their records.
    pub fn delete(&self, topics: &[String]) {
        run(
            "broker.py",
            &[args!["delete", "--bootstrap", self.bootstrap()], topics].concat(),
        );
    }

    /// Deletes the records of a partition before `offset`, as retention does.
    pub fn delete_before(&self, topic: &str, partition: u32, offset: i64) {
        let asked = args![
            "delete-before",
            "--bootstrap",
            self.bootstrap(),
            "--partition",
            partition,
            "--offset",
            offset
        ];
        run("broker.py", &[asked.as_slice(), args![topic]].concat());
    }

    /// Returns for each topic the next offset of each partition, from 0.
    pub fn ends(&self, topics: &[String]) -> Vec<(String, Vec<i64>)> {
        let mut arguments = args!["ends", "--bootstrap", self.bootstrap()].to_vec();
        arguments.extend_from_slice(topics);
        let ends: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&run("broker.py", &arguments)).unwrap();
        let offsets = |value: &serde_json::Value| {
            value
                .as_array()
                .unwrap()
                .iter()
                .map(|o| o.as_i64().unwrap())
                .collect()
        };
        ends.iter()
            .map(|(topic, value)| (topic.clone(), offsets(value)))
            .collect()
    }

    /// Returns every message of a topic: one JSON object each, as `broker.py` prints it.
    pub fn dump(&self, topic: &str) -> Vec<serde_json::Value> {
        let lines = run(
            "broker.py",
            args!["dump", "--bootstrap", self.bootstrap(), topic],
        );
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
