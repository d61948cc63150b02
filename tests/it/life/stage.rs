//! The stage of a life: a clock that all processes share, three instances of which one is killed
//! from time to time, and the orders that people give meanwhile.
//!
//! Every event is in the file of events before it happens, with its time by the fast clock.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::program;
use ebbtide_testkit::ProcessOutput;
use ebbtide_testkit::args;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::process::Process;
use ebbtide_testkit::python::{interpreter, run, script};
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{kafka, registry, repo};

/// The speed of the clock as a multiple of the machine's: a day is three seconds.
pub const SPEED: u32 = 28_800;
/// Records per second of the machine's clock, over all products.
const RATE: u32 = 100;
/// The number of instances of the group.
const INSTANCES: usize = 3;

pub struct Stage {
    pub scene: Scene<'static>,
    /// The time at which both clocks agree.
    anchor: DateTime<Utc>,
    pub instances: Vec<Ebbtide>,
    traffic: Process,
    sampler: Process,
    pub kills: usize,
    started: usize,
}

impl Stage {
    /// Starts everything.
    pub fn new() -> Self {
        let rules = repo().join("tests/fixtures/life.yaml");
        let mut scene = Scene::ruled(
            program(),
            kafka::shared(),
            registry::shared().base(),
            &rules,
            2,
        );
        // By the machine's clock: a commit every three seconds, a look for due data as often (no
        // wait by a fast clock is shorter), a takeover and the readers' grace after three seconds.
        // Files have the machine's times: nothing may be decided by them.
        scene.session = 1500;
        scene.set("commit_age", "24h");
        scene.set("lanes", "1");
        scene.set("memory", "64MiB");
        scene.sections = sections("1d", "3650d");
        write_later_policies(&scene);
        let anchor = DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).unwrap();
        let mut stage = Self {
            traffic: start_traffic(&scene, anchor),
            sampler: start_sampler(&scene, anchor),
            scene,
            anchor,
            instances: Vec::new(),
            kills: 0,
            started: 0,
        };
        stage.event("policy", json!({"path": stage.scene.policy}));
        stage.refill();
        stage
    }

    /// Returns the time by the fast clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.anchor + (Utc::now() - self.anchor) * i32::try_from(SPEED).unwrap()
    }

    /// Returns the days since the life began.
    pub fn day(&self) -> f64 {
        (self.now() - self.anchor).as_seconds_f64() / 86_400.0
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("CLOCK_FROM", self.anchor.to_rfc3339()),
            ("CLOCK_SPEED", SPEED.to_string()),
        ]
    }

    /// Starts the instances that are missing.
    pub fn refill(&mut self) {
        let environment = self.environment();
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        while self.instances.len() < INSTANCES {
            self.started += 1;
            self.instances.push(
                self.scene
                    .start(&format!("ebbtide-{}", self.started), &environment),
            );
        }
        let ports: Vec<u16> = self.instances.iter().map(Ebbtide::port).collect();
        let new = self.scene.scratch.join("ports.new");
        fs::write(&new, json!(ports).to_string()).unwrap();
        fs::rename(new, self.scene.scratch.join("ports.json")).unwrap();
    }

    /// Asserts that no process has ended.
    pub fn all_run(&mut self) {
        for process in self
            .instances
            .iter_mut()
            .map(|one| &mut one.process)
            .chain([&mut self.traffic, &mut self.sampler])
        {
            assert!(
                process.ended().is_none(),
                "ended by itself:\n{}",
                process.tail()
            );
        }
    }

    /// Kills the oldest instance; a new one starts half a day later.
    pub fn kill(&mut self) {
        self.event("kill", json!({}));
        self.instances.remove(0).process.kill();
        self.kills += 1;
        std::thread::sleep(Duration::from_millis(1500));
        self.refill();
    }

    /// Activates another policy, and restarts the instances with it.
    pub fn activate(&mut self, nth: usize) {
        let new = self.scene.scratch.join(format!("policy-{nth}.yaml"));
        let config = self.scene.config();
        self.event("policy", json!({"path": new}));
        self.done(args![
            "policy",
            "activate",
            new.display(),
            "--config",
            config.display()
        ]);
        self.scene.policy = new;
        for mut old in self.instances.drain(..) {
            old.stop();
        }
        self.refill();
    }

    /// Ends a tenant's contract now.
    pub fn contract_ends(&self, tenant: &str) {
        let (config, at) = (
            self.scene.config(),
            self.event("contract", json!({"tenant": tenant})),
        );
        self.done(args![
            "contract",
            "end",
            tenant,
            "--at",
            at,
            "--config",
            config.display()
        ]);
    }

    /// Withdraws the consent of a recipient now.
    pub fn consent_is_withdrawn(&self) {
        let person = self
            .planted_person("marketing", "email_address")
            .to_lowercase();
        let (config, at) = (
            self.scene.config(),
            self.event("withdraw", json!({"subject": person})),
        );
        let subject = format!("email:{person}");
        self.done(args![
            "consent",
            "withdraw",
            "--subject",
            subject,
            "--at",
            at,
            "--config",
            config.display()
        ]);
    }

    /// Holds the SMS and calls that `selector` names. Returns the hold's id.
    pub fn hold(&self, case: &str, selector: (&str, &str), details: Value) -> String {
        let config = self.scene.config();
        let (name, value) = selector;
        let order = args![
            "hold",
            "place",
            "--case",
            case,
            "--basis",
            "court order",
            "--until",
            "2040-01-01",
            name,
            value,
            "--product",
            "sms",
            "--product",
            "voice",
            "--output",
            "json",
            "--config",
            config.display()
        ];
        let said: Value = serde_json::from_str(&self.done(order).out).unwrap();
        let id = said["id"].as_str().unwrap().to_owned();
        // The hold is in force before this line is written: until then, only data that was due
        // before can have been deleted.
        let mut event = details;
        event["hold"] = json!(id);
        event["products"] = json!(["sms", "voice"]);
        self.event("hold", event);
        id
    }

    /// Releases a hold.
    pub fn release(&self, id: &str) {
        let config = self.scene.config();
        self.event("release", json!({"hold": id, "products": ["sms", "voice"]}));
        self.done(args!["hold", "release", id, "--config", config.display()]);
    }

    /// Returns a planted person of the newest records.
    pub fn planted_person(&self, product: &str, column: &str) -> String {
        let lines = fs::read_to_string(self.acked()).unwrap();
        let of = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            let there = line["product"] == product && !line["planted"].as_array()?.is_empty();
            Some(line["record"][column].as_str()?.to_owned()).filter(|_| there)
        };
        lines
            .lines()
            .rev()
            .skip(50)
            .find_map(of)
            .expect("a person was planted")
    }

    /// Records an event. Returns its time as the command line accepts it.
    fn event(&self, what: &str, mut event: Value) -> String {
        let now = self.now();
        event["what"] = json!(what);
        event["at"] = json!(now.timestamp_micros());
        event["day"] = json!(self.day());
        let mut file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.events())
            .unwrap();
        file.write_all(format!("{event}\n").as_bytes()).unwrap();
        now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
    }

    /// Runs a subcommand by the fast clock.
    pub fn says(&self, args: &[String]) -> ProcessOutput {
        let output = Command::new(program())
            .args(args)
            .envs(self.environment())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        ProcessOutput {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Runs a subcommand that must succeed.
    pub fn done(&self, args: &[String]) -> ProcessOutput {
        let said = self.says(args);
        assert_eq!(said.code, 0, "{args:?}: {}{}", said.out, said.err);
        said
    }

    pub fn events(&self) -> PathBuf {
        self.scene.scratch.join("events.jsonl")
    }

    pub fn acked(&self) -> PathBuf {
        self.scene.scratch.join("acked.jsonl")
    }

    pub fn samples(&self) -> PathBuf {
        self.scene.scratch.join("samples.jsonl")
    }

    /// Ends the traffic, waits until all of it is committed, and ends the instances and the
    /// sampler.
    pub fn end(&mut self) {
        fs::write(self.scene.scratch.join("stop-traffic"), "").unwrap();
        let status = self.traffic.wait(Duration::from_secs(120));
        assert!(
            status.success(),
            "the traffic failed:\n{}",
            self.traffic.tail()
        );
        let began = Instant::now();
        let mut quiet = 0;
        // The lag must be zero several times: the gauges are set when records arrive.
        while quiet < 6 {
            let lag: f64 = self
                .instances
                .iter()
                .map(|one| one.metric("ebbtide_ingest_lag_records"))
                .sum();
            quiet = if lag == 0.0 { quiet + 1 } else { 0 };
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "{lag} records are not committed"
            );
            std::thread::sleep(Duration::from_millis(500));
        }
        fs::write(self.scene.scratch.join("stop-sampler"), "").unwrap();
        let status = self.sampler.wait(Duration::from_secs(60));
        assert!(
            status.success(),
            "the sampler failed:\n{}",
            self.sampler.tail()
        );
        for mut instance in self.instances.drain(..) {
            instance.stop();
        }
    }

    /// Sweeps until nothing is left that was due when this began, and no file exists that no
    /// version lists. Returns the begin and the end of it, in microseconds.
    pub fn settle(&mut self) -> (i64, i64) {
        let since = DateTime::from_timestamp(self.now().timestamp(), 0).unwrap();
        let config = self.scene.config();
        let until = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        self.done(args![
            "sweep",
            "--output",
            "json",
            "--until",
            until,
            "--config",
            config.display()
        ]);
        self.scene.sections = sections("0s", "1h");
        let config = self.scene.config();
        self.done(args![
            "sweep",
            "--output",
            "json",
            "--until",
            until,
            "--config",
            config.display()
        ]);
        (
            since.timestamp_micros(),
            (self.now() + TimeDelta::hours(1)).timestamp_micros(),
        )
    }
}

