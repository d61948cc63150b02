//! Expiry: which data is due ([`due`]), and the actions that delete it: columns are dropped
//! ([`drop`]), records end ([`end`]). Held rows are split off before that ([`split`]).

pub mod drop;
pub mod due;
pub mod end;
mod split;
