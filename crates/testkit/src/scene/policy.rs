//! The policy of a scene: derived from the shipped one, or written by a test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::python::run;
use crate::{Scratch, args, repo};

/// A policy that a test wrote, and the topics that it reads.
pub struct ScenePolicy {
    /// The folder of the policy. The scene writes its files there.
    pub scratch: Scratch,
    pub path: PathBuf,
    pub topics: Vec<String>,
    /// The beginning of the names of everything that the scene has on the broker.
    pub prefix: String,
    pub partitions: u32,
}

impl ScenePolicy {
    /// Derives a policy from the shipped one, by `derive_policy.py`.
    pub(super) fn derived(more: &[String], partitions: u32) -> Self {
        let scratch = Scratch::new();
        let prefix = next_prefix();
        let path = scratch.join("policy.yaml");
        let shipped = repo().join("config/policy.yaml");
        let mut arguments = args![
            "--policy",
            shipped.display(),
            "--out",
            path.display(),
            "--prefix",
            prefix
        ]
        .to_vec();
        arguments.extend_from_slice(more);
        let topics = run("derive_policy.py", &arguments)
            .lines()
            .map(str::to_owned)
            .collect();
        Self {
            scratch,
            path,
            topics,
            prefix,
            partitions,
        }
    }
}

/// Returns a prefix that no other test's topics have.
pub fn next_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("it{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
