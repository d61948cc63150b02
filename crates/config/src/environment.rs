//! Sets the values of `EBBTIDE_*` variables in the file's tree, before anything is read from it.
//!
//! `EBBTIDE_INGEST_MEMORY` is `ingest.memory`; `EBBTIDE_KAFKA_PROPERTIES_SASL_MECHANISM` is
//! librdkafka's `sasl.mechanism`. A mistyped variable is refused. Must never quote a variable's
//! value.

use std::collections::{BTreeMap, BTreeSet};

use super::keys::keys;
use super::property::canonical;
use ebbtide_base::problem::{Problems, TextPosition, nearest};
use ebbtide_base::yaml::YamlNode;

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
    let settable = keys().iter().filter(|key| *key != "kafka.properties");
    let variable = |key: &String| PREFIX.to_owned() + &key.to_uppercase().replace('.', "_");
    let known: BTreeMap<String, &str> = settable.map(|key| (variable(key), key.as_str())).collect();
    let mut set_by = BTreeMap::new();
    for (name, value) in variables
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
    {
        let property = name.strip_prefix(PROPERTIES);
        let property = property.map(|name| name.to_ascii_lowercase().replace('_', "."));
        let path: Vec<&str> = match (&property, known.get(name)) {
            (Some(property), _) => vec!["kafka", "properties", property],
            (None, Some(key)) => key.split('.').collect(),
            (None, None) if referred.contains(name) || is_service_link(name) => continue,
            (None, None) => {
                let fix = match nearest(name, known.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "unset it, or write the key's path in capitals: EBBTIDE_INGEST_MEMORY"
                        .to_owned(),
                };
                let what = format!("unknown variable `{name}`");
                problems.error(TextPosition::default(), "", what, fix);
                continue;
            }
        };
        remove_other_spellings(tree, &path);
        tree.set(&path, value);
        set_by.insert(path.join("."), name.clone());
    }
    set_by
}

/// Finds the variables that secrets of the file name (`{ env: NAME }`). They are the operator's own
/// and are accepted with any name.
fn references(node: &YamlNode, found: &mut BTreeSet<String>) {
    found.extend(node.get("env").and_then(YamlNode::text).map(str::to_owned));
    node.entries()
        .iter()
        .for_each(|entry| references(&entry.value, found));
}

/// Returns true for variables of the form that Kubernetes puts into every container for each
/// service of the namespace. Without this exception, a service named `ebbtide` would prevent the
/// start.
fn is_service_link(name: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"];
    ends.iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || name
            .split_once("_PORT_")
            .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Removes the file's other spellings of a setting that a variable sets: aliases of a property, and
/// the two ways to name the servers.
fn remove_other_spellings(tree: &mut YamlNode, path: &[&str]) {
    const SERVERS: &str = "bootstrap.servers";
    let name = match path {
        ["kafka", "properties", name] => canonical(name),
        ["kafka", "bootstrap_servers"] => SERVERS,
        _ => return,
    };
    let kafka = tree.entries_mut().into_iter().flatten();
    for kafka in kafka.filter(|entry| entry.key == "kafka") {
        let Some(settings) = kafka.value.entries_mut() else {
            continue;
        };
        settings.retain(|entry| entry.key != "bootstrap_servers" || name != SERVERS);
        let properties = settings
            .iter_mut()
            .filter(|entry| entry.key == "properties");
        for properties in properties.filter_map(|entry| entry.value.entries_mut()) {
            properties.retain(|entry| canonical(&entry.key) != name);
        }
    }
}
