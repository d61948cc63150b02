//! Formats the demo's numbers: thousands, bytes and times, and one line for output that is not a
//! terminal.

use chrono::{DateTime, Utc};

use super::snapshot::{CategoryDeadlines, DemoPhase, DemoSnapshot};
use ebbtide_base::ids::Deadline;

/// Formats `1234567` as `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats bytes in the unit that fits: `17.3 MiB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut size = number as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// Formats a deadline with the days that are left until it: `2027-05-24, in 181 days`.
#[must_use]
pub fn deadline(next: Deadline, now: DateTime<Utc>) -> String {
    let day = next.0.format("%Y-%m-%d");
    match (next.0 - now).num_days() {
        ..0 => format!("{day}, overdue"),
        0 => format!("{day}, today"),
        1 => format!("{day}, in a day"),
        days => format!("{day}, in {} days", count(days.unsigned_abs())),
    }
}

/// Formats an hour of the day as `07:30`.
#[must_use]
pub fn time_of_day(hour: f64) -> String {
    let minutes = (hour * 60.0) as u32 % 1440;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Returns when a category is due, in a few words.
#[must_use]
pub fn when_due(due: &CategoryDeadlines, now: DateTime<Utc>) -> String {
    match due.next {
        Some(next) => deadline(next, now),
        None => "when the contract ends".to_owned(),
    }
}

/// Formats the whole board as one line, for a log or a pipe.
#[must_use]
pub fn line(board: &DemoSnapshot, now: DateTime<Utc>) -> String {
    let seconds = board.elapsed.as_secs();
    let rate: f64 = board.products.iter().map(|product| product.rate).sum();
    let doing = match board.stage {
        DemoPhase::Arriving => format!(
            "arriving {}/s (it is {})",
            count(rate as u64),
            time_of_day(board.hour)
        ),
        DemoPhase::Finishing => "finishing".to_owned(),
    };
    let tables: Vec<_> = board
        .products
        .iter()
        .filter_map(|product| product.table.as_ref())
        .collect();
    let mut line = format!(
        "{:02}:{:02}  {doing}  stored {}  dead letters {}  in {} tables, {} segments, {}",
        seconds / 60,
        seconds % 60,
        count(board.sum(|product| product.stored)),
        count(board.sum(|product| product.dead)),
        tables.len(),
        count(tables.iter().map(|table| table.overview.segments).sum()),
        bytes(tables.iter().map(|table| table.overview.bytes).sum()),
    );
    if let Some(due) = board.due.first().filter(|due| due.next.is_some()) {
        line.push_str(&format!(
            "  next due: {} {}",
            due.category,
            when_due(due, now)
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1023, 1536, 18_140_365].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "17.3 MiB"]
        );
        assert_eq!(
            [0.0, 7.5, 23.999, 24.0].map(time_of_day),
            ["00:00", "07:30", "23:59", "00:00"]
        );
    }

    #[test]
    fn a_deadline_says_how_many_days_are_left() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let now = at("2026-11-24T12:00:00Z");
        let shown = |text| deadline(Deadline(at(text)), now);
        assert_eq!(shown("2027-05-24T12:00:00Z"), "2027-05-24, in 181 days");
        assert_eq!(shown("2026-11-24T18:00:00Z"), "2026-11-24, today");
        assert_eq!(shown("2026-11-22T00:00:00Z"), "2026-11-22, overdue");
    }
}
