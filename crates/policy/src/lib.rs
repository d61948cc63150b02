//! The policy and what applies it: parsed, checked, resolved and counted in calendar time; schemas
//! of records, tagging and anonymisation. Pure: no I/O, no clock, no async runtime.

pub mod anonymize;
mod calendar;
mod check;
mod checked_policy;
mod countries;
mod deadline;
mod diff;
mod draft;
mod explain;
mod model;
mod parse;
mod profile;
mod resolve;
pub mod schema;
pub mod tag;
mod tags;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod text;
pub mod value_list;

pub use calendar::Calendar;
pub use checked_policy::{CheckedPolicy, LoadedPolicy};
pub use deadline::deadline;
pub use diff::{
    ColumnChanges, FieldDiff, PolicyDiff, ProductDiff, ProductPresence, RecordKind, RefusedChange,
    ResolverPair, TermChange, TermDiff, TermReport, countries, diff, differences,
};
pub use explain::{
    ExplainError, ExplainRequest, ExplainedCategory, Explanation, LosingRule, explain,
};
pub use model::*;
pub use parse::parse;
pub use profile::{Profile, RecordTriggers, RetentionTerm};
pub use resolve::{Resolver, RuleMatch, RuleQuery, TenantClass, resolve};
pub use tags::{TAGS, expires_category, expires_column, is_expires_column, is_tag};
pub use text::{PolicyDigest, PolicyPosition, PolicyText, SchemaSource};

/// The JSON Schema (draft 2020-12) of a policy file, for editors.
pub const JSON_SCHEMA: &str = include_str!("../../../config/policy.schema.json");

#[cfg(test)]
mod tests;
