//! Durations as a policy writes them: `6 months`, `24 hours`, `5 years`.

use super::super::model::RetentionPeriod;

/// The longest duration that a policy may name, in years.
pub(super) const MOST_YEARS: u32 = 100;

/// Parses a duration. The error says in words how to fix it.
pub(crate) fn keep(text: &str) -> Result<RetentionPeriod, &'static str> {
    const FORM: &str = "write a whole number and hours, days, weeks, months or years: `6 months`";
    let (number, unit) = text.split_once(' ').ok_or(FORM)?;
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(FORM);
    }
    let number: u32 = number.parse().map_err(|_| "write at most 100 years")?;
    let (most, unit): (u32, fn(u32) -> RetentionPeriod) = match unit {
        "hour" | "hours" => (876_600, RetentionPeriod::Hours),
        "day" | "days" => (36_525, RetentionPeriod::Days),
        "week" | "weeks" => (5_217, |weeks| RetentionPeriod::Days(weeks * 7)),
        "month" | "months" => (MOST_YEARS * 12, RetentionPeriod::Months),
        "year" | "years" => (MOST_YEARS, |years| RetentionPeriod::Months(years * 12)),
        _ => return Err(FORM),
    };
    if number > most {
        Err("write at most 100 years")
    } else {
        Ok(unit(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        assert_eq!(keep("6 months"), Ok(RetentionPeriod::Months(6)));
        assert_eq!(keep("1 month"), Ok(RetentionPeriod::Months(1)));
        assert_eq!(keep("24 hours"), Ok(RetentionPeriod::Hours(24)));
        assert_eq!(keep("10 years"), Ok(RetentionPeriod::Months(120)));
        assert_eq!(keep("2 weeks"), Ok(RetentionPeriod::Days(14)));
        assert_eq!(keep("0 days"), Ok(RetentionPeriod::Days(0)));
        assert_eq!(keep("100 years"), Ok(RetentionPeriod::Months(1200)));
    }

    #[test]
    fn text_that_is_no_duration_is_refused() {
        for text in [
            "",
            "6",
            "months",
            "6months",
            "6  months",
            "-6 months",
            "+6 months",
            "6.5 days",
            "6 moons",
            "101 years",
        ] {
            assert!(keep(text).is_err(), "{text}");
        }
        assert!(keep("99999999999 days").is_err());
    }
}
