//! The canonical form of mail addresses: the address alone, in lower case, its domain in the form
//! of DNS.

use std::borrow::Cow;

use super::characters::{is_noise, percent_decoded, trimmed};
use super::text::lower;

/// The maximum number of layers that are removed.
const MOST_LAYERS: usize = 8;

/// Prefixes that name a kind of address and are not part of it.
const SCHEMES: [&str; 3] = ["mailto", "smtp", "email"];

/// Appends the canonical form of a mail address: without display name, scheme, quotes and comment,
/// in lower case, the domain in its ASCII form and without the root's dot. Text that is not exactly
/// one address is trimmed and lower-cased.
pub(super) fn write(text: &str, to: &mut Vec<u8>) {
    if is_plain(text) {
        to.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        return;
    }
    match address(text) {
        Some((local, domain)) => {
            lower(&local, to);
            to.push(b'@');
            to.extend_from_slice(domain.as_bytes());
        }
        None => lower(trimmed(text), to),
    }
}

/// Appends the domain of a mail address, in the form of [`write`]; false for a text without one.
pub(super) fn write_domain(text: &str, to: &mut Vec<u8>) -> bool {
    let start = to.len();
    write(text, to);
    match to[start..].iter().rposition(|byte| *byte == b'@') {
        Some(at) if start + at + 1 < to.len() => {
            to.drain(start..=start + at);
            true
        }
        _ => {
            to.truncate(start);
            false
        }
    }
}

/// Returns true for an address in the usual spelling, of which only the case may change.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let mut signs = 0;
    let allowed = bytes.iter().all(|byte| {
        signs += usize::from(*byte == b'@');
        byte.is_ascii_alphanumeric() || b"@._+-".contains(byte)
    });
    allowed && signs == 1 && is_end(bytes.first()) && is_end(bytes.last()) && !text.contains("@.")
}

/// Returns the local part and the domain, in the form of DNS, of a text that is one address.
fn address(text: &str) -> Option<(String, String)> {
    let (local, domain) = parts(text)?;
    let domain = in_dns(&domain);
    (!domain.is_empty()).then_some((local, domain))
}

/// Returns the local part and the domain of a text that is one address, as they are written.
pub(super) fn parts(text: &str) -> Option<(String, String)> {
    let visible: String = text.chars().filter(|c| !is_noise(*c)).map(sign).collect();
    let mut rest = trimmed(&visible).to_owned();
    let mut layers = 0;
    loop {
        let inner = peeled(&rest)?;
        if inner.len() == rest.len() {
            break;
        }
        layers += 1;
        if layers > MOST_LAYERS {
            return None;
        }
        rest = inner;
    }
    let (local, domain) = rest.rsplit_once('@')?;
    let (local, domain) = (unquoted(local.trim()), trimmed(domain));
    let is_quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    let is_one = !local.is_empty()
        && (is_quoted || !local.contains(|c: char| c.is_whitespace() || "@,;<>\"()".contains(c)))
        && !domain.contains(|c: char| c.is_whitespace() || ",;<>\"()".contains(c));
    (is_one && !domain.is_empty()).then(|| (local.to_owned(), domain.to_owned()))
}

/// Returns the ASCII form of a sign of an address that may be in its full-width or small form.
fn sign(c: char) -> char {
    match c {
        '\u{FF20}' | '\u{FE6B}' => '@',
        '\u{201C}' | '\u{201D}' => '"',
        '\u{2018}' | '\u{2019}' => '\'',
        c => c,
    }
}

/// Returns the text without its outermost layer. `None` if that layer is not closed.
fn peeled(text: &str) -> Option<String> {
    let text = trimmed(text);
    if let Some(cell) = text
        .strip_prefix('=')
        .filter(|cell| cell.starts_with(['"', '\'']))
    {
        return Some(cell.to_owned());
    }
    for quote in ['"', '\''] {
        let inner = text
            .strip_prefix(quote)
            .and_then(|text| text.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| inner.contains('@')) {
            return Some(inner.to_owned());
        }
    }
    // The apostrophe by which a spreadsheet marks a cell as text.
    if let Some(inner) = text.strip_prefix('\'') {
        return Some(inner.to_owned());
    }
    if let Some(inner) = text.strip_suffix([';', ',']) {
        return Some(inner.to_owned());
    }
    if let Some(open) = text.rfind('<') {
        let (inner, after) = text.get(open + 1..)?.split_once('>')?;
        return trimmed(after).is_empty().then(|| inner.to_owned());
    }
    if let Some(inner) = text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once('('))
    {
        return Some(inner.0.trim_end().to_owned());
    }
    if let Some((scheme, rest)) = text.split_once(':')
        && SCHEMES
            .iter()
            .any(|known| scheme.trim().eq_ignore_ascii_case(known))
    {
        let rest = rest.split('?').next().unwrap_or(rest);
        return percent_decoded(rest).map(Cow::into_owned);
    }
    Some(text.to_owned())
}

/// Returns a local part without redundant quotes.
fn unquoted(local: &str) -> &str {
    let inner = local
        .strip_prefix('"')
        .and_then(|local| local.strip_suffix('"'));
    let is_atom = |text: &&str| {
        !text.is_empty()
            && !text.starts_with(['.', '\''])
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c))
    };
    inner.filter(is_atom).unwrap_or(local)
}

/// Returns a domain in its ASCII form, lower case, without the root's dot; a domain that is illegal
/// in DNS, in lower case.
fn in_dns(domain: &str) -> String {
    let domain = domain.trim_end_matches(['.', '\u{3002}', '\u{FF0E}', '\u{FF61}']);
    let lower = || domain.chars().flat_map(char::to_lowercase).collect();
    if domain.is_ascii() {
        return lower();
    }
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(ascii)) if !domain.contains('%') => {
            ascii.trim_end_matches('.').to_owned()
        }
        _ => lower(),
    }
}

#[cfg(test)]
mod tests;
