//! The requirements of one key on another, and the keys that must be there.
//!
//! All of them are checked here, and nowhere later. A value that was refused counts as its default.

use std::collections::{BTreeMap, BTreeSet};

use super::client_rules;
use super::property::{PROPERTIES, canonical};
use super::reader::ReadSettings;
use super::sections::{default_commit_bytes, default_lanes};
use super::units::show_bytes;
use super::{
    Config, IngestConfig, KafkaConfig, ObjectStoreConfig, Property, RegistryAuth, RegistryConfig,
};
use ebbtide_base::problem::{Problems, TextPosition};
use ebbtide_base::yaml::{YamlEntry, YamlNode, YamlValue, join};

/// The number of messages of the maximum size that must fit into a lane's memory.
const LANE_MESSAGES: u64 = 8;

/// Checks the settings that were read from `tree`, and completes those that follow from others.
pub(super) fn check(read: ReadSettings, tree: &YamlNode, problems: &mut Problems) -> Config {
    let ReadSettings {
        mut config,
        refused,
    } = read;
    let mut check = Check {
        tree,
        refused,
        problems,
    };
    check.required("policy", "name the policy's file: policy: policy.yaml");
    check.required("root", "say where the tables are: root: /var/lib/ebbtide");
    check.store(&config.store);
    check.kafka(&mut config.kafka);
    if let Some(registry) = &config.schemas.registry {
        check.registry(registry);
    }
    check.ingest(&mut config.ingest);
    config
}

/// The tree, for the places of the problems, and the paths of the values that were refused.
struct Check<'c> {
    tree: &'c YamlNode,
    refused: BTreeSet<String>,
    problems: &'c mut Problems,
}

impl<'c> Check<'c> {
    fn get(&self, path: &str) -> Option<&'c YamlNode> {
        path.split('.')
            .try_fold(self.tree, |node, key| node.get(key))
    }

    fn is_set(&self, path: &str) -> bool {
        self.get(path).is_some() && !self.refused.contains(path)
    }

    /// Returns the place of `path`; if it is not set, that of its section, or the beginning of the
    /// file.
    fn at(&self, path: &str) -> TextPosition {
        let section = match path.rsplit_once('.') {
            Some((section, _)) => self.get(section),
            None => Some(self.tree),
        };
        let section = section.filter(|node| !matches!(node.value, YamlValue::Null));
        let place = self.get(path).or(section).map(|node| node.at);
        place.unwrap_or(TextPosition { line: 1, column: 1 })
    }

    fn error(&mut self, path: &str, what: impl Into<String>, fix: impl Into<String>) {
        self.problems.error(self.at(path), path, what, fix);
    }

    fn required(&mut self, path: &str, fix: &str) {
        if self.get(path).is_none() {
            let key = path.rsplit('.').next().unwrap_or(path);
            self.error(path, format!("`{key}` is missing"), fix);
        }
    }

    fn store(&mut self, store: &ObjectStoreConfig) {
        let (id, key) = ("access_key_id", "secret_access_key");
        let lonely = match (&store.access_key_id, &store.secret_access_key) {
            (Some(_), None) => Some((id, key)),
            (None, Some(_)) => Some((key, id)),
            _ => None,
        };
        if let Some((there, missing)) = lonely {
            let what = format!("it is of no use without `{missing}`");
            self.error(&join("store", there), what, "write both, or neither");
        }
        let endpoint = store.endpoint.as_deref();
        if endpoint.is_some_and(|url| !url.starts_with("https://")) && !store.allow_http {
            let fix = "write https://HOST:PORT, or allow_http: true where what is sent may be seen";
            self.error("store.endpoint", "the endpoint is not one of https", fix);
        }
    }

    fn kafka(&mut self, kafka: &mut KafkaConfig) {
        const SERVERS: &str = "kafka.bootstrap_servers";
        const PROPERTY: &str = "bootstrap.servers";
        kafka.properties = self.properties(std::mem::take(&mut kafka.properties));
        let is_property = kafka.properties.contains_key(PROPERTY);
        match kafka.bootstrap_servers.take() {
            Some(_) if is_property => {
                let what = "the servers are set here and as `properties.bootstrap.servers`";
                self.error(SERVERS, what, "keep one of the two");
            }
            Some(servers) => {
                kafka
                    .properties
                    .insert(PROPERTY.to_owned(), Property::Plain(servers));
                if let Some((what, fix)) = client_rules::refusal(PROPERTY, &kafka.properties) {
                    self.error(SERVERS, what, fix);
                }
            }
            None if is_property => {}
            None => {
                let fix = "name the brokers: kafka: { bootstrap_servers: localhost:9092 }";
                self.error(SERVERS, "no broker is named", fix);
            }
        }
    }

    /// Returns the client library's properties, each under its canonical name.
    fn properties(&mut self, mut read: BTreeMap<String, Property>) -> BTreeMap<String, Property> {
        let mut named = BTreeMap::new();
        let entries = self.get(PROPERTIES).map_or(&[][..], YamlNode::entries);
        for YamlEntry { key, .. } in entries {
            if let Some(value) = read.remove(key) {
                named.insert(canonical(key).to_owned(), value.named(key));
            }
        }
        for entry in entries {
            if let Some((what, fix)) = client_rules::refusal(canonical(&entry.key), &named) {
                let path = join(PROPERTIES, &entry.key);
                self.problems.error(entry.value.at, &path, what, fix);
            }
        }
        named
    }

    fn registry(&mut self, registry: &RegistryConfig) {
        const URL: &str = "schemas.registry.url";
        const BEARER: &str = "schemas.registry.bearer";
        let basic = self.get("schemas.registry.basic");
        if basic.is_some_and(|node| !matches!(node.value, YamlValue::Null)) {
            if self.get(BEARER).is_some() {
                let what = "`basic` and `bearer` are both set";
                self.error(BEARER, what, "keep one of the two");
            }
            self.required("schemas.registry.basic.user", "write the user's name");
            let fix = "write { file: PATH } or { env: NAME }";
            self.required("schemas.registry.basic.password", fix);
        }
        self.required(URL, "name the registry: url: https://registry:8081");
        let is_plain = registry.urls.iter().any(|url| url.scheme() == "http");
        if is_plain && !matches!(registry.auth, RegistryAuth::None) {
            let what = "the credentials travel unencrypted";
            self.problems.warning(self.at(URL), URL, what, "use https");
        }
    }

    /// Settings that are not set follow from the memory, so that a lower memory alone is still a
    /// consistent configuration.
    fn ingest(&mut self, ingest: &mut IngestConfig) {
        let memory = ingest.memory;
        if !self.is_set("ingest.lanes") {
            ingest.lanes = default_lanes(memory);
        }
        if !self.is_set("ingest.commit_bytes") {
            ingest.commit_bytes = default_commit_bytes(memory);
        }
        if ingest.commit_bytes > memory / 2 {
            let what = format!(
                "{} is more than half of ingest.memory",
                show_bytes(ingest.commit_bytes)
            );
            let fix = format!("write at most {}", show_bytes(memory / 2));
            self.error("ingest.commit_bytes", what, fix);
        }
        let lanes = ingest.lanes;
        let share = memory / u64::try_from(lanes).unwrap_or(u64::MAX);
        if ingest.max_message_bytes > share / LANE_MESSAGES {
            let what = format!(
                "{} is more than an eighth of a lane's memory, which is {} shared by {lanes}",
                show_bytes(ingest.max_message_bytes),
                show_bytes(memory)
            );
            let fix = "lower it, or raise `memory`, or lower `lanes`";
            self.error("ingest.max_message_bytes", what, fix);
        }
    }
}
