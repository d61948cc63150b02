//! Lists of values as people and spreadsheets save them: one value per line, in any common encoding and quoting. Pure.
//!
//! A line that is accepted as a value can be searched for. A line whose search would prove nothing is an error with its
//! line number. No error quotes a value.

mod decode;
mod spell;

use std::collections::HashSet;
use std::fmt;

pub use spell::spellings;

use decode::{decode, lines};

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
    /// The distinct values, each with the first line that holds it.
    pub values: Vec<ListedValue>,
    /// The number of lines that repeat a value of an earlier line.
    pub repeated: usize,
}

/// A list that could not be parsed. No search was made.
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
const QUOTE_WHOLE: &str = "quote the whole value and double the quotes within it, or leave the outer quotes out";
const COLUMNS: &str = "has a comma, semicolon, bar or tab outside quotes, as if it had several columns";
const ONE_COLUMN: &str = "keep one column; a value that holds such a sign goes in double quotes";
const SEVERAL: &str = "names several numbers or addresses, or one beside other words";
const APART: &str = "give each a line of its own; a text that is one value goes in double quotes";
const SCIENTIFIC: &str = "is a number as a spreadsheet shortens it (E+), so digits are missing";
const AS_TEXT: &str = "format the column as text and export the list again";
const CONTROL: &str = "holds a control character or NUL";
const DAMAGED: &str = "holds the mark of a character that was lost in a conversion (U+FFFD)";
const EXPORT: &str = "save the list as UTF-8 text";

/// Reads a list, one value a line. Blank lines are skipped.
pub fn parse(file: &[u8]) -> Result<ValueList, ListError> {
    let mut list = ValueList::default();
    let mut seen = HashSet::new();
    for (line, text) in lines(&decode(file)?) {
        let Some((text, quoted)) = value(line, text)? else { continue };
        if !quoted {
            one_column(line, &text)?;
        }
        if seen.insert(text.clone()) {
            list.values.push(ListedValue { line, text });
        } else {
            list.repeated += 1;
        }
    }
    if list.values.is_empty() { Err(ListError::Empty) } else { Ok(list) }
}

/// Reads the only value of a file, such as a subject on standard input: without invisible marks, with plain spaces.
pub fn parse_one(file: &[u8]) -> Result<String, ListError> {
    let mut found = None;
    for (line, text) in lines(&decode(file)?) {
        let Some((text, _)) = value(line, text)? else { continue };
        if found.is_some() {
            return Err(ListError::line(line, "is a second value", "give one"));
        }
        found = Some(spell::plain(&text));
    }
    found.ok_or(ListError::Empty)
}

/// Returns the value of a line without its surroundings, and true if it was quoted. `None` for a blank line.
fn value(line: u32, text: &str) -> Result<Option<(String, bool)>, ListError> {
    let text = trim(text);
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(ListError::line(line, CONTROL, EXPORT));
    }
    if text.contains('\u{fffd}') {
        return Err(ListError::line(line, DAMAGED, EXPORT));
    }
    // The separators of empty last columns, and a bullet of a text document.
    let text = trim(text.trim_end_matches([',', ';', '\t']).trim_start_matches(['•', '‣', '▪']));
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
    let formula = text.strip_prefix('=').filter(|rest| rest.starts_with('"')).unwrap_or(text);
    if let Some(inside) = formula.strip_prefix('"') {
        return Ok((trim(&csv(line, inside)?).to_owned(), true));
    }
    for (open, close) in PAIRS {
        let within = text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
        if let Some(within) = within.filter(|within| !within.contains([open, close])) {
            return Ok((trim(within).to_owned(), false));
        }
    }
    // An address after a name, and as a link.
    if let Some((_, address)) = text.strip_suffix('>').and_then(|text| text.rsplit_once(" <"))
        && address.contains('@')
    {
        return Ok((trim(address).to_owned(), false));
    }
    if let Some((scheme, address)) = text.split_once(':')
        && scheme.eq_ignore_ascii_case("mailto")
    {
        return Ok((trim(address).to_owned(), false));
    }
    // A spreadsheet's mark of text.
    Ok((trim(text.strip_prefix('\'').unwrap_or(text)).to_owned(), false))
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

/// Refuses a line that looks like several columns or values.
fn one_column(line: u32, text: &str) -> Result<(), ListError> {
    let lower = text.to_ascii_lowercase();
    // Parameters of a URI follow a semicolon.
    let is_uri =
        ["tel:", "sip:", "sips:"].iter().any(|scheme| lower.starts_with(scheme)) && !text.contains(['\t', '|']);
    if text.contains([',', ';', '|', '\t']) && !is_uri {
        return Err(ListError::line(line, COLUMNS, ONE_COLUMN));
    }
    let (named, others): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(|word| names_someone(word));
    // A text may end with a number, but a number with a plus or an address identifies a person.
    let telling = named.iter().any(|word| word.contains('@') || word.starts_with('+'));
    if named.len() > 1 || (telling && others.iter().any(|word| word.contains(char::is_alphabetic))) {
        return Err(ListError::line(line, SEVERAL, APART));
    }
    Ok(())
}

/// Returns true for a word that is a mail address or a number of seven digits or more.
fn names_someone(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let of_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '(' | ')' | '/');
    word.contains('@') || (digits >= 7 && word.chars().all(of_number))
}

/// Returns true for `3.16123E+10`, with a point or a comma.
fn is_shortened(text: &str) -> bool {
    let Some((digits, exponent)) = text.split_once("E+").or_else(|| text.split_once("e+")) else { return false };
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
