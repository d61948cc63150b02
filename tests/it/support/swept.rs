//! What is due is made to go while a test watches: `ebbtide sweep` and its like with a clock that is ahead, and the judge of
//! what must be left, `tests/python/swept.py`.

use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::ebbtide::program;
use super::python::try_run;
use super::scene::Scene;
use crate::args;

/// Microseconds since 1970, `ahead` seconds from now.
pub fn micros(ahead: u64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    i64::try_from(now).unwrap() + i64::try_from(ahead * 1_000_000).unwrap()
}

/// What a subcommand ended with, and what it said on both outputs.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs a subcommand with a clock that is `ahead` seconds ahead.
pub fn ebbtide(ahead: u64, args: &[String]) -> Said {
    ebbtide_with([living(ahead)], args)
}

/// Runs a subcommand with those variables.
pub fn ebbtide_with(environment: impl IntoIterator<Item = (&'static str, String)>, args: &[String]) -> Said {
    let mut command = Command::new(program());
    for (name, value) in environment {
        // A test whose clock is ahead skips days in which no instance runs.
        if name == "CLOCK_AHEAD" {
            command.env(MAX_STEP.0, MAX_STEP.1);
        }
        command.env(name, value);
    }
    let output = command.args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// The variable that lets the clock be years ahead of the last trusted time.
pub const MAX_STEP: (&str, &str) = ("EBBTIDE_SWEEP_CLOCK_MAX_STEP", "3650d");

/// The variable that lets an instance live `ahead` seconds ahead.
pub fn living(ahead: u64) -> (&'static str, String) {
    ("CLOCK_AHEAD", ahead.to_string())
}

/// Sweeps everything once, as it is `ahead` seconds from now: nothing due may be left. What was done.
pub fn sweep(scene: &Scene<'_>, ahead: u64) -> Value {
    let config = scene.config();
    let said = ebbtide(ahead, args!["sweep", "--output", "json", "--config", config.display()]);
    assert_eq!(said.code, 0, "a sweep must leave nothing due: {}{}", said.out, said.err);
    let due = ebbtide(ahead, args!["sweep", "--dry-run", "--output", "json", "--config", config.display()]);
    let due: Value = serde_json::from_str(&due.out).unwrap();
    assert_eq!(due["works"], serde_json::json!([]), "something is overdue");
    serde_json::from_str(&said.out).unwrap()
}

/// Compacts everything, as it is `ahead` seconds from now: nothing may be left that becomes one. What was done.
pub fn compact(scene: &Scene<'_>, ahead: u64) -> Value {
    let config = scene.config();
    let said = ebbtide(ahead, args!["compact", "--output", "json", "--config", config.display()]);
    assert_eq!(said.code, 0, "a compaction must leave nothing to do: {}{}", said.out, said.err);
    let left = ebbtide(ahead, args!["compact", "--dry-run", "--output", "json", "--config", config.display()]);
    let left: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!(left["merges"], serde_json::json!([]), "something would still become one");
    serde_json::from_str(&said.out).unwrap()
}

/// What is compared after a sweep.
pub struct Swept<'a> {
    pub scene: &'a Scene<'a>,
    pub acked: &'a [PathBuf],
    /// Before and after the last sweep, in microseconds.
    pub at: (i64, i64),
    /// A tenant whose records are held, and since when.
    pub held: Option<(&'a str, i64)>,
    /// Whether no file may be left but what a version lists.
    pub settled: bool,
    pub readers: &'a str,
}

impl Swept<'_> {
    /// Everything stands that should, and nothing that should not; the counts.
    pub fn check(&self) -> Value {
        let (_, dead) = self.scene.dead_letters();
        let mut arguments = args![
            "--root",
            self.scene.root.display(),
            "--policy",
            self.scene.policy.display(),
            "--program",
            program().display(),
            "--dead",
            dead.display(),
            "--readers",
            self.readers,
            "--since",
            self.at.0,
            "--until",
            self.at.1,
            "--acked"
        ]
        .to_vec();
        arguments.extend(self.acked.iter().map(|path| path.display().to_string()));
        if let Some((tenant, since)) = self.held {
            arguments.extend_from_slice(args!["--held", tenant, "--held-since", since]);
        }
        arguments.extend(self.settled.then(|| "--settled".to_owned()));
        let output = try_run("swept.py", &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "what stands is not what should:\n{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
