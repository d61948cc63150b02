//! The effect of a new policy on stored records: on each segment, and on all of them.
//!
//! A record gets the same result whether it is predicted ([`survey()`]) or carried out. Segments whose rows all get
//! the same result are not opened; of others, only the columns that decide are read: jurisdiction, tenant, arrival,
//! event time and subjects.

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
