//! The first five minutes: synthetic traffic of every product, an in-process broker, two years that pass in seconds, and a
//! view of what becomes of it.
//!
//! Promises that it needs nothing that is not in the clone. Must never be a part of what `ebbtide run` does.

pub mod board;
pub mod broker;
pub mod draw;
pub mod left;
pub mod months;
pub mod passing;
pub mod producer;
pub mod run;
pub mod shipped;
pub mod summary;
pub mod tables;
pub mod text;
pub mod tide;
pub mod traffic;
