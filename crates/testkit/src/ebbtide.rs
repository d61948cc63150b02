//! The program under test, as a process: `ebbtide run --config FILE`.

use std::path::Path;
use std::time::Duration;

use super::clock_ahead::MAX_STEP;
use super::process::Process;
use super::{ProgramUnderTest, eventually, free_port, http_get};
use crate::args;

/// A running instance.
pub struct Ebbtide {
    pub process: Process,
    port: u16,
}

impl Ebbtide {
    /// Starts an instance from `config`, on its own operations port; its log is appended to `log`.
    pub fn start(
        program: &ProgramUnderTest,
        config: &Path,
        log: &Path,
        environment: &[(&str, &str)],
    ) -> Self {
        Self::start_by(
            program.path(),
            args!["run", "--config", config.display()],
            log,
            environment,
        )
    }

    /// Starts an instance through a command that runs it.
    pub fn start_by(
        command: &Path,
        args: &[String],
        log: &Path,
        environment: &[(&str, &str)],
    ) -> Self {
        let port = free_port();
        let mut variables = vec![(
            "EBBTIDE_HTTP_LISTEN".to_owned(),
            format!("127.0.0.1:{port}"),
        )];
        if environment.iter().any(|(name, _)| *name == "CLOCK_AHEAD") {
            variables.push((MAX_STEP.0.to_owned(), MAX_STEP.1.to_owned()));
        }
        variables.extend(
            environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Self {
            process: Process::start(command, args, &variables, log),
            port,
        }
    }

    /// Returns the operations port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the status and body of an answer of the operations port.
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        http_get(&format!("http://127.0.0.1:{}{path}", self.port))
    }

    /// Waits until the instance is ready.
    pub fn ready(&mut self) {
        eventually("ebbtide is ready", Duration::from_secs(60), || {
            assert!(
                self.process.ended().is_none(),
                "ebbtide ended:\n{}",
                self.process.tail()
            );
            self.ask("/readyz").filter(|answer| answer.0 == 200)
        });
    }

    /// Returns true if `/readyz` shows a trouble of a part whose name begins with `part`.
    pub fn has_trouble(&self, part: &str) -> bool {
        self.ask("/readyz")
            .is_some_and(|(_, shown)| shown.contains(&format!("{{\"part\":\"{part}")))
    }

    /// Returns the sum of a metric over all its labels.
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics().sum(name, "")
    }

    /// Returns the values of all metrics. They are empty if nothing answers.
    pub fn metrics(&self) -> ScrapedMetrics {
        ScrapedMetrics(self.ask("/metrics").unwrap_or_default().1)
    }

    /// Sends SIGTERM and waits. Asserts that the instance exits with 0 in time.
    pub fn stop(&mut self) {
        self.process.signal("TERM");
        let status = self.process.wait(Duration::from_secs(40));
        assert_eq!(
            status.code(),
            Some(0),
            "SIGTERM must end it well:\n{}",
            self.process.tail()
        );
    }
}

/// The values of all metrics at one time.
pub struct ScrapedMetrics(String);

impl ScrapedMetrics {
    /// Returns the sum of a metric over the series that have `label` (`outcome="stored"`); over all
    /// of them if it is empty.
    pub fn sum(&self, name: &str, label: &str) -> f64 {
        let of = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        };
        self.0
            .lines()
            .filter(of)
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}
