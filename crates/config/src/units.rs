//! Bytes and durations as people write them: `512MiB`, `10s`, `24h`.
//!
//! Accepts whole numbers with a unit only. Nothing is rounded and nothing overflows.

use std::fmt;
use std::time::Duration;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;
pub(super) const TIB: u64 = 1 << 40;

/// A second in milliseconds, the unit of all limits of time.
pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// The reason why a value is refused: the problem, and the fix, one sentence each without a full
/// stop. As text, these are two lines.
#[derive(Debug)]
pub(super) struct ValueProblem {
    pub what: String,
    pub fix: String,
}

impl ValueProblem {
    pub fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for ValueProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.what, self.fix)
    }
}

/// Parses `512MiB`, `64KiB`, `1GiB` or `100B` to bytes.
pub(super) fn bytes(text: &str) -> Result<u64, ValueProblem> {
    let scale = |unit: &str| match unit {
        "B" => Some(1),
        "KiB" => Some(KIB),
        "MiB" => Some(MIB),
        "GiB" => Some(GIB),
        _ => None,
    };
    number_and_unit(text, scale).ok_or_else(|| {
        ValueProblem::new(
            format!("{text:?} is not an amount of bytes"),
            "write a whole number and B, KiB, MiB or GiB: 512MiB",
        )
    })
}

/// Parses `250ms`, `10s`, `5m`, `24h` or `7d` (of 24 hours) to milliseconds.
pub(super) fn millis(text: &str) -> Result<u64, ValueProblem> {
    let scale = |unit: &str| match unit {
        "ms" => Some(1),
        "s" => Some(SECOND),
        "m" => Some(MINUTE),
        "h" => Some(HOUR),
        "d" => Some(DAY),
        _ => None,
    };
    number_and_unit(text, scale).ok_or_else(|| {
        ValueProblem::new(
            format!("{text:?} is not a duration"),
            "write a whole number and ms, s, m, h or d: 10s, 5m, 24h",
        )
    })
}

/// Formats bytes in the largest unit that gives a whole number.
pub(super) fn show_bytes(bytes: u64) -> String {
    for (unit, scale) in [("GiB", GIB), ("MiB", MIB), ("KiB", KIB)] {
        if bytes > 0 && bytes.is_multiple_of(scale) {
            return format!("{}{unit}", bytes / scale);
        }
    }
    format!("{bytes}B")
}

/// Formats a duration in the largest unit that gives a whole number. Fractions of a millisecond are
/// dropped.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, scale) in [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND)] {
        let scale = u128::from(scale);
        if millis > 0 && millis.is_multiple_of(scale) {
            return format!("{}{unit}", millis / scale);
        }
    }
    format!("{millis}ms")
}

fn number_and_unit(text: &str, scale: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    number.parse::<u64>().ok()?.checked_mul(scale(unit.trim())?)
}
