//! The policy: parsed, checked, resolved, counted in calendar time. Pure: no I/O, no clock.

mod calendar;
mod deadline;
mod model;
mod profile;
mod resolve;

pub use calendar::Calendar;
pub use deadline::deadline;
pub use model::*;
pub use profile::{Profile, Term};
pub use resolve::{Answer, Question, Resolver, TenantClass, resolve};
