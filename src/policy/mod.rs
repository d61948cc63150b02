//! The policy: parsed, checked, resolved, counted in calendar time. Pure: no I/O, no clock.

mod calendar;
mod check;
mod countries;
mod deadline;
mod diff;
mod explain;
mod model;
mod parse;
mod profile;
mod resolve;
mod tags;
mod text;

pub use calendar::Calendar;
pub use deadline::deadline;
pub use diff::{
    Change, Diff, FieldDiff, Kind, Moved, Pairs, Presence, ProductDiff, Refusal, TermDiff, Told, countries, diff,
    differences,
};
pub use explain::{Ask, ExplainError, Explained, Explanation, Lost, explain};
pub use model::*;
pub use parse::{Checked, SchemaSource, parse};
pub use profile::{Profile, Term, Triggered};
pub use resolve::{Answer, Question, Resolver, TenantClass, resolve};
pub use tags::{EXPIRES, TAGS, is_tag};
pub use text::{LoadedPolicy, PolicyDigest, PolicyText, Spot};

/// The JSON Schema (draft 2020-12) of a policy file, for editors.
pub const JSON_SCHEMA: &str = include_str!("../../config/policy.schema.json");

#[cfg(test)]
mod tests;
