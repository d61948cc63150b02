//! Lists of values as people and spreadsheets save them: one value per line, in any common encoding
//! and quoting. Pure.
//!
//! A line that is accepted as a value can be searched for. A line whose search would prove nothing
//! is an error with its line number. No error quotes a value. A text in double quotes is taken as
//! it is.

mod decode;
mod marks;
mod misread;
mod spell;
mod texts;

use std::collections::HashSet;
use std::fmt;

pub use spell::spellings;

use decode::{decode, lines};
use marks::without_marks;

use crate::tag::{WholeSubject, holds_subject, whole_subject};
use ebbtide_base::ids::Country;

/// A value of a list.
#[derive(Clone, PartialEq, Eq)]
pub struct ListedValue {
    /// Its line, counted from 1.
    pub line: u32,
    /// The value without quotes and without the spaces and invisible marks around it.
    pub text: String,
}

impl fmt::Debug for ListedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListedValue(line {})", self.line)
    }
}

/// A parsed list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueList {
    /// The distinct values, each with the first line that contains it.
    pub values: Vec<ListedValue>,
    /// The number of lines that repeat a value of an earlier line.
    pub repeated: usize,
}

/// The error of a list that could not be parsed. No search was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It has no value.
    #[error("there are no values: give one a line")]
    Empty,
    /// The file has another format.
    #[error("{what}; {fix}")]
    File {
        /// The actual format.
        what: &'static str,
        /// The fix.
        fix: &'static str,
    },
    /// A line is not one value.
    #[error("line {line} {what}; {fix}")]
    Line {
        /// The line, counted from 1.
        line: u32,
        /// The problem of the line.
        what: &'static str,
        /// The fix.
        fix: &'static str,
    },
}

impl ListError {
    fn line(line: u32, what: &'static str, fix: &'static str) -> ListError {
        ListError::Line { line, what, fix }
    }
}

const UNCLOSED: &str = "begins with a quote that is not closed";
const HALF_QUOTED: &str = "is quoted in part";
const QUOTE_WHOLE: &str =
    "quote the whole value and double the quotes within it, or leave the outer quotes out";
const COLUMNS: &str =
    "has a comma, semicolon, bar or tab outside quotes, as if it had several columns";
const ONE_COLUMN: &str = "keep one column; a value that holds such a sign is put in double quotes";
const SEVERAL: &str = "names several numbers or addresses, or one beside other words or signs";
const APART: &str = "give each a line of its own, or quote it if it is a text";
const NATIONAL: &str = "is no number with its calling code";
const CALLING_CODE: &str = "give the calling code (+, the code of the country, and the number without its first 0), or quote it if it is a text";
const SPELLED: &str = "spells the sign @ or + in another way";
const PLAIN_SIGN: &str = "write the sign itself, or quote it if it is a text";
const SCIENTIFIC: &str = "is a number as a spreadsheet shortens it (E+), so digits are missing";
const AS_TEXT: &str = "format the column as text and export the list again";
const CONTROL: &str = "holds a control character or NUL";
const DAMAGED: &str = "holds the mark of a character that was lost in a conversion (U+FFFD)";
const EXPORT: &str = "save the list as UTF-8 text";

/// The separators of empty last columns.
const LAST_COLUMNS: [char; 3] = [',', ';', '\t'];

/// Reads a list with one value per line. Blank lines are skipped. `homes` are the default countries
/// in use: national numbers of other countries are refused.
pub fn parse(file: &[u8], homes: &[Country]) -> Result<ValueList, ListError> {
    let mut list = ValueList::default();
    let mut seen = HashSet::new();
    for (line, text) in lines(&decode(file)?) {
        let Some((text, quoted)) = value(line, text)? else {
            continue;
        };
        let text = if quoted {
            text
        } else {
            one_value(line, text, homes)?
        };
        if seen.insert(text.clone()) {
            list.values.push(ListedValue { line, text });
        } else {
            list.repeated += 1;
        }
    }
    if list.values.is_empty() {
        Err(ListError::Empty)
    } else {
        Ok(list)
    }
}

/// Reads the only value of a file, such as a subject on standard input: without invisible marks,
/// with plain spaces. The text after a subject's kind (`email:`) is not changed, and keeps its
/// quotes, as on a command line.
pub fn parse_one(file: &[u8]) -> Result<String, ListError> {
    let mut found = None;
    for (line, text) in lines(&decode(file)?) {
        let value = match has_kind(trim(text)) {
            true => Some(trim(readable(line, text)?.trim_end_matches(LAST_COLUMNS)).to_owned()),
            false => value(line, text)?.map(|(text, _)| text),
        };
        let Some(text) = value else { continue };
        if found.is_some() {
            return Err(ListError::line(line, "is a second value", "give one"));
        }
        found = Some(spell::plain(&text));
    }
    found.ok_or(ListError::Empty)
}

/// Returns true for a subject that begins with its kind.
fn has_kind(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(kind, _)| matches!(kind, "phone" | "email" | "channel"))
}

