//! The demo: synthetic traffic of every product, an in-process broker, two years that pass in
//! seconds, and a view of the results.
//!
//! It needs nothing outside the repository. `ebbtide run` must not depend on it.

pub mod broker;
pub mod draw;
pub mod error;
pub mod months;
pub mod months_run;
pub mod months_snapshot;
pub mod producer;
pub mod run;
pub mod screen;
pub mod shipped;
pub mod snapshot;
pub mod stored_data;
pub mod summary;
pub mod tables;
pub mod text;
pub mod traffic;
