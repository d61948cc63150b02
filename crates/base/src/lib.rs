//! Types that all crates of Ebbtide share: identifiers, units, the clock, diagnostics, YAML with
//! positions, metrics and the state of health. No I/O but the clock and the failpoints of tests.

pub mod backoff;
pub mod clock;
pub mod failpoint;
pub mod health;
pub mod ids;
pub mod metrics;
pub mod problem;
pub mod record;
pub mod yaml;
