//! The exit codes of all commands: one table, which `--help` shows and `docs/operations.md` repeats.

/// Done.
pub(super) const DONE: u8 = 0;
/// A problem was found, or something failed.
pub(super) const PROBLEM: u8 = 1;
/// Wrong use, which the caller can fix. Of a search: the answer is not complete.
pub(super) const WRONG_USE: u8 = 2;
/// More is left to do.
pub(super) const MORE_LEFT: u8 = 3;
/// The command did nothing, or only a part, because the clock is not trusted. Running it again does
/// not help.
pub(super) const CLOCK_NOT_TRUSTED: u8 = 4;
