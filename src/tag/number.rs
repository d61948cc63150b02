//! A telephone number out of a text: its digits, and whether it is marked as international.
//!
//! Promises one reading for the canonical form and for the country. Must never allocate.

/// With fewer digits than this an international number keeps its text as it is, and an unmarked one is a short code.
pub(crate) const LEAST_DIGITS: usize = 7;
/// The most digits that a number has: E.164 ends at 15, but a few countries have given out longer ones.
pub(crate) const MOST_DIGITS: usize = 20;

/// The digits of a text that holds nothing but digits, separators and at most one plus in front.
pub(crate) struct Number {
    digits: [u8; Number::ROOM],
    length: usize,
    plus: bool,
}

impl Number {
    const ROOM: usize = MOST_DIGITS + 2;

    /// Reads a text; `None` where it is no number.
    pub(crate) fn of(text: &str) -> Option<Number> {
        let mut number = Number { digits: [0; Number::ROOM], length: 0, plus: false };
        for byte in text.trim().bytes() {
            match byte {
                b'0'..=b'9' => {
                    *number.digits.get_mut(number.length)? = byte;
                    number.length += 1;
                }
                b'+' if number.length == 0 && !number.plus => number.plus = true,
                b' ' | b'-' | b'.' | b'(' | b')' | b'/' => {}
                _ => return None,
            }
        }
        (number.length > 0).then_some(number)
    }

    /// The digits from the calling code on, if `+` or `00` says that it begins with one.
    pub(crate) fn international(&self) -> Option<&[u8]> {
        match (self.plus, self.all()) {
            (true, [b'0', ..]) | (false, [b'0', b'0', b'0', ..]) => None,
            (true, digits) | (false, [b'0', b'0', digits @ ..]) => Some(digits),
            _ => None,
        }
    }

    /// The digits in which it is stored, without `+`, `00` and separators; `None` where its text says more than they do.
    pub(crate) fn canonical(&self) -> Option<&[u8]> {
        let in_bounds = |digits: &&[u8]| (LEAST_DIGITS..=MOST_DIGITS).contains(&digits.len());
        match self.international().filter(in_bounds) {
            Some(digits) => Some(digits),
            None if self.plus => None,
            None => Some(self.all()),
        }
    }

    /// The digits that a calling code may begin: what is marked, or long enough to be more than a short code.
    pub(crate) fn callable(&self) -> Option<&[u8]> {
        let unmarked = || Some(self.all()).filter(|digits| !self.plus && digits.len() >= LEAST_DIGITS);
        self.international().or_else(unmarked)
    }

    fn all(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::Number;

    fn canonical(text: &str) -> Option<String> {
        let number = Number::of(text)?;
        number.canonical().map(|digits| String::from_utf8(digits.to_vec()).unwrap())
    }

    #[test]
    fn separators_and_the_marks_of_an_international_number_are_left_out() {
        for text in ["+31 6 1234-5678", "0031612345678", "(+31) 6.12.34.56.78", " 31612345678 ", "+31/612345678"] {
            assert_eq!(canonical(text).as_deref(), Some("31612345678"), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_number_is_none() {
        for text in ["", " ", "+", "ACME", "12a45", "1+2", "++31612345678", "+12345", "+0031612345678", "٣١٦١٢٣٤٥٦٧٨"]
        {
            assert_eq!(canonical(text), None, "{text}");
        }
        assert_eq!(canonical("1234567890123456789012"), Some("1234567890123456789012".into()));
        assert_eq!(canonical("12345678901234567890123"), None);
    }

    #[test]
    fn a_national_number_and_a_short_code_lose_their_separators_alone() {
        assert_eq!(canonical("06-12 34 56 78").as_deref(), Some("0612345678"));
        assert_eq!(canonical("12 345").as_deref(), Some("12345"));
        assert_eq!(canonical("00 123").as_deref(), Some("00123"));
        assert_eq!(canonical("000316123456").as_deref(), Some("000316123456"));
    }
}
