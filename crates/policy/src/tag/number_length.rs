//! The number of digits that a telephone number may have.

/// The minimum number of digits of a number. A shorter international number keeps its text, and a
/// shorter unmarked one is a short code.
pub(crate) const LEAST_DIGITS: usize = 7;
/// The maximum number of digits of a number: 15 in E.164, but a few countries have assigned longer
/// ones.
pub(crate) const MOST_DIGITS: usize = 20;
