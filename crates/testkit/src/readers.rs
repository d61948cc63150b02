//! The foreign readers and the oracle, `tests/python/compare.py`.

use std::path::{Path, PathBuf};

use super::python::try_run;
use crate::args;

/// The three readers that start immediately.
pub const ALL: &str = "duckdb,polars,deltalake";

/// All readers: Spark takes some ten seconds to start.
pub const WITH_SPARK: &str = "duckdb,polars,deltalake,spark";

/// The inputs of a comparison.
pub struct ReaderComparison<'a> {
    pub root: &'a Path,
    pub policy: &'a Path,
    /// The files of acknowledged records.
    pub acked: &'a [PathBuf],
    /// A dump of the dead letters.
    pub dead: Option<&'a Path>,
    pub readers: &'a str,
}

impl ReaderComparison<'_> {
    /// Asserts that every acknowledged record is stored exactly once, with the oracle's tags.
    /// Returns the counts; fails with the differences.
    pub fn check(&self) -> serde_json::Value {
        let mut arguments = args![
            "--root",
            self.root.display(),
            "--policy",
            self.policy.display()
        ]
        .to_vec();
        arguments.extend_from_slice(args!["--readers", self.readers, "--acked"]);
        arguments.extend(self.acked.iter().map(|path| path.display().to_string()));
        if let Some(dead) = self.dead {
            arguments.extend_from_slice(args!["--dead", dead.display()]);
        }
        let output = try_run("compare.py", &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "what was produced is not what the tables hold:\n{said}"
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
