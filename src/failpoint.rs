//! The named steps at which a test stops the process dead, as a power cut would.
//!
//! Without the feature `failpoints` this is nothing; with it, `FAILPOINTS="name=return"` in the environment aborts the
//! process at that step. Must never be the place of any work.

/// The steps of every commit that adds files, in the order in which it takes them. Behind the first of them that is of the
/// log (`commit-written`) it has landed.
pub const COMMIT: [&str; 7] = [
    "segment-encoded",
    "segment-written",
    "segment-synced",
    "before-commit",
    "commit-written",
    "commit-synced",
    "after-commit",
];

/// A step of that name is reached.
#[cfg_attr(not(feature = "failpoints"), allow(unused_variables, reason = "the macro is empty without the feature"))]
pub fn reach(name: &'static str) {
    fail::fail_point!(name, |_| std::process::abort());
}

/// Reads `FAILPOINTS` from the environment; the answer must be kept as long as the steps are to be watched.
#[cfg(feature = "failpoints")]
#[must_use]
pub fn watch() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}
