//! The test kit: real servers, the program as a process, scenes of tests, independent producers and
//! readers, and tables and topics full of records. Tests and benchmarks of all crates share it.
//!
//! It is a dev-dependency only. Nothing started here outlives the process that started it. Files of
//! a failed test stay for inspection.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::new_without_default,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "only tests and benchmarks use it; they wait by the clock"
)]

pub mod azurite;
pub mod bucket;
pub mod clock_ahead;
pub mod ebbtide;
pub mod fault_proxy;
pub mod kafka;
pub mod minio;
mod net;
pub mod process;
pub mod producer;
mod program;
pub mod proxy;
pub mod python;
pub mod readers;
pub mod registry;
pub mod registry_front;
pub mod s3;
pub mod scene;
mod scratch;
pub mod shifted;
pub mod swept;
#[cfg(feature = "filled")]
pub mod tables;
#[cfg(feature = "filled")]
pub mod topics;
pub mod volume;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use net::{free_port, http_get, listens};
pub use program::{ProcessOutput, ProgramUnderTest};
pub use scratch::Scratch;

/// Waits until `done` returns a value, and calls it five times a second.
pub fn eventually<T>(what: &str, patience: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = done() {
            return answer;
        }
        assert!(
            start.elapsed() < patience,
            "{what}: not within {patience:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Writes a list of values in double quotes, one per line, so that each is searched exactly as
/// written. Returns the file.
pub fn quoted(values: &Path) -> PathBuf {
    let list = std::fs::read_to_string(values).unwrap();
    let quoted = values.with_extension("quoted.txt");
    let lines = list
        .lines()
        .map(|value| format!("\"{}\"\n", value.replace('"', "\"\"")));
    std::fs::write(&quoted, lines.collect::<String>()).unwrap();
    quoted
}

/// Returns the folder of the repository.
pub fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
}
