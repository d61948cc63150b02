//! Sets the values of `EBBTIDE_*` variables in the file's tree, before anything is read from it.
//!
//! `EBBTIDE_INGEST_MEMORY` is `ingest.memory`; `EBBTIDE_KAFKA_PROPERTIES_SASL_MECHANISM` is
//! librdkafka's `sasl.mechanism`. A mistyped variable is refused. Must never quote a variable's
//! value.

use std::collections::{BTreeMap, BTreeSet};

use super::KEYS;
use super::property::canonical;
use ebbtide_base::problem::{Problem, Problems, TextPosition, nearest};
use ebbtide_base::yaml::{YamlEntry, YamlNode, YamlValue, join};

const PREFIX: &str = "EBBTIDE_";
const PROPERTIES: &str = "EBBTIDE_KAFKA_PROPERTIES_";

/// Sets the variables' values in the tree. Returns the name of the variable for each path that was
/// set.
pub(super) fn overlay(
    tree: &mut YamlNode,
    variables: &BTreeMap<String, String>,
    problems: &mut Problems,
) -> BTreeMap<String, String> {
    let mut referred = BTreeSet::new();
    references(tree, &mut referred);
    let known: BTreeMap<String, &str> = KEYS
        .iter()
        .filter(|key| **key != "kafka.properties")
        .map(|key| (variable(key), *key))
        .collect();
    let mut set_by = BTreeMap::new();
    for (name, value) in variables
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
    {
        let path: Vec<String> = if let Some(property) = name.strip_prefix(PROPERTIES) {
            let property = property.to_ascii_lowercase().replace('_', ".");
            vec!["kafka".to_owned(), "properties".to_owned(), property]
        } else if let Some(key) = known.get(name) {
            key.split('.').map(str::to_owned).collect()
        } else {
            if !referred.contains(name) && !is_service_link(name) {
                let mend = match nearest(name, known.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "unset it, or write the key's path in capitals: EBBTIDE_INGEST_MEMORY"
                        .to_owned(),
                };
                problems.error(
                    TextPosition::default(),
                    "",
                    format!("unknown variable `{name}`"),
                    mend,
                );
            }
            continue;
        };
        forget_other_spellings(tree, &path);
        set(tree, &path, value);
        set_by.insert(
            path.iter()
                .fold(String::new(), |path, key| join(&path, key)),
            name.clone(),
        );
    }
    set_by
}

/// Replaces the file's name by the variable's name in each problem that a variable caused.
pub(super) fn named(problems: Vec<Problem>, set_by: &BTreeMap<String, String>) -> Vec<Problem> {
    let name = |mut problem: Problem| {
        if let Some(variable) = set_by.get(&problem.path)
            && problem.at == TextPosition::default()
        {
            problem.file.clone_from(variable);
        }
        problem
    };
    problems.into_iter().map(name).collect()
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "_"))
}

/// Finds the variables that secrets of the file name (`{ env: NAME }`). They are the operator's own
/// and are accepted with any name.
fn references(node: &YamlNode, found: &mut BTreeSet<String>) {
    if let Some(name) = node.get("env").and_then(YamlNode::text) {
        found.insert(name.to_owned());
    }
    for entry in node.entries() {
        references(&entry.value, found);
    }
}

/// Returns true for variables of the form that Kubernetes puts into every container for each
/// service of the namespace. Without this exception, a service named `ebbtide` would prevent the
/// start.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Removes the file's other spellings of a setting that a variable sets: aliases of a property, and
/// the two ways to name the servers.
fn forget_other_spellings(tree: &mut YamlNode, path: &[String]) {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["kafka", "properties", name] => {
            if canonical(name) == SERVERS {
                retain(tree, &["kafka"], |key| key != "bootstrap_servers");
            }
            retain(tree, &["kafka", "properties"], |key| {
                key == *name || canonical(key) != canonical(name)
            });
        }
        ["kafka", "bootstrap_servers"] => retain(tree, &["kafka", "properties"], |key| {
            canonical(key) != SERVERS
        }),
        _ => {}
    }
}

const SERVERS: &str = "bootstrap.servers";

/// Keeps only the entries of the mapping at `path` whose keys `keep` accepts.
fn retain(tree: &mut YamlNode, path: &[&str], keep: impl Fn(&str) -> bool) {
    let mut node = tree;
    for step in path {
        let YamlValue::Map(entries) = &mut node.value else {
            return;
        };
        let Some(entry) = entries.iter_mut().find(|entry| entry.key == *step) else {
            return;
        };
        node = &mut entry.value;
    }
    if let YamlValue::Map(entries) = &mut node.value {
        entries.retain(|entry| keep(&entry.key));
    }
}

/// Sets the scalar at `path`. Does not change a tree that has a scalar or list in place of a
/// mapping: that is an error anyway.
fn set(node: &mut YamlNode, path: &[String], value: &str) {
    let Some((key, rest)) = path.split_first() else {
        *node = YamlNode {
            at: TextPosition::default(),
            value: YamlValue::Text(value.to_owned()),
        };
        return;
    };
    if matches!(node.value, YamlValue::Null) {
        node.value = YamlValue::Map(Vec::new());
    }
    let YamlValue::Map(entries) = &mut node.value else {
        return;
    };
    let place = match entries.iter().position(|entry| entry.key == *key) {
        Some(place) => place,
        None => {
            let value = YamlNode {
                at: TextPosition::default(),
                value: YamlValue::Null,
            };
            entries.push(YamlEntry {
                key: key.clone(),
                at: TextPosition::default(),
                value,
            });
            entries.len() - 1
        }
    };
    set(&mut entries[place].value, rest, value);
}
