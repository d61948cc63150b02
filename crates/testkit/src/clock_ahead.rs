//! The variables of a process whose clock is ahead of the machine's clock.

/// The variable that lets the clock be years ahead of the last trusted time.
pub const MAX_STEP: (&str, &str) = ("EBBTIDE_SWEEP_CLOCK_MAX_STEP", "3650d");

/// Returns the variable that makes the clock of an instance `ahead` seconds ahead.
pub fn living(ahead: u64) -> (&'static str, String) {
    ("CLOCK_AHEAD", ahead.to_string())
}
