//! Rewrites: rows chosen by what their columns say.

mod predicate;

pub use predicate::Predicate;
