//! The policy: parsed, checked, resolved, counted in calendar time. Pure: no I/O, no clock.

mod model;

pub use model::*;
