//! Helpers shared by the tests of this module and of the modules above it: the shipped policy, a
//! root with two tables, an order.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use it"
)]

use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use uuid::Uuid;

use super::apply::table_versions;
use super::{CommitIdentity, HoldOrder, Scope};
use ebbtide_policy::{Policy, SchemaSource, parse};
use ebbtide_table::testing::{noon, root, spec};
use ebbtide_table::{Root, Table, TableSpec};

/// A subject's value that occurs only in holds.
pub const HELD: &str = "31699887766";

struct Shipped;

impl SchemaSource for Shipped {
    fn load(&self, path: &str) -> Result<String, String> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
        std::fs::read_to_string(config.join(path)).map_err(|error| error.to_string())
    }
}

/// Returns the shipped policy.
pub fn policy() -> Policy {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/policy.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    parse("policy.yaml", &text, &Shipped).policy.unwrap()
}

/// Returns the specification of the product's table.
pub fn spec_of(product: &str) -> Arc<TableSpec> {
    Arc::new(TableSpec {
        product: product.parse().unwrap(),
        ..TableSpec::clone(&spec())
    })
}

/// Returns a root with empty tables of `sms` and `voice`, in a temporary folder.
pub async fn two_tables() -> (tempfile::TempDir, Root) {
    let (folder, root) = root();
    for product in ["sms", "voice"] {
        Table::open(&root, spec_of(product)).await.unwrap();
    }
    (folder, root)
}

/// Returns a scope of the one held subject.
pub fn of_subject() -> Scope {
    Scope {
        subject: Some(format!("phone:+{HELD}").parse().unwrap()),
        ..Scope::default()
    }
}

/// Returns an order for 30 days.
pub fn order(scope: Scope) -> HoldOrder {
    let (case, basis) = (
        "case-2026-17".to_owned(),
        "order of the court of Utrecht".to_owned(),
    );
    HoldOrder {
        case,
        basis,
        until: noon() + TimeDelta::days(30),
        placed_by: None,
        scope,
    }
}

/// Returns the signature of a process at noon.
pub fn signature() -> CommitIdentity {
    CommitIdentity {
        writer: Uuid::nil(),
        at: noon(),
        policy_version: "2026-09-01".parse().unwrap(),
    }
}

/// Returns the content of every file under the root, with its path.
pub fn bytes_under(root: &Root) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let files = walkdir::WalkDir::new(root.folder())
        .into_iter()
        .filter_map(Result::ok);
    let files = files.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            (
                entry.path().to_owned(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// Returns the files under the root that contain the value of the held subject.
pub fn naming(root: &Root) -> Vec<std::path::PathBuf> {
    let holds = |bytes: &[u8]| {
        bytes
            .windows(HELD.len())
            .any(|window| window == HELD.as_bytes())
    };
    bytes_under(root)
        .into_iter()
        .filter(|(_, bytes)| holds(bytes))
        .map(|(path, _)| path)
        .collect()
}

/// Returns the version of the controls of each table under the root.
pub async fn versions(root: &Root) -> Vec<i64> {
    let tables = table_versions(root).await.unwrap();
    tables.into_iter().map(|(_, version)| version.0).collect()
}
