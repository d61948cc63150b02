//! The use cases of Ebbtide. Each is a function: a typed request in, a report out that can be
//! serialised, progress by a callback.
//!
//! The command line calls them, and prints their reports. Nothing here prints, parses a command
//! line or decides an exit code.

pub mod clock;
pub mod commit_clock;
pub mod compact;
pub mod find;
pub mod history;
pub mod holds;
pub mod instance;
pub mod maintenance_setup;
pub mod notices;
pub mod partitions;
pub mod policy;
pub mod policy_file;
pub mod problem_report;
pub mod record_search;
pub mod residue;
pub mod subject_notes;
pub mod sweep;
pub mod tables;
pub mod telemetry;
pub mod why;
