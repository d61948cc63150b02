//! The effect of a new policy on stored records: on each segment, and on all of them.
//!
//! A record gets the same result whether it is predicted ([`survey()`]) or carried out. Segments
//! whose rows all get the same result are not opened; of others, only the columns that decide are
//! read: jurisdiction, tenant, arrival, event time and subjects.

mod cohorts;
mod effect;
mod migration;
mod policy_lag;
mod retagging;
mod subjects;
mod survey;

pub use cohorts::lots;
pub use effect::{Cohort, ColumnEffect, DeadlineMoves, MovedFields, ProductEffect};
pub use migration::{Migration, ProfileInputs, SegmentProfiles, StoredTerms};
pub use policy_lag::PolicyLag;
pub use retagging::PolicyRetagging;
pub use survey::{PolicyEffects, SurveyError, SurveyProgress, examine, survey};

#[cfg(test)]
mod tests;
