//! Notices on stored records: the tags that are no longer true because a contract ended or a person
//! withdrew consent, and the action that brings them up to date.

pub mod apply;
pub mod candidate;
pub mod plan;
mod retagging;
pub mod state;
