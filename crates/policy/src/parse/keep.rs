//! Durations as a policy writes them: `6 months`, `24 hours`, `5 years`.

use super::super::model::Keep;

/// The longest duration that a policy may name, in years.
pub(super) const MOST_YEARS: u32 = 100;

/// Parses a duration. The error says in words how to fix it.
pub(crate) fn keep(text: &str) -> Result<Keep, &'static str> {
    const FORM: &str = "write a whole number and hours, days, weeks, months or years: `6 months`";
    let (number, unit) = text.split_once(' ').ok_or(FORM)?;
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(FORM);
    }
    let number: u32 = number.parse().map_err(|_| "write at most 100 years")?;
    let (most, unit): (u32, fn(u32) -> Keep) = match unit {
        "hour" | "hours" => (876_600, Keep::Hours),
        "day" | "days" => (36_525, Keep::Days),
        "week" | "weeks" => (5_217, |weeks| Keep::Days(weeks * 7)),
        "month" | "months" => (MOST_YEARS * 12, Keep::Months),
        "year" | "years" => (MOST_YEARS, |years| Keep::Months(years * 12)),
        _ => return Err(FORM),
    };
    if number > most { Err("write at most 100 years") } else { Ok(unit(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        assert_eq!(keep("6 months"), Ok(Keep::Months(6)));
        assert_eq!(keep("1 month"), Ok(Keep::Months(1)));
        assert_eq!(keep("24 hours"), Ok(Keep::Hours(24)));
        assert_eq!(keep("10 years"), Ok(Keep::Months(120)));
        assert_eq!(keep("2 weeks"), Ok(Keep::Days(14)));
        assert_eq!(keep("0 days"), Ok(Keep::Days(0)));
        assert_eq!(keep("100 years"), Ok(Keep::Months(1200)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "6", "months", "6months", "6  months", "-6 months", "+6 months", "6.5 days", "6 moons", "101 years"]
        {
            assert!(keep(text).is_err(), "{text}");
        }
        assert!(keep("99999999999 days").is_err());
    }
}
