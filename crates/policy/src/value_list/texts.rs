//! Texts with many digits that are not telephone numbers, and texts that hide an address.

use chrono::{NaiveDate, NaiveTime};

/// Ways to write `@` and `+` in pages, code and mail.
const SIGNS: [&str; 11] = [
    "&#", "&commat", "&plus", "(at)", "[at]", "{at}", "(dot)", "[dot]", "\\u0040", "\\u002b", "=40",
];

/// Returns true if a text writes the sign of an address or a number in another way.
pub(super) fn spells_a_sign(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    SIGNS.iter().any(|sign| lower.contains(sign))
}

/// Returns true for a URI of a number, whose parameters follow a semicolon.
pub(super) fn is_uri(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["tel:", "sip:", "sips:"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
        && !text.contains(['\t', '|', ','])
}

/// Returns true for a day or an instant in the forms of ISO 8601 and of logs.
pub(super) fn is_instant(text: &str) -> bool {
    let Some((day, rest)) = text.split_at_checked(10) else {
        return false;
    };
    if NaiveDate::parse_from_str(day, "%Y-%m-%d").is_err() {
        return false;
    }
    let Some(time) = rest.strip_prefix(['T', 't', ' ']) else {
        return rest.is_empty();
    };
    let zone = time.find(['Z', 'z', '+', '-', ' ']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let zone = zone.trim_start();
    let is_offset = zone.strip_prefix(['+', '-']).is_some_and(|offset| {
        offset.len() <= 5
            && offset
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b':')
    });
    let is_time = ["%H:%M:%S%.f", "%H:%M"]
        .iter()
        .any(|format| NaiveTime::parse_from_str(time, format).is_ok());
    is_time && (zone.is_empty() || is_offset || matches!(zone, "Z" | "z" | "UTC"))
}

/// Returns true for a UUID or an IP address.
pub(super) fn is_id(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let is_uuid = groups == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uuid || text.parse::<std::net::IpAddr>().is_ok()
}

/// Returns true for a decimal with too many digits before its point to be a line number.
pub(super) fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_signed = digits.len() < text.len();
    all(whole)
        && all(fraction)
        && whole.len() >= 5
        && fraction.len() <= 6
        && !whole.starts_with('0')
        && { is_signed || digits.contains('.') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_ids_and_decimals_are_texts() {
        for text in [
            "2026-11-24",
            "2026-11-24T10:00:00Z",
            "2026-11-24 10:00:00.123456",
            "2026-11-24 10:00",
            "2026-11-24T10:00:00.5+01:00",
            "2026-11-24 10:00:00 UTC",
        ] {
            assert!(is_instant(text), "{text}");
        }
        for text in [
            "2026-11-24 +31612345678",
            "2026-11-24 0612345678",
            "2026-13-24",
            "2026-11-24 10:00:00 ann",
        ] {
            assert!(!is_instant(text), "{text}");
        }
        assert!(
            is_id("192.168.1.100")
                && is_id("12345678-1234-1234-1234-123456789012")
                && !is_id("12345678-1234-1234-1234-+31612345678")
        );
        assert!(is_decimal("1234567.25") && is_decimal("-1234567") && !is_decimal("1.31612345678"));
    }
}
