//! The program under test: runs its subcommands to their end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::clock_ahead::{MAX_STEP, living};

/// The path of the program. Only tests and benchmarks of the root package know it, as
/// `env!("CARGO_BIN_EXE_ebbtide")`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramUnderTest(PathBuf);

/// The exit code of a subcommand, and both of its outputs.
pub struct ProcessOutput {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl ProgramUnderTest {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Runs a subcommand with a clock that is `ahead` seconds ahead.
    pub fn run_ahead(&self, ahead: u64, args: &[String]) -> ProcessOutput {
        self.run_with([living(ahead)], args)
    }

    /// Runs a subcommand with those variables.
    pub fn run_with(
        &self,
        environment: impl IntoIterator<Item = (&'static str, String)>,
        args: &[String],
    ) -> ProcessOutput {
        let mut command = Command::new(self);
        for (name, value) in environment {
            // A test whose clock is ahead skips days in which no instance runs.
            if name == "CLOCK_AHEAD" {
                command.env(MAX_STEP.0, MAX_STEP.1);
            }
            command.env(name, value);
        }
        let output = command.args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        ProcessOutput {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl AsRef<OsStr> for ProgramUnderTest {
    fn as_ref(&self) -> &OsStr {
        self.0.as_os_str()
    }
}
