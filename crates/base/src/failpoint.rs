//! The named steps at which a test aborts the process, as a power cut would.
//!
//! Without the feature `failpoints` this does nothing. With it, `FAILPOINTS="name=return"` in the
//! environment aborts the process at that step. No other work may be done here.

/// The steps of every commit that adds files, in their order. After the first step that concerns
/// the log (`commit-written`), the commit has succeeded.
pub const COMMIT: [&str; 7] = [
    "segment-encoded",
    "segment-written",
    "segment-synced",
    "before-commit",
    "commit-written",
    "commit-synced",
    "after-commit",
];

/// Marks that the step `name` is reached.
#[cfg_attr(
    not(feature = "failpoints"),
    allow(unused_variables, reason = "the macro is empty without the feature")
)]
pub fn reach(name: &'static str) {
    fail::fail_point!(name, |_| std::process::abort());
}

/// Reads `FAILPOINTS` from the environment. The steps are active until the result is dropped.
#[cfg(feature = "failpoints")]
#[must_use]
pub fn watch() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}
