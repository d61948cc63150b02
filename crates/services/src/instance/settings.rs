//! Settings that are legal individually but break a guarantee together, or with the policy.
//!
//! Each check is a pure function over the configuration and the policy; each problem names the
//! places of both sides and a value that would be valid.

mod addresses;
mod grace;
mod topics;

use std::path::Path;

use ebbtide_base::ids::RuleId;
use ebbtide_base::problem::{Problem, Severity, TextPosition};
use ebbtide_base::yaml::{self, YamlNode};
use ebbtide_config::{CheckedConfig, Config, ConfigInputs};
use ebbtide_ingest::kafka::refused_properties;
use ebbtide_policy::{Policy, PolicyText};

use crate::policy_file::read_policy;
use crate::problem_report::ProblemReport;

/// A policy, and the file that it was read from.
#[derive(Debug, Clone, Copy)]
pub struct PolicyInUse<'p> {
    /// The policy.
    pub policy: &'p Policy,
    /// Its texts.
    pub text: &'p PolicyText,
}

/// Checks a configuration's text: its content, the Kafka clients' properties, and its settings with
/// each other and with the policy that it names. Reads the policy and the files of secrets; contacts
/// no server.
#[must_use]
pub fn check_config_text(file: &Path, text: &str, around: &ConfigInputs) -> ProblemReport {
    let CheckedConfig {
        config,
        mut problems,
    } = Config::parse(&file.display().to_string(), text, around);
    if let Some(config) = config {
        problems.extend(check_with_policy(&config));
    }
    ProblemReport::new(file, problems)
}

/// Returns the problems of the settings with each other and with the policy, or those of the
/// policy's file.
fn check_with_policy(config: &Config) -> Vec<Problem> {
    let (what, fix) = match read_policy(&config.policy) {
        Ok(checked) => match &checked.policy {
            Some(policy) => {
                let text = &checked.text;
                return check_settings(config, PolicyInUse { policy, text });
            }
            None => {
                let fix = format!("see `ebbtide policy check {}`", config.policy.display());
                ("the policy has errors".to_owned(), fix)
            }
        },
        Err(error) => {
            let fix = "name a readable policy file".to_owned();
            (error.to_string(), fix)
        }
    };
    let mut problems = check_clients(config);
    problems.push(error(config, "policy", what, fix));
    problems
}

/// Returns the properties that librdkafka refuses, and the problems of the configuration's settings
/// with each other and with the policy.
#[must_use]
pub fn check_settings(config: &Config, policy: PolicyInUse<'_>) -> Vec<Problem> {
    let mut problems = check_clients(config);
    problems.extend(grace::check(config, policy));
    problems.extend(topics::check(config, policy));
    problems.extend(addresses::check(config));
    problems
}

/// Returns the problems of the settings that decide when the last byte is deleted.
#[must_use]
pub fn check_grace(config: &Config, policy: PolicyInUse<'_>) -> Vec<Problem> {
    grace::check(config, policy)
}

/// Returns the properties that librdkafka refuses. Creates every Kafka client, without brokers.
fn check_clients(config: &Config) -> Vec<Problem> {
    let refused = refused_properties(config);
    refused
        .into_iter()
        .map(|refused| {
            error(
                config,
                &refused.path(),
                refused.why,
                "see librdkafka's list of properties".to_owned(),
            )
        })
        .collect()
}

/// Creates an error at the place of a setting.
fn error(config: &Config, path: &str, what: String, fix: String) -> Problem {
    let origin = config.origins.of(path);
    Problem {
        severity: Severity::Error,
        file: origin.file,
        at: origin.at,
        path: path.to_owned(),
        what,
        help: fix,
    }
}

impl PolicyInUse<'_> {
    /// Returns the place of a key of a rule as `FILE:LINE`; the place of the rule itself if it does
    /// not have the key.
    fn rule_key(self, config: &Config, rule: &RuleId, key: &str) -> String {
        let tree = yaml::parse(&self.text.yaml).ok();
        let rules = tree
            .as_ref()
            .and_then(|tree| tree.get("rules"))
            .and_then(YamlNode::list)
            .unwrap_or_default();
        let found = rules
            .iter()
            .find(|node| node.get("id").and_then(YamlNode::text) == Some(rule.as_str()));
        let at = found.map(|node| node.entry(key).map_or(node.at, |entry| entry.at));
        place(config, at.unwrap_or_default())
    }

    /// Returns the place at which a product lists a topic, as `FILE:LINE`.
    fn topic(self, config: &Config, product: &str, topic: &str) -> String {
        let tree = yaml::parse(&self.text.yaml).ok();
        let topics = tree
            .as_ref()
            .and_then(|tree| tree.get("products")?.get(product)?.get("topics"));
        let listed = topics.and_then(YamlNode::list).unwrap_or_default();
        let item = listed.iter().find(|item| item.text() == Some(topic));
        place(
            config,
            item.or(topics).map(|node| node.at).unwrap_or_default(),
        )
    }
}

fn place(config: &Config, at: TextPosition) -> String {
    format!("{}:{}", config.policy.display(), at.line)
}

#[cfg(test)]
mod tests;
