//! The differences between two policies in words: one short line each, for errors and plans.

use std::fmt;

use super::diff;
use super::model::{FieldDiff, ProductDiff, ProductPresence, TermChange, TermDiff, TermReport};
use crate::checked_policy::LoadedPolicy;
use crate::model::ColumnClass;
use ebbtide_base::ids::Country;

/// The maximum number of lines that are listed.
const MOST: usize = 12;

/// Returns the differences between two policies, one line each. If the policies have the same
/// meaning, returns the place at which their texts differ.
#[must_use]
pub fn differences(old: &LoadedPolicy, new: &LoadedPolicy) -> Vec<String> {
    let changes = diff(&old.policy, &new.policy);
    let mut lines = Vec::new();
    for (what, categories) in [
        ("is new", &changes.added),
        ("is no longer there", &changes.removed),
    ] {
        lines.extend(
            categories
                .iter()
                .map(|category| format!("category {category} {what}")),
        );
    }
    changes
        .products
        .iter()
        .for_each(|product| lines.extend(of_product(product)));
    let version = |what: &str| what.starts_with("another policy has the version");
    for refusal in changes
        .refused
        .iter()
        .filter(|refusal| !version(&refusal.what))
    {
        let (_, path) = new.text.find(&refusal.spot);
        lines.push(format!("{path}: {}", refusal.what));
    }
    if lines.is_empty() {
        lines.extend(
            first_line(&old.text.yaml, &new.text.yaml)
                .map(|line| format!("line {line} of the policy file")),
        );
    }
    lines.extend(schemas(old, new));
    if lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("and {more} more"));
    }
    lines
}

fn of_product(product: &ProductDiff) -> Vec<String> {
    let ProductDiff {
        product: key,
        what,
        fields,
        terms,
        ends,
        default_country,
    } = product;
    match what {
        ProductPresence::Added => return vec![format!("product {key} is new")],
        ProductPresence::Removed => return vec![format!("product {key} is no longer there")],
        ProductPresence::Kept => {}
    }
    let mut lines: Vec<String> = fields
        .iter()
        .map(|field| format!("{key}: {field}"))
        .collect();
    lines.extend(terms.iter().map(|term| format!("{key}: {term}")));
    lines.extend(ends.iter().map(|(before, after)| {
        let or = |end: &Option<String>| end.clone().unwrap_or_else(|| "nothing".to_owned());
        format!("{key}: records end: {} -> {}", or(before), or(after))
    }));
    lines.extend(default_country.iter().map(|(before, after)| {
        let or = |country: &Option<Country>| {
            country.map_or_else(|| "none".to_owned(), |country| country.to_string())
        };
        format!("{key}: default country: {} -> {}", or(before), or(after))
    }));
    lines
}

/// Returns the schemas whose texts differ, each with the first different line.
fn schemas(old: &LoadedPolicy, new: &LoadedPolicy) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, before) in &old.text.schemas {
        match new.text.schemas.get(path) {
            None => lines.push(format!("schema {path} is no longer named")),
            Some(after) => {
                lines.extend(
                    first_line(before, after).map(|line| format!("line {line} of schema {path}")),
                );
            }
        }
    }
    let added = new
        .text
        .schemas
        .keys()
        .filter(|path| !old.text.schemas.contains_key(*path));
    lines.extend(added.map(|path| format!("schema {path} is new")));
    lines
}

/// Returns the number of the first line, counted from 1, in which two texts differ; `None` if they
/// are equal.
fn first_line(old: &str, new: &str) -> Option<usize> {
    if old == new {
        return None;
    }
    // Compared with their line ends, so that a text with the line ends of another system differs in
    // its first line.
    let (mut old, mut new) = (old.split_inclusive('\n'), new.split_inclusive('\n'));
    (1..).find(|_| {
        let (old, new) = (old.next(), new.next());
        old != new || old.is_none()
    })
}

fn class_text(class: &ColumnClass) -> &str {
    class
        .category()
        .map_or("none", |category| category.as_str())
}

impl fmt::Display for FieldDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FieldDiff::Added { column, class } => {
                write!(f, "field {column} is added: {}", class_text(class))
            }
            FieldDiff::Removed { column, class } => {
                write!(f, "field {column} is removed (was {})", class_text(class))
            }
            FieldDiff::Renamed { from, to } => write!(f, "field {from} becomes {to}"),
            FieldDiff::Reclassified { column, from, to } => {
                write!(
                    f,
                    "field {column}: {} -> {}",
                    class_text(from),
                    class_text(to)
                )
            }
        }
    }
}

impl fmt::Display for TermDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TermDiff {
            category,
            jurisdictions,
            tenants,
            before,
            after,
            change,
        } = self;
        let words = |term: &Option<TermReport>| {
            term.as_ref().map_or("nothing".to_owned(), |term| {
                format!(
                    "{} {} from {} ({})",
                    term.boundary, term.keep, term.trigger, term.rule
                )
            })
        };
        let change = match change {
            TermChange::Same | TermChange::Added | TermChange::Removed => "",
            TermChange::Reworded => ": the same deadlines",
            TermChange::Shorter => ": shorter",
            TermChange::Longer => ": longer",
            TermChange::Mixed => ": some shorter, some longer",
        };
        let tenants = match tenants.as_slice() {
            [] => String::new(),
            [one] => format!(" of {one}"),
            [one, _] => format!(" of {one} and 1 more tenant"),
            [one, rest @ ..] => format!(" of {one} and {} more tenants", rest.len()),
        };
        write!(
            f,
            "{category}{}{tenants}: {} -> {}{change}",
            countries(jurisdictions),
            words(before),
            words(after)
        )
    }
}

/// Returns the jurisdictions as the end of a sentence: ` in NL, BE`; empty if no jurisdiction is
/// named.
#[must_use]
pub fn countries(jurisdictions: &[Country]) -> String {
    match jurisdictions.len() {
        0 => String::new(),
        1..=6 => format!(
            " in {}",
            jurisdictions
                .iter()
                .map(Country::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        ),
        more => format!(" in {} and {} more countries", jurisdictions[0], more - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_differing_line_is_counted_from_one() {
        for (old, new, line) in [
            ("a\nb\n", "a\nb\n", None),
            ("a\nb\n", "a\nc\n", Some(2)),
            ("a\n", "a\nb\n", Some(2)),
            ("a\nb", "a", Some(1)),
            ("a\nb\n", "a\r\nb\r\n", Some(1)),
            ("", "a", Some(1)),
            ("a\nb\n", "a\nb", Some(2)),
        ] {
            assert_eq!(first_line(old, new), line, "{old:?} {new:?}");
        }
    }
}
