//! Helpers of the tests of subcommands: a world, and the configuration, policy and schema that a
//! command reads.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::CommandOutput;
use ebbtide_base::clock::Clock;
use ebbtide_controls::{CommitIdentity, activate};
use ebbtide_maintenance::testing::{SCHEMA, World, policy_text, texts};
use ebbtide_services::policy_file::read_policy;

/// A function that runs the command line of a subcommand with a configuration, at a time.
type Run = fn(&[&str], &Path, DateTime<Utc>) -> CommandOutput;

/// A world, and the files that the command reads.
pub struct CommandFixture {
    /// The table, its policy and its clock.
    pub world: World,
    /// The folder of the files that the command reads. Lines and answers call it `HERE`.
    pub folder: tempfile::TempDir,
    /// The runtime of the world's work.
    pub runtime: tokio::runtime::Runtime,
    run: Run,
}

impl CommandFixture {
    /// Creates an empty table whose records end as `end` says, and the files of the command `run`.
    /// `sections` is added to a minimal configuration.
    pub fn new(end: &str, sections: &str, run: Run) -> CommandFixture {
        let place = CommandFixture {
            world: World::new(end),
            folder: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap(),
            run,
        };
        let root = place.world.root.folder().display();
        let config = format!(
            "policy: policy.yaml\nroot: {root}\nkafka: {{ bootstrap_servers: 'a:1' }}\n{sections}"
        );
        place.write("ebbtide.yaml", &config);
        place.write("policy.yaml", &policy_text(end));
        place.write("sms.avsc", SCHEMA);
        place
    }

    /// Writes a file that the command may read.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Stores texts to `count` people, sent now.
    pub fn ingest(&mut self, count: u32) {
        let sent = texts(self.world.clock.now(), count);
        self.runtime.block_on(self.world.ingest(&sent));
    }

    /// Returns the outcome of a command line at a time.
    pub fn outcome(&self, line: &str, at: DateTime<Utc>) -> CommandOutput {
        let line = line.replace("HERE", &self.here());
        (self.run)(
            &line.split_whitespace().collect::<Vec<_>>(),
            &self.folder.path().join("ebbtide.yaml"),
            at,
        )
    }

    /// Returns the exit code and all output of a command line at the time of the world's own clock,
    /// made [`plain`].
    pub fn says(&self, line: &str) -> (u8, String) {
        let CommandOutput { out, err, code } = self.outcome(line, self.world.clock.now());
        (code, plain(&(out + &err)).replace(&self.here(), "HERE"))
    }

    /// Activates the same policy under another version than the one in `policy.yaml`.
    pub fn activate_another(&self) {
        let text = std::fs::read_to_string(self.folder.path().join("policy.yaml")).unwrap();
        self.write(
            "another.yaml",
            &text.replace("version: test-1", "version: test-2"),
        );
        let read = |name: &str| read_policy(&self.folder.path().join(name)).unwrap();
        let (old, new) = (read("policy.yaml"), read("another.yaml"));
        let policy_version = self.world.policy.version.clone();
        let by = CommitIdentity {
            writer: uuid::Uuid::nil(),
            at: self.world.clock.now(),
            policy_version,
        };
        self.runtime
            .block_on(activate(&self.world.root, &old, &new, &by))
            .unwrap();
    }

    fn here(&self) -> String {
        self.folder.path().display().to_string()
    }
}

/// Replaces the numbers of bytes, which depend on the versions of libraries.
pub fn plain(text: &str) -> String {
    let text = regex::Regex::new(r"\d+ bytes")
        .unwrap()
        .replace_all(text, "N bytes");
    let bytes =
        regex::Regex::new(r#""bytes(_in|_out|_copied|_dropped|_rewritten)?": \d+"#).unwrap();
    bytes.replace_all(&text, "\"bytes$1\": 0").into_owned()
}
