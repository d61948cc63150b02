//! What the tests of subcommands share: a world, and beside it the configuration, the policy and the schema that they read.

use std::path::Path;

use chrono::{DateTime, Utc};

use super::Outcome;
use crate::app::read_policy;
use crate::clock::Clock;
use crate::controls::{Signature, activate};
use crate::expiry::testing::{SCHEMA, World, policy_text, texts};

/// Runs a line of a subcommand under a configuration, at a time.
type Run = fn(&[&str], &Path, DateTime<Utc>) -> Outcome;

/// A world, and beside it what the command reads.
pub struct Place {
    /// The table, its policy and its clock.
    pub world: World,
    /// Where the files are that the command reads; `HERE` in lines and answers.
    pub folder: tempfile::TempDir,
    /// What the world's works run on.
    pub runtime: tokio::runtime::Runtime,
    run: Run,
}

impl Place {
    /// An empty table whose records end as `end` says, `sections` behind the least of a configuration, and the command.
    pub fn new(end: &str, sections: &str, run: Run) -> Place {
        let place = Place {
            world: World::new(end),
            folder: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(),
            run,
        };
        let root = place.world.root.folder().display();
        let config = format!("policy: policy.yaml\nroot: {root}\nkafka: {{ bootstrap_servers: 'a:1' }}\n{sections}");
        place.write("ebbtide.yaml", &config);
        place.write("policy.yaml", &policy_text(end));
        place.write("sms.avsc", SCHEMA);
        place
    }

    /// Writes a file that the command may read.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Stores texts to so many people, sent now.
    pub fn ingest(&mut self, count: u32) {
        let sent = texts(self.world.clock.now(), count);
        self.runtime.block_on(self.world.ingest(&sent));
    }

    /// What the command says at a time.
    pub fn outcome(&self, line: &str, at: DateTime<Utc>) -> Outcome {
        let line = line.replace("HERE", &self.here());
        (self.run)(&line.split_whitespace().collect::<Vec<_>>(), &self.folder.path().join("ebbtide.yaml"), at)
    }

    /// The exit code and all that is said, by the world's own clock, made [`plain`].
    pub fn says(&self, line: &str) -> (u8, String) {
        let Outcome { out, err, code } = self.outcome(line, self.world.clock.now());
        (code, plain(&(out + &err)).replace(&self.here(), "HERE"))
    }

    /// Activates the same policy under another version, of which `policy.yaml` knows nothing.
    pub fn activate_another(&self) {
        let text = std::fs::read_to_string(self.folder.path().join("policy.yaml")).unwrap();
        self.write("another.yaml", &text.replace("version: test-1", "version: test-2"));
        let read = |name: &str| read_policy(&self.folder.path().join(name)).unwrap();
        let (old, new) = (read("policy.yaml"), read("another.yaml"));
        let policy_version = self.world.policy.version.clone();
        let by = Signature { writer: uuid::Uuid::nil(), at: self.world.clock.now(), policy_version };
        self.runtime.block_on(activate(&self.world.root, (&old, &new), &by)).unwrap();
    }

    fn here(&self) -> String {
        self.folder.path().display().to_string()
    }
}

/// Without what another version of a library may write otherwise.
pub fn plain(text: &str) -> String {
    let text = regex::Regex::new(r"\d+ bytes").unwrap().replace_all(text, "N bytes");
    let bytes = regex::Regex::new(r#""bytes(_in|_out|_copied|_dropped|_rewritten)?": \d+"#).unwrap();
    bytes.replace_all(&text, "\"bytes$1\": 0").into_owned()
}
