//! Values that are numbers, instants or days, to be found in columns of those types.
//!
//! Pure. A number of only a few digits is not searched for as a number, because it occurs in any
//! table by chance.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::list_line::ListLine;

/// The minimum number of digits of a number that is searched for as a number.
const LEAST_DIGITS: usize = 7;

/// The minimum of a number that is searched for as eight bytes: most bytes of smaller ones are
/// zero.
const LEAST_BINARY: u64 = 1 << 32;

/// A number without trailing zeros after the decimal point: the digits, and how many of them are
/// after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DecimalValue {
    digits: i128,
    scale: u32,
}

impl DecimalValue {
    /// Creates the decimal of `digits`, `scale` of them after the decimal point.
    pub fn new(mut digits: i128, mut scale: u32) -> DecimalValue {
        while scale > 0 && digits % 10 == 0 {
            (digits, scale) = (digits / 10, scale - 1);
        }
        DecimalValue { digits, scale }
    }
}

/// The meanings of one value other than as a text.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct TypedForms {
    integer: Option<i64>,
    decimal: Option<DecimalValue>,
    real: Option<f64>,
    instant: Option<DateTime<Utc>>,
    day: Option<NaiveDate>,
}

impl TypedForms {
    /// Reads a text as a number, an instant or a day.
    pub fn from_text(text: &str) -> TypedForms {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let number = digits >= LEAST_DIGITS
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.'));
        let when = || Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc));
        let mut numbers = TypedForms {
            instant: when(),
            day: text.parse().ok(),
            ..TypedForms::default()
        };
        if number {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let all = format!("{whole}{fraction}").parse().ok();
            numbers.decimal = all
                .zip(u32::try_from(fraction.len()).ok())
                .map(|(all, scale)| DecimalValue::new(all, scale));
            numbers.integer = text.parse().ok();
            numbers.real = text.parse().ok();
        }
        numbers
    }

    /// Returns other texts of an instant: in the formats of logs, and as a count of microseconds.
    pub fn spelled(&self) -> Vec<String> {
        let Some(at) = self.instant else {
            return Vec::new();
        };
        let formats = [
            "%Y-%m-%dT%H:%M:%S%.fZ",
            "%Y-%m-%dT%H:%M:%S%.3fZ",
            "%Y-%m-%dT%H:%M:%S%.6fZ",
            "%Y-%m-%d %H:%M:%S%.6f",
        ];
        let written = formats
            .into_iter()
            .map(|format| at.format(format).to_string());
        written.chain([at.timestamp_micros().to_string()]).collect()
    }

    /// Returns the numbers as eight bytes, in each encoding that a column may use, unless they are
    /// too small to be specific.
    pub fn binary(&self) -> Vec<Vec<u8>> {
        let counts = self.instant.map(|at| {
            [
                Some(at.timestamp_micros()),
                Some(at.timestamp_millis()),
                at.timestamp_nanos_opt(),
            ]
        });
        let integers = [self.integer]
            .into_iter()
            .chain(counts.into_iter().flatten())
            .flatten();
        let telling = integers.filter(|number| number.unsigned_abs() >= LEAST_BINARY);
        let real = self
            .real
            .filter(|real| real.fract() != 0.0)
            .map(|real| real.to_le_bytes().to_vec());
        telling
            .map(|number| number.to_le_bytes().to_vec())
            .chain(real)
            .collect()
    }
}

/// Adds a line unless it is the last one of the list: several spellings of one value may be the
/// same number.
fn push_distinct(lines: &mut Vec<ListLine>, line: ListLine) {
    if lines.last() != Some(&line) {
        lines.push(line);
    }
}

/// The numbers of all values with their lines.
#[derive(Debug, Default)]
pub struct TypedValues {
    integers: HashMap<i64, Vec<ListLine>>,
    decimals: HashMap<DecimalValue, Vec<ListLine>>,
    reals: HashMap<u64, Vec<ListLine>>,
    singles: HashMap<u32, Vec<ListLine>>,
    instants: HashMap<i64, Vec<ListLine>>,
    days: HashMap<i64, Vec<ListLine>>,
}

