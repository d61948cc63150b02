//! The first five minutes: synthetic traffic of every product, an in-process broker, and a view of what becomes of it.
//!
//! Promises that it needs nothing that is not in the clone. Must never be a part of what `ebbtide run` does.

pub mod traffic;
