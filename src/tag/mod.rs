//! A batch of records and a policy in, a tagged batch out: bucket, profile, jurisdiction, canonical subjects, derived columns.
//!
//! Promises whole-column work without an allocation for each record. Pure: must never read a clock, a file or the network.

pub mod country;
mod number;
