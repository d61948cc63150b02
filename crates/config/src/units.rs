//! Bytes and durations as people write them: `512MiB`, `10s`, `24h`.
//!
//! Accepts whole numbers with a unit only. Nothing is rounded and nothing overflows.

use std::time::Duration;

/// The reason why a parser refuses a text: the problem, and the fix.
pub(super) type UnitProblem = (String, String);

/// Parses `512MiB`, `64KiB`, `1GiB` or `100B` to bytes.
pub(super) fn bytes(text: &str) -> Result<u64, UnitProblem> {
    let scale = |unit: &str| match unit {
        "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    number_and_unit(text, scale).ok_or_else(|| {
        (
            format!("{text:?} is not an amount of bytes"),
            "write a whole number and B, KiB, MiB or GiB: 512MiB".to_owned(),
        )
    })
}

/// Parses `250ms`, `10s`, `5m`, `24h` or `7d` (of 24 hours) to a duration.
pub(super) fn duration(text: &str) -> Result<Duration, UnitProblem> {
    let scale = |unit: &str| match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    number_and_unit(text, scale)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            (
                format!("{text:?} is not a duration"),
                "write a whole number and ms, s, m, h or d: 10s, 5m, 24h".to_owned(),
            )
        })
}

/// Formats bytes in the largest unit that gives a whole number.
pub(super) fn show_bytes(bytes: u64) -> String {
    for (unit, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
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
    for (unit, scale) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
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