/// Returns a line without the spaces around it. Errors on control characters and on the mark of a
/// lost character.
fn readable(line: u32, text: &str) -> Result<&str, ListError> {
    let text = trim(text);
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(ListError::line(line, CONTROL, EXPORT));
    }
    if text.contains('\u{fffd}') {
        return Err(ListError::line(line, DAMAGED, EXPORT));
    }
    Ok(text)
}

/// Returns the value of a line without its surroundings, and true if it was quoted. `None` for a
/// blank line.
fn value(line: u32, text: &str) -> Result<Option<(String, bool)>, ListError> {
    let text = readable(line, text)?;
    let text = without_marks(trim(text.trim_end_matches(LAST_COLUMNS)));
    let (text, quoted) = unquoted(line, text)?;
    if is_shortened(&text) {
        return Err(ListError::line(line, SCIENTIFIC, AS_TEXT));
    }
    Ok((!text.is_empty()).then_some((text, quoted)))
}

/// Returns the value within quotes of any kind, and true if they were the double quotes of CSV.
fn unquoted(line: u32, text: &str) -> Result<(String, bool), ListError> {
    const PAIRS: [(char, char); 9] = [
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{201e}', '\u{201c}'),
        ('\u{201e}', '\u{201d}'),
        ('\u{2018}', '\u{2019}'),
        ('\u{ab}', '\u{bb}'),
        ('\u{2039}', '\u{203a}'),
        ('<', '>'),
    ];
    // A spreadsheet's formula that keeps a number as text: ="+31612345678".
    let formula = text
        .strip_prefix('=')
        .filter(|rest| rest.starts_with('"'))
        .unwrap_or(text);
    if let Some(inside) = formula.strip_prefix('"').filter(|_| !is_display(text)) {
        return Ok((trim(&csv(line, inside)?).to_owned(), true));
    }
    for (open, close) in PAIRS {
        let within = text
            .strip_prefix(open)
            .and_then(|text| text.strip_suffix(close));
        if let Some(within) = within.filter(|within| !within.contains([open, close])) {
            return Ok((trim(within).to_owned(), false));
        }
    }
    // A spreadsheet's mark of text.
    Ok((
        trim(text.strip_prefix('\'').unwrap_or(text)).to_owned(),
        false,
    ))
}

/// Parses a quoted cell of CSV after its first quote: a doubled quote is one quote.
fn csv(line: u32, inside: &str) -> Result<String, ListError> {
    let mut value = String::new();
    let mut chars = inside.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.next_if_eq(&'"').is_some() => value.push('"'),
            '"' => {
                let rest: String = chars.collect();
                let rest = trim(&rest);
                return match rest.chars().next() {
                    None => Ok(value),
                    Some(',' | ';' | '|' | '\t') => Err(ListError::line(line, COLUMNS, ONE_COLUMN)),
                    Some(_) => Err(ListError::line(line, HALF_QUOTED, QUOTE_WHOLE)),
                };
            }
            c => value.push(c),
        }
    }
    Err(ListError::line(line, UNCLOSED, QUOTE_WHOLE))
}

/// Returns true for an address or a number in angle brackets after a name, which may be quoted.
fn is_display(text: &str) -> bool {
    text.ends_with('>')
        && text
            .rsplit_once('<')
            .is_some_and(|(name, _)| !trim(name).is_empty())
}

/// Returns a value outside quotes; of a mail address, only the address itself. Errors on a text
/// that looks like several columns or values, and on an address or a number that cannot be read as
/// a whole: its stored form is not known then.
fn one_value(line: u32, text: String, homes: &[Country]) -> Result<String, ListError> {
    if texts::spells_a_sign(&text) {
        return Err(ListError::line(line, SPELLED, PLAIN_SIGN));
    }
    if text.contains([',', ';', '|', '\t']) && !is_display(&text) && !texts::is_uri(&text) {
        return Err(ListError::line(line, COLUMNS, ONE_COLUMN));
    }
    if !holds_subject(&text)
        || texts::is_instant(&text)
        || texts::is_id(&text)
        || texts::is_decimal(&text)
    {
        return Ok(text);
    }
    match whole_subject(&text, homes) {
        // A text that is one spelling of the address is returned unchanged: it may be stored in
        // that form.
        Some(WholeSubject::Email(address)) if !spellings(&text).contains(&address) => Ok(address),
        Some(WholeSubject::National) => Err(ListError::line(line, NATIONAL, CALLING_CODE)),
        Some(_) => Ok(text),
        None => Err(ListError::line(line, SEVERAL, APART)),
    }
}

/// Returns true for `3.16123E+10`, with a point or a comma.
fn is_shortened(text: &str) -> bool {
    let Some((digits, exponent)) = text.split_once("E+").or_else(|| text.split_once("e+")) else {
        return false;
    };
    let digits = digits.trim_start_matches(['+', '-']);
    let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all(exponent) && digits.split([',', '.']).count() <= 2 && digits.split([',', '.']).all(all)
}

/// Returns the text without the spaces and invisible marks at both ends.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || spell::is_invisible(c))
}

#[cfg(test)]
mod tests;
