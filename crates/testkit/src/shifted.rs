//! A process whose wall clock is wrong, and can be changed while it runs. Its other clocks are
//! those of the machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::scene::Scene;
use super::{ProcessOutput, repo};
use crate::args;

const DAY: i64 = 24 * 3600;

/// A wall clock, shared by the processes that are started with [`ShiftedClock::environment`].
pub struct ShiftedClock {
    library: PathBuf,
    file: PathBuf,
}

impl ShiftedClock {
    /// Creates a clock that is right.
    pub fn new(scene: &Scene<'_>) -> Self {
        let (library, file) = (
            scene.scratch.join("shifted_clock.so"),
            scene.scratch.join("shift"),
        );
        let source = repo().join("crates/testkit/src/shifted_clock.c");
        let mut compiler = Command::new("cc");
        let built = compiler
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&source)
            .status()
            .unwrap();
        assert!(built.success(), "the shifted clock was not built");
        let clock = Self { library, file };
        clock.set(0);
        clock
    }

    /// Sets the error of the clock in days, for all processes that use it.
    pub fn set(&self, days: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, (days * DAY).to_string()).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    /// Returns the variables that make a process use it.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("SHIFT_FILE", self.file.display().to_string()),
        ]
    }

    /// Runs a subcommand with this clock.
    pub fn ebbtide(&self, scene: &Scene<'_>, line: &str) -> ProcessOutput {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        scene.program.run_with(
            self.environment(),
            &[words, args!["--config", scene.config().display()].to_vec()].concat(),
        )
    }
}