fn sections(readers_grace: &str, orphan_age: &str) -> String {
    format!(
        "maintain:\n  readers_grace: {readers_grace}\n  orphan_age: {orphan_age}\n  log_retention: 3650d\n  checkpoint_every: 50\n\
         sweep:\n  every: 6h\n  takeover: 1d\n  clock_tolerance: 24h\n  clock_settle: 1h\n  clock_max_step: 60d\n\
         compact:\n  every: 1d\n  late: 1d\n  memory: 64MiB\n"
    )
}

fn fast(anchor: DateTime<Utc>) -> [String; 4] {
    let seconds = anchor.timestamp_micros() as f64 / 1e6;
    [
        "--anchor".to_owned(),
        seconds.to_string(),
        "--speed".to_owned(),
        SPEED.to_string(),
    ]
}

fn start_traffic(scene: &Scene<'_>, anchor: DateTime<Utc>) -> Process {
    let arguments = args![
        "-B",
        script("life_traffic.py"),
        "--bootstrap",
        scene.kafka.bootstrap(),
        "--registry",
        registry::shared().base(),
        "--policy",
        scene.policy.display(),
        "--rate",
        RATE,
        "--partitions",
        scene.partitions,
        "--stop",
        scene.scratch.join("stop-traffic").display(),
        "--out",
        scene.scratch.join("acked.jsonl").display()
    ];
    let arguments = [arguments.as_slice(), &fast(anchor)].concat();
    Process::start(
        &interpreter(),
        &arguments,
        &[],
        &scene.scratch.join("traffic.log"),
    )
}

fn start_sampler(scene: &Scene<'_>, anchor: DateTime<Utc>) -> Process {
    let arguments = args![
        "-B",
        script("life_samples.py"),
        "--root",
        scene.root.display(),
        "--events",
        scene.scratch.join("events.jsonl").display(),
        "--ports",
        scene.scratch.join("ports.json").display(),
        "--every",
        4,
        "--stop",
        scene.scratch.join("stop-sampler").display(),
        "--out",
        scene.scratch.join("samples.jsonl").display()
    ];
    let arguments = [arguments.as_slice(), &fast(anchor)].concat();
    Process::start(
        &interpreter(),
        &arguments,
        &[],
        &scene.scratch.join("sampler.log"),
    )
}

/// Writes the later policies of a life, next to its first.
fn write_later_policies(scene: &Scene<'_>) {
    let at = |nth| scene.scratch.join(format!("policy-{nth}.yaml"));
    run(
        "life_policies.py",
        args![scene.policy.display(), at(2).display(), at(3).display()],
    );
}
