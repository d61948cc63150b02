//! The configuration in force as YAML, for `config show`: every key with its value, secrets hidden.
//!
//! Must never print a secret: the output is made from the checked values, in which a secret cannot
//! be formatted.

use std::fmt;

use url::Url;

use super::property::Property;
use super::secret::HIDDEN;
use super::units::{show_bytes, show_duration};
use super::{Config, LogFormat, RegistryAuth, RetentionCheck};

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "policy: {}", quoted(&self.policy.display().to_string()))?;
        writeln!(f, "root: {}", quoted(&self.root))?;
        self.show_store(f)?;
        writeln!(f, "kafka:\n  properties:")?;
        for (name, value) in &self.kafka.properties {
            match value {
                Property::Plain(value) => writeln!(f, "    {name}: {}", quoted(value))?,
                Property::Hidden(_) => writeln!(f, "    {name}: {}", quoted(HIDDEN))?,
            }
        }
        writeln!(f, "  group: {}", quoted(&self.kafka.group))?;
        writeln!(
            f,
            "  dead_letter_topic: {}",
            quoted(&self.kafka.dead_letter_topic)
        )?;
        let check = match self.kafka.retention_check {
            RetentionCheck::Refuse => "refuse",
            RetentionCheck::Warn => "warn",
        };
        writeln!(f, "  retention_check: {check}")?;
        self.show_notices(f)?;
        self.show_schemas(f)?;
        let ingest = &self.ingest;
        writeln!(f, "ingest:\n  lanes: {}", ingest.lanes)?;
        writeln!(f, "  memory: {}", show_bytes(ingest.memory))?;
        writeln!(f, "  commit_bytes: {}", show_bytes(ingest.commit_bytes))?;
        writeln!(f, "  commit_age: {}", show_duration(ingest.commit_age))?;
        writeln!(
            f,
            "  future_tolerance: {}",
            show_duration(ingest.future_tolerance)
        )?;
        writeln!(
            f,
            "  shutdown_timeout: {}",
            show_duration(ingest.shutdown_timeout)
        )?;
        writeln!(
            f,
            "  max_message_bytes: {}",
            show_bytes(ingest.max_message_bytes)
        )?;
        writeln!(
            f,
            "maintain:\n  checkpoint_every: {}",
            self.maintain.checkpoint_every
        )?;
        writeln!(
            f,
            "  log_retention: {}",
            show_duration(self.maintain.log_retention)
        )?;
        writeln!(
            f,
            "  orphan_age: {}",
            show_duration(self.maintain.orphan_age)
        )?;
        writeln!(
            f,
            "  readers_grace: {}",
            show_duration(self.maintain.readers_grace)
        )?;
        writeln!(
            f,
            "  quarantine_retention: {}",
            show_duration(self.maintain.quarantine_retention)
        )?;
        writeln!(f, "sweep:\n  enabled: {}", self.sweep.enabled)?;
        writeln!(f, "  every: {}", show_duration(self.sweep.every))?;
        writeln!(f, "  memory: {}", show_bytes(self.sweep.memory))?;
        writeln!(f, "  takeover: {}", show_duration(self.sweep.takeover))?;
        writeln!(
            f,
            "  clock_tolerance: {}",
            show_duration(self.sweep.clock_tolerance)
        )?;
        writeln!(
            f,
            "  clock_settle: {}",
            show_duration(self.sweep.clock_settle)
        )?;
        writeln!(
            f,
            "  clock_max_step: {}",
            show_duration(self.sweep.clock_max_step)
        )?;
        writeln!(f, "compact:\n  enabled: {}", self.compact.enabled)?;
        writeln!(f, "  every: {}", show_duration(self.compact.every))?;
        writeln!(f, "  late: {}", show_duration(self.compact.late))?;
        writeln!(f, "  target: {}", show_bytes(self.compact.target))?;
        writeln!(f, "  memory: {}", show_bytes(self.compact.memory))?;
        writeln!(
            f,
            "http:\n  listen: {}",
            quoted(&self.http.listen.to_string())
        )?;
        let format = match self.log.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        writeln!(
            f,
            "log:\n  format: {format}\n  level: {}",
            quoted(&self.log.level)
        )
    }
}

impl Config {
    fn show_store(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = &self.store;
        writeln!(f, "store:")?;
        for (key, value) in [("endpoint", &store.endpoint), ("region", &store.region)] {
            if let Some(value) = value {
                writeln!(f, "  {key}: {}", quoted(value))?;
            }
        }
        for (key, value) in [
            ("access_key_id", &store.access_key_id),
            ("secret_access_key", &store.secret_access_key),
        ] {
            if value.is_some() {
                writeln!(f, "  {key}: {}", quoted(HIDDEN))?;
            }
        }
        writeln!(f, "  virtual_hosted_style: {}", store.virtual_hosted_style)?;
        writeln!(f, "  allow_http: {}", store.allow_http)?;
        if let Some(ca) = &store.ca {
            writeln!(f, "  ca: {}", quoted(&ca.display().to_string()))?;
        }
        writeln!(f, "  timeout: {}", show_duration(store.timeout))?;
        writeln!(f, "  retry_for: {}", show_duration(store.retry_for))
    }

    fn show_notices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            ("contracts", &self.notices.contracts),
            ("consents", &self.notices.consents),
        ];
        let named: Vec<_> = named
            .into_iter()
            .filter_map(|(key, topic)| Some((key, topic.as_ref()?)))
            .collect();
        writeln!(f, "notices:")?;
        named
            .into_iter()
            .try_for_each(|(key, topic)| writeln!(f, "  {key}: {}", quoted(topic)))?;
        let limits = &self.notices.limits;
        writeln!(f, "  earliest: {}", limits.earliest)?;
        writeln!(
            f,
            "  contract_ahead: {}",
            show_duration(limits.contract_ahead)
        )?;
        writeln!(f, "  max_share: {}", limits.max_share)?;
        writeln!(f, "  max_share_from: {}", limits.max_share_from)
    }

    fn show_schemas(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schemas.registry.is_none() && self.schemas.folder.is_none() {
            return writeln!(f, "schemas: {{}}");
        }
        writeln!(f, "schemas:")?;
        if let Some(registry) = &self.schemas.registry {
            let urls = registry
                .urls
                .iter()
                .map(Url::as_str)
                .collect::<Vec<_>>()
                .join(",");
            writeln!(f, "  registry:\n    url: {}", quoted(&urls))?;
            match &registry.auth {
                RegistryAuth::None => {}
                RegistryAuth::Basic { user, .. } => {
                    writeln!(
                        f,
                        "    basic: {{ user: {}, password: {} }}",
                        quoted(user),
                        quoted(HIDDEN)
                    )?;
                }
                RegistryAuth::Bearer(_) => writeln!(f, "    bearer: {}", quoted(HIDDEN))?,
            }
            if let Some(ca) = &registry.ca {
                writeln!(f, "    ca: {}", quoted(&ca.display().to_string()))?;
            }
            writeln!(f, "    timeout: {}", show_duration(registry.timeout))?;
            writeln!(
                f,
                "    unknown_schema_wait: {}",
                show_duration(registry.unknown_schema_wait)
            )?;
        }
        match &self.schemas.folder {
            Some(folder) => writeln!(f, "  folder: {}", quoted(&folder.display().to_string())),
            None => Ok(()),
        }
    }
}

/// Returns a double-quoted YAML scalar. A JSON string is a valid one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
