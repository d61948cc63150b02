//! Searches the tables for records about a person, to answer regulators, courts and data subjects.
//!
//! A search shows exactly what a sweep at that moment would leave, and reports the version of each table that it used.
//! It changes nothing. The value that is searched for must never be part of a log, an error or a metric.

mod allowed;
mod desk;
mod inquiry;
mod terms;

pub use allowed::HELD_BY;
pub use desk::{Answer, Desk, FindError, Piece, Progress, Summary};
pub use inquiry::{Inquiry, InquiryError, Passed, Tables};

#[cfg(test)]
mod tests;
