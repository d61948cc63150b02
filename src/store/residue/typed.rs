//! Values that are numbers, instants or days, to be found in columns that hold them as such.
//!
//! Pure. Promises that a number of a few digits is not looked for by its worth: it stands in any table by chance.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::values::Line;

/// The fewest digits of a number that is looked for by its worth.
const LEAST_DIGITS: usize = 7;

/// Numbers under this are not looked for as eight bytes: most of those would be zero.
const LEAST_BINARY: u64 = 1 << 32;

/// A number without its point's trailing zeros: the digits, and how many of them stand behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    /// The decimal of `digits`, `scale` of them behind the point.
    pub fn new(mut digits: i128, mut scale: u32) -> Decimal {
        while scale > 0 && digits % 10 == 0 {
            (digits, scale) = (digits / 10, scale - 1);
        }
        Decimal { digits, scale }
    }
}

/// What one value is besides a text.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Numbers {
    integer: Option<i64>,
    decimal: Option<Decimal>,
    real: Option<f64>,
    instant: Option<DateTime<Utc>>,
    day: Option<NaiveDate>,
}

impl Numbers {
    /// What a text is.
    pub fn of(text: &str) -> Numbers {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let number =
            digits >= LEAST_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.'));
        let when = || Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc));
        let mut numbers = Numbers { instant: when(), day: text.parse().ok(), ..Numbers::default() };
        if number {
            let (whole, behind) = text.split_once('.').unwrap_or((text, ""));
            let all = format!("{whole}{behind}").parse().ok();
            numbers.decimal = all.zip(u32::try_from(behind.len()).ok()).map(|(all, scale)| Decimal::new(all, scale));
            numbers.integer = text.parse().ok();
            numbers.real = text.parse().ok();
        }
        numbers
    }

    /// Other texts that say the same: an instant as it is written in logs, and by its count of microseconds.
    pub fn spelled(&self) -> Vec<String> {
        let Some(at) = self.instant else { return Vec::new() };
        let formats =
            ["%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%dT%H:%M:%S%.3fZ", "%Y-%m-%dT%H:%M:%S%.6fZ", "%Y-%m-%d %H:%M:%S%.6f"];
        let written = formats.into_iter().map(|format| at.format(format).to_string());
        written.chain([at.timestamp_micros().to_string()]).collect()
    }

    /// It as eight bytes, in each way that a column may hold it, where that tells.
    pub fn binary(&self) -> Vec<Vec<u8>> {
        let counts =
            self.instant.map(|at| [Some(at.timestamp_micros()), Some(at.timestamp_millis()), at.timestamp_nanos_opt()]);
        let integers = [self.integer].into_iter().chain(counts.into_iter().flatten()).flatten();
        let telling = integers.filter(|number| number.unsigned_abs() >= LEAST_BINARY);
        let real = self.real.filter(|real| real.fract() != 0.0).map(|real| real.to_le_bytes().to_vec());
        telling.map(|number| number.to_le_bytes().to_vec()).chain(real).collect()
    }
}

/// Adds a line unless it is the last one of the list: several spellings of one value are one number.
fn note(lines: &mut Vec<Line>, line: Line) {
    if lines.last() != Some(&line) {
        lines.push(line);
    }
}

/// All values' numbers with their lines.
#[derive(Debug, Default)]
pub struct Typed {
    integers: HashMap<i64, Vec<Line>>,
    decimals: HashMap<Decimal, Vec<Line>>,
    reals: HashMap<u64, Vec<Line>>,
    singles: HashMap<u32, Vec<Line>>,
    instants: HashMap<i64, Vec<Line>>,
    days: HashMap<i64, Vec<Line>>,
}

