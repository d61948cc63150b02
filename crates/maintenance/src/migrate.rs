//! The effect of a new policy on stored records: on each segment, and on all of them.
//!
//! A record gets the same result whether it is predicted ([`survey()`]) or carried out. Segments
//! whose rows all get the same result are not opened; of others, only the columns that decide are
//! read: jurisdiction, tenant, arrival, event time and subjects.

pub mod apply;
pub mod cohorts;
pub mod effect;
pub mod migration;
pub mod plan;
pub mod policy_lag;
mod retagging;
mod subjects;
pub mod survey;

#[cfg(test)]
mod tests;
