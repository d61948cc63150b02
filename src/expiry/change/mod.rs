//! A new policy over what is stored: what it does to each segment, and to all of them.
//!
//! Promises one answer for one record, whether it is foretold ([`survey()`]) or carried out. Segments whose rows all fare alike
//! are answered without being opened; of others only jurisdiction, tenant and arrival are read.

mod effect;
mod lots;
mod outdated;
mod passage;
mod retagging;
mod subjects;
mod survey;

pub use effect::{ColumnEffect, Effect, Lot, MovedFields, Movement};
pub use lots::lots;
pub use outdated::Outdated;
pub use passage::{Answer, Need, Passage, Promised};
pub use retagging::ByPolicy;
pub use survey::{Effects, Progress, SurveyError, examine, survey};

#[cfg(test)]
mod tests;
