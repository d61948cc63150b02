//! Tags a batch of records by a policy: bucket, profile, jurisdiction, canonical subjects, derived
//! columns.
//!
//! Works on whole columns, without an allocation for each record. Pure: never reads a clock, a file
//! or the network.

mod batch_countries;
mod buckets;
mod canonical;
mod channel;
mod characters;
mod country;
mod email;
mod error;
mod forms;
mod groups;
mod hours;
mod input;
mod label;
mod number;
mod number_length;
mod order;
mod output;
mod phone;
mod plans;
mod spelling;
mod tagged_batch;
mod tagger;
mod text;
mod triggers;
mod wall_clock;
mod whole_subject;

pub use canonical::{
    FormsMark, NamedSubject, SubjectForm, SubjectValue, canonical_channel, canonical_email,
    canonical_phone, dialled_phone, has_calling_code,
};
pub use error::TagError;
pub use forms::canonical_forms;
pub use phone::{PhoneForm, country_of};
pub use tagged_batch::{Arrivals, TaggedBatch, TaggedGroup};
pub use tagger::Tagger;
pub use triggers::Triggers;
pub use whole_subject::{WholeSubject, holds_subject, national_forms, whole_subject};

#[cfg(test)]
mod tests;
