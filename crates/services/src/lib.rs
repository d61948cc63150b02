//! The use cases of Ebbtide: each takes a typed request and returns a report. The command line
//! calls them.

pub mod app;
pub mod record_search;
pub mod telemetry;
