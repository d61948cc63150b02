//! A batch of records and a policy in, a tagged batch out: bucket, profile, jurisdiction, canonical subjects, derived columns.
//!
//! Promises whole-column work without an allocation for each record. Pure: must never read a clock, a file or the network.

mod buckets;
mod canonical;
mod country;
mod error;
mod forms;
mod groups;
mod hours;
mod input;
mod number;
mod order;
mod output;
mod tagger;
mod text;
mod triggers;

pub use canonical::{canonical_channel, canonical_email, canonical_phone};
pub use country::country_of;
pub use error::TagError;
pub use forms::canonical_forms;
pub use tagger::{Arrivals, Group, Tagged, Tagger};
pub use triggers::Triggers;

#[cfg(test)]
mod tests;