impl TypedValues {
    /// Adds the numbers of the value on a line.
    pub fn add(&mut self, numbers: &TypedForms, line: ListLine) {
        let days = |day: NaiveDate| day.signed_duration_since(NaiveDate::default()).num_days();
        let put = |map: &mut HashMap<i64, Vec<ListLine>>, key: Option<i64>| {
            key.into_iter()
                .for_each(|key| push_distinct(map.entry(key).or_default(), line));
        };
        put(&mut self.integers, numbers.integer);
        put(
            &mut self.instants,
            numbers.instant.map(|at| at.timestamp_micros()),
        );
        put(&mut self.days, numbers.day.map(days));
        if let Some(decimal) = numbers.decimal {
            push_distinct(self.decimals.entry(decimal).or_default(), line);
        }
        if let Some(real) = numbers.real {
            push_distinct(self.reals.entry(real.to_bits()).or_default(), line);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a column of single precision holds what is left of it"
            )]
            push_distinct(
                self.singles.entry((real as f32).to_bits()).or_default(),
                line,
            );
        }
    }

    /// Returns true if no value is a number. Then no column of numbers needs to be decoded.
    pub fn is_empty(&self) -> bool {
        self.integers.is_empty()
            && self.instants.is_empty()
            && self.days.is_empty()
            && self.reals.is_empty()
    }

    /// Returns the lines of the values that equal a number.
    pub fn integer(&self, number: i64) -> &[ListLine] {
        self.integers.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Returns the lines of the values that equal a decimal.
    pub fn decimal(&self, decimal: DecimalValue) -> &[ListLine] {
        self.decimals.get(&decimal).map_or(&[], Vec::as_slice)
    }

    /// Returns the lines of the values that equal a number.
    pub fn real(&self, number: f64) -> &[ListLine] {
        self.reals.get(&number.to_bits()).map_or(&[], Vec::as_slice)
    }

    /// Returns the lines of the values that equal a number in single precision.
    pub fn single(&self, number: f32) -> &[ListLine] {
        self.singles
            .get(&number.to_bits())
            .map_or(&[], Vec::as_slice)
    }

    /// Returns the lines of the values that equal an instant in microseconds since
    /// 1970-01-01T00:00:00Z.
    pub fn instant(&self, micros: i64) -> &[ListLine] {
        self.instants.get(&micros).map_or(&[], Vec::as_slice)
    }

    /// Returns the lines of the values that equal a day in days since 1970-01-01.
    pub fn day(&self, days: i64) -> &[ListLine] {
        self.days.get(&days).map_or(&[], Vec::as_slice)
    }

    /// Returns every number to ask a bloom filter of an integer column for, with its lines.
    pub fn wholes(&self) -> impl Iterator<Item = (i64, &[ListLine])> {
        self.integers
            .iter()
            .chain(&self.instants)
            .map(|(number, lines)| (*number, lines.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str]) -> TypedValues {
        let mut typed = TypedValues::default();
        for (text, line) in texts.iter().zip(1..) {
            typed.add(&TypedForms::from_text(text), ListLine(line));
        }
        typed
    }

    #[test]
    fn value_is_found_by_its_number_instant_or_day() {
        let typed = typed(&[
            "4611686018427387",
            "2026-11-24T10:00:00.5+01:00",
            "2026-11-24",
            "52.3702157",
            "-1250000.50",
        ]);
        assert_eq!(typed.integer(4_611_686_018_427_387), [ListLine(1)]);
        assert_eq!(typed.instant(1_795_510_800_500_000), [ListLine(2)]);
        assert_eq!(typed.day(20_781), [ListLine(3)]);
        assert_eq!(
            (typed.real(52.370_215_7), typed.single(52.370_216)),
            ([ListLine(4)].as_slice(), [ListLine(4)].as_slice())
        );
        assert_eq!(
            typed.decimal(DecimalValue::new(-125_000_050, 2)),
            [ListLine(5)]
        );
        assert_eq!(
            typed.decimal(DecimalValue::new(-12_500_005, 1)),
            [ListLine(5)]
        );
    }

    #[test]
    fn a_number_of_a_few_digits_is_a_text_alone() {
        assert!(typed(&["123456", "-12.5", "1.50", "Ada"]).is_empty());
        assert!(TypedForms::from_text("123456").binary().is_empty());
    }

    #[test]
    fn an_instant_is_spelled_as_logs_write_it() {
        let spelled = TypedForms::from_text("2026-11-24T10:00:00.123456Z").spelled();
        for wanted in [
            "2026-11-24T10:00:00.123Z",
            "2026-11-24T10:00:00.123456Z",
            "1795514400123456",
        ] {
            assert!(
                spelled.contains(&wanted.to_owned()),
                "{wanted}: {spelled:?}"
            );
        }
    }
}
