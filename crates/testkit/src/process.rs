//! One process that a test started, under `tests/servers/guard`.
//!
//! It ends when its value is dropped, also by a panic, and with the test process, even if that is
//! killed. Only its own process id is ever signalled.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{eventually, repo};

/// A started process.
pub struct Process {
    guard: Child,
    pid: u32,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `args`; its output is appended to `log`.
    pub fn start(
        program: &Path,
        args: &[String],
        environment: &[(String, String)],
        log: &Path,
    ) -> Self {
        let open = || File::options().create(true).append(true).open(log).unwrap();
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let pid_file =
            log.with_extension(format!("{}.pid", STARTED.fetch_add(1, Ordering::Relaxed)));
        let guard = Command::new(repo().join("tests/servers/guard"))
            .arg(&pid_file)
            .arg(program)
            .args(args)
            .envs(environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap();
        let pid = eventually("the process id", Duration::from_secs(20), || {
            std::fs::read_to_string(&pid_file).ok()?.trim().parse().ok()
        });
        std::fs::remove_file(&pid_file).unwrap();
        Self {
            guard,
            pid,
            log: log.to_owned(),
        }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Returns the user and system time of all threads of the process.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux counts in hundredths of a second on every architecture that this runs on.
        Duration::from_millis(ticks * 10)
    }

    /// Returns the largest resident size of the process until now, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM:"))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends a signal by name (`KILL`, `TERM`, `STOP`, `CONT`) if the process still runs.
    pub fn signal(&mut self, name: &str) {
        if self.ended().is_none() {
            let _ = Command::new("kill")
                .arg(format!("-{name}"))
                .arg(self.pid.to_string())
                .stderr(Stdio::null())
                .status();
        }
    }

    /// Returns its exit status if it ended. A process killed by signal N has exit code 128 + N.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.guard.try_wait().unwrap()
    }

    /// Waits until `answers` returns a value. Fails immediately if the process ended.
    pub fn until_it_answers<T>(
        &mut self,
        what: &str,
        patience: Duration,
        mut answers: impl FnMut() -> Option<T>,
    ) -> T {
        eventually(&format!("{what} answers"), patience, || {
            assert!(self.ended().is_none(), "{what} ended:\n{}", self.tail());
            answers()
        })
    }

    /// Waits for its end, and returns the exit status.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                start.elapsed() < patience,
                "{} still runs after {patience:?}:\n{}",
                self.pid,
                self.tail()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGKILL and waits.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.wait(Duration::from_secs(20));
    }

    /// Returns the end of its output, for the message of a failure.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<String> = log
            .lines()
            .map(|line| line.chars().take(400).collect())
            .collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL");
        // The guard ends when its child ends, or when its input closes.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
