//! The numbering plan of each region as a line: its id, calling code, national prefix and
//! international prefix (`-` for none, `~` before the usual one of several), and for each length of
//! a national number, as bits in hexadecimal, the two digits that a valid one may begin with.

use std::fmt::Write;

use phonenumber::metadata::{DATABASE, Metadata};

use super::{Code, LONGEST};

/// Returns the whole table, by calling code, the main region of a code first.
pub fn table() -> String {
    let mut table = String::new();
    for code in 1..1000_u16 {
        for id in DATABASE
            .region(&code)
            .into_iter()
            .flatten()
            .filter(|id| *id != "001")
        {
            let meta = DATABASE
                .by_id(id)
                .expect("a region that the metadata names");
            let national = digits(meta.national_prefix());
            let _ = write!(table, "{id} {code} {national} {}", abroad(meta));
            for (length, bits) in begins(id) {
                let _ = write!(table, " {length}:{bits:x}");
            }
            table.push('\n');
        }
    }
    table
}

/// Returns the prefix of calls abroad.
fn abroad(meta: &Metadata) -> String {
    let preferred = meta
        .preferred_international_prefix()
        .map(|prefix| prefix.replace('~', ""));
    let any = meta.international_prefix().map(|prefix| prefix.as_str());
    match any {
        Some(any) if !is_plain(any) => format!(
            "~{}",
            preferred
                .filter(|prefix| is_plain(prefix))
                .unwrap_or_default()
        ),
        any => digits(preferred.as_deref().or(any)),
    }
}

fn digits(prefix: Option<&str>) -> String {
    prefix
        .filter(|prefix| is_plain(prefix))
        .unwrap_or("-")
        .to_owned()
}

fn is_plain(prefix: &str) -> bool {
    !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns for each length the first two digits of valid numbers, as bits.
fn begins(id: &str) -> Vec<(usize, u128)> {
    let mut code = Code::of(&[id]);
    let mut begins = [0_u128; LONGEST as usize + 1];
    let start = code.start();
    for (first, read) in code.nexts(&start).into_iter().enumerate() {
        for (second, read) in code.nexts(&read).into_iter().enumerate() {
            let reach = code.reach(&read);
            for (bits, _) in begins
                .iter_mut()
                .zip(reach)
                .filter(|(_, regions)| *regions != 0)
            {
                *bits |= 1 << (first * 10 + second);
            }
        }
    }
    begins
        .into_iter()
        .enumerate()
        .filter(|(_, bits)| *bits != 0)
        .collect()
}
