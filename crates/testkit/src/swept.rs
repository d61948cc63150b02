//! Deletes expired data during a test: `ebbtide sweep` and similar commands with a clock that is
//! ahead, and the check of what must be left, `tests/python/swept.py`.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::python::try_run;
use super::scene::Scene;
use crate::args;

/// Returns the microseconds since 1970, `ahead` seconds from now.
pub fn micros(ahead: u64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros();
    i64::try_from(now).unwrap() + i64::try_from(ahead * 1_000_000).unwrap()
}

/// An hour, in seconds.
pub const HOUR: u64 = 3600;

/// Returns the seconds until ten minutes past the first full hour that is `ahead` seconds away or
/// more: no deadline passes while the test runs.
pub fn past_the_hour(ahead: u64) -> u64 {
    let at = u64::try_from(micros(ahead) / 1_000_000).unwrap();
    ahead + (HOUR + 600 - at % HOUR) % HOUR
}

/// Sweeps everything once, `ahead` seconds from now. Asserts that nothing due is left. Returns the
/// report.
pub fn sweep(scene: &Scene<'_>, ahead: u64) -> Value {
    let config = scene.config();
    let said = scene.program.run_ahead(
        ahead,
        args!["sweep", "--output", "json", "--config", config.display()],
    );
    assert_eq!(
        said.code, 0,
        "a sweep must leave nothing due: {}{}",
        said.out, said.err
    );
    let due = scene.program.run_ahead(
        ahead,
        args![
            "sweep",
            "--dry-run",
            "--output",
            "json",
            "--config",
            config.display()
        ],
    );
    let due: Value = serde_json::from_str(&due.out).unwrap();
    assert_eq!(due["works"], serde_json::json!([]), "something is overdue");
    serde_json::from_str(&said.out).unwrap()
}

/// Compacts everything, `ahead` seconds from now. Asserts that nothing is left to merge. Returns
/// the report.
pub fn compact(scene: &Scene<'_>, ahead: u64) -> Value {
    let config = scene.config();
    let said = scene.program.run_ahead(
        ahead,
        args!["compact", "--output", "json", "--config", config.display()],
    );
    assert_eq!(
        said.code, 0,
        "a compaction must leave nothing to do: {}{}",
        said.out, said.err
    );
    let left = scene.program.run_ahead(
        ahead,
        args![
            "compact",
            "--dry-run",
            "--output",
            "json",
            "--config",
            config.display()
        ],
    );
    let left: Value = serde_json::from_str(&left.out).unwrap();
    assert_eq!(
        left["merges"],
        serde_json::json!([]),
        "segments are left to merge"
    );
    serde_json::from_str(&said.out).unwrap()
}

/// The inputs of the comparison after a sweep.
pub struct Swept<'a> {
    pub scene: &'a Scene<'a>,
    pub acked: &'a [PathBuf],
    /// The times before and after the last sweep, in microseconds.
    pub at: (i64, i64),
    /// A tenant whose records are held, and the time since which they are.
    pub held: Option<(&'a str, i64)>,
    /// True if only files that a version lists may be left.
    pub settled: bool,
    pub readers: &'a str,
}

impl Swept<'_> {
    /// Asserts that everything is stored that should be, and nothing else. Returns the counts.
    pub fn check(&self) -> Value {
        let (_, dead) = self.scene.dead_letters();
        let mut arguments = args![
            "--root",
            self.scene.root.display(),
            "--policy",
            self.scene.policy.display(),
            "--program",
            self.scene.program.path().display(),
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
        assert!(
            output.status.success(),
            "the stored data is not as it should be:\n{said}"
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
