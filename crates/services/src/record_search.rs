//! Searches the tables for records about a person, to answer regulators, courts and data subjects.
//!
//! A search shows exactly what a sweep at that moment would leave, and reports the version of each
//! table that it used. It changes nothing. The value that is searched for must never be part of a
//! log, an error or a metric.

mod query;
mod request;
mod search;
mod visibility;

pub use request::{SearchRequest, SearchRequestError, SearchTables, SkipReason};
pub use search::{
    FindError, RecordSearch, SearchEvent, SearchProgress, SearchStream, SearchSummary,
};
pub use visibility::HELD_BY;

#[cfg(test)]
mod tests;
