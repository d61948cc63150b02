//! The layers of the workspace, read from `cargo metadata`: a crate depends on crates below it
//! alone, some libraries have few users, and the policy's dependencies do no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::repo;

/// The crates of the workspace from the top. A crate may depend on those in later rows.
const LAYERS: [&[&str]; 10] = [
    // Only dev-dependencies may name it, and these are not checked.
    &["ebbtide-testkit"],
    &["ebbtide", "ebbtide-demo"],
    &["ebbtide-services"],
    &["ebbtide-ingest", "ebbtide-maintenance"],
    &["ebbtide-controls"],
    &["ebbtide-query"],
    &["ebbtide-table"],
    &["ebbtide-policy", "ebbtide-config"],
    &["ebbtide-base"],
    &["kafka-topic-id"],
];

/// Libraries that only some crates may name, and these crates.
const FENCED: [(&str, &[&str]); 6] = [
    (
        "rdkafka",
        &[
            "ebbtide-ingest",
            "ebbtide-demo",
            "ebbtide-testkit",
            "kafka-topic-id",
        ],
    ),
    (
        "rdkafka-sys",
        &["ebbtide-ingest", "ebbtide-demo", "kafka-topic-id"],
    ),
    ("deltalake-core", &["ebbtide-table", "ebbtide-query"]),
    ("buoyant_kernel", &["ebbtide-table"]),
    ("parquet", &["ebbtide-table", "ebbtide-query"]),
    ("object_store", &["ebbtide-table", "ebbtide-query"]),
];

/// Libraries that the policy and what it depends on must not reach: async runtimes, stores, Kafka
/// and Delta.
const IMPURE: [&str; 7] = [
    "tokio",
    "async-std",
    "smol",
    "object_store",
    "rdkafka",
    "deltalake-core",
    "buoyant_kernel",
];

/// Returns the target triple of this machine.
fn host() -> String {
    let cargo = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let said = String::from_utf8(cargo.stdout).unwrap();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

/// Returns cargo's metadata of the workspace and of its dependencies on this platform: a build
/// fetches no others.
fn metadata() -> Value {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &host()])
        .current_dir(repo())
        .output()
        .unwrap();
    assert!(
        asked.status.success(),
        "{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    serde_json::from_slice(&asked.stdout).unwrap()
}

/// Returns the names of the normal dependencies of each crate of the workspace.
fn workspace_dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        if !members.contains(package["id"].as_str().unwrap()) {
            continue;
        }
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
        let names = normal
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect();
        found.insert(package["name"].as_str().unwrap().to_owned(), names);
    }
    found
}

/// Returns the names of all crates that `root` reaches by normal and build dependencies.
fn reached(metadata: &Value, root: &str) -> BTreeSet<String> {
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeMap<&str, &str> = packages
        .iter()
        .map(|p| (p["id"].as_str().unwrap(), p["name"].as_str().unwrap()))
        .collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let nodes: BTreeMap<&str, &Value> = nodes
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let mut next: Vec<&str> = names
        .iter()
        .filter(|(_, name)| **name == root)
        .map(|(id, _)| *id)
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                next.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

fn layer(name: &str) -> usize {
    LAYERS
        .iter()
        .position(|row| row.contains(&name))
        .unwrap_or_else(|| panic!("{name} is in no layer of LAYERS"))
}

#[test]
fn crates_depend_on_lower_layers_alone() {
    let crates = workspace_dependencies(&metadata());
    assert!(crates.len() >= 12, "{crates:?}");
    let mut wrong = Vec::new();
    for (name, dependencies) in &crates {
        for dependency in dependencies
            .iter()
            .filter(|dependency| crates.contains_key(*dependency))
        {
            if layer(dependency) <= layer(name) {
                wrong.push(format!(
                    "{name} depends on {dependency}, which is not in a lower layer"
                ));
            }
        }
        for (library, users) in FENCED {
            if dependencies.contains(library) && !users.contains(&name.as_str()) {
                wrong.push(format!(
                    "{name} depends on {library}, which only {} may",
                    users.join(", ")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_policy_reaches_no_runtime_store_or_broker() {
    let reached = reached(&metadata(), "ebbtide-policy");
    assert!(
        reached.contains("ebbtide-base") && reached.contains("arrow"),
        "{reached:?}"
    );
    let impure: Vec<&str> = IMPURE
        .into_iter()
        .filter(|name| reached.contains(*name))
        .collect();
    assert!(impure.is_empty(), "{impure:?}");
}

#[test]
fn the_program_reaches_neither_the_demo_nor_the_test_kit() {
    let reached = reached(&metadata(), "ebbtide");
    assert!(reached.contains("ebbtide-table"), "{reached:?}");
    for unwanted in ["ebbtide-demo", "ratatui", "ebbtide-testkit"] {
        assert!(!reached.contains(unwanted), "{unwanted}: {reached:?}");
    }
}