impl Typed {
    /// Adds the numbers of the value on a line.
    pub fn add(&mut self, numbers: &Numbers, line: Line) {
        let days = |day: NaiveDate| day.signed_duration_since(NaiveDate::default()).num_days();
        let put = |map: &mut HashMap<i64, Vec<Line>>, key: Option<i64>| {
            key.into_iter().for_each(|key| note(map.entry(key).or_default(), line));
        };
        put(&mut self.integers, numbers.integer);
        put(&mut self.instants, numbers.instant.map(|at| at.timestamp_micros()));
        put(&mut self.days, numbers.day.map(days));
        if let Some(decimal) = numbers.decimal {
            note(self.decimals.entry(decimal).or_default(), line);
        }
        if let Some(real) = numbers.real {
            note(self.reals.entry(real.to_bits()).or_default(), line);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a column of single precision holds what is left of it"
            )]
            note(self.singles.entry((real as f32).to_bits()).or_default(), line);
        }
    }

    /// Whether no value is a number: then no column of numbers need be decoded.
    pub fn is_empty(&self) -> bool {
        self.integers.is_empty() && self.instants.is_empty() && self.days.is_empty() && self.reals.is_empty()
    }

    /// The values that are this number.
    pub fn integer(&self, number: i64) -> &[Line] {
        self.integers.get(&number).map_or(&[], Vec::as_slice)
    }

    /// The values that are this decimal.
    pub fn decimal(&self, decimal: Decimal) -> &[Line] {
        self.decimals.get(&decimal).map_or(&[], Vec::as_slice)
    }

    /// The values that are this number.
    pub fn real(&self, number: f64) -> &[Line] {
        self.reals.get(&number.to_bits()).map_or(&[], Vec::as_slice)
    }

    /// The values that are this number as far as single precision holds them.
    pub fn single(&self, number: f32) -> &[Line] {
        self.singles.get(&number.to_bits()).map_or(&[], Vec::as_slice)
    }

    /// The values that are the instant so many microseconds after 1970 began.
    pub fn instant(&self, micros: i64) -> &[Line] {
        self.instants.get(&micros).map_or(&[], Vec::as_slice)
    }

    /// The values that are the day so many days after the first of 1970.
    pub fn day(&self, days: i64) -> &[Line] {
        self.days.get(&days).map_or(&[], Vec::as_slice)
    }

    /// Every number that a bloom filter over whole numbers may be asked for.
    pub fn wholes(&self) -> impl Iterator<Item = (i64, &[Line])> {
        self.integers.iter().chain(&self.instants).map(|(number, lines)| (*number, lines.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str]) -> Typed {
        let mut typed = Typed::default();
        for (text, line) in texts.iter().zip(1..) {
            typed.add(&Numbers::of(text), Line(line));
        }
        typed
    }

    #[test]
    fn a_value_is_found_by_what_it_is_worth() {
        let typed =
            typed(&["4611686018427387", "2026-11-24T10:00:00.5+01:00", "2026-11-24", "52.3702157", "-1250000.50"]);
        assert_eq!(typed.integer(4_611_686_018_427_387), [Line(1)]);
        assert_eq!(typed.instant(1_795_510_800_500_000), [Line(2)]);
        assert_eq!(typed.day(20_781), [Line(3)]);
        assert_eq!((typed.real(52.370_215_7), typed.single(52.370_216)), ([Line(4)].as_slice(), [Line(4)].as_slice()));
        assert_eq!(typed.decimal(Decimal::new(-125_000_050, 2)), [Line(5)]);
        assert_eq!(typed.decimal(Decimal::new(-12_500_005, 1)), [Line(5)]);
    }

    #[test]
    fn a_number_of_a_few_digits_is_a_text_alone() {
        assert!(typed(&["123456", "-12.5", "1.50", "Ada"]).is_empty());
        assert!(Numbers::of("123456").binary().is_empty());
    }

    #[test]
    fn an_instant_is_spelled_as_logs_write_it() {
        let spelled = Numbers::of("2026-11-24T10:00:00.123456Z").spelled();
        for wanted in ["2026-11-24T10:00:00.123Z", "2026-11-24T10:00:00.123456Z", "1795514400123456"] {
            assert!(spelled.contains(&wanted.to_owned()), "{wanted}: {spelled:?}");
        }
    }
}
