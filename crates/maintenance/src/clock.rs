//! The clock under guard: the jumps of one clock ([`guard`]), its agreement with the times that are
//! known outside the process ([`time_sources`]), and the clock that all deleting tasks share
//! ([`trusted`]).

pub mod guard;
pub mod time_sources;
pub mod trusted;
