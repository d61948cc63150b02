//! The country of a telephone number, by the longest prefix in `country_prefixes.txt` of the
//! number.
//!
//! Gives the same result as the `phonenumber` crate (0.3) for every number that the crate considers
//! valid, at the cost of a few array reads. For some valid numbers the crate names no country, such
//! as the fixed lines of Italy, because it ignores the leading zero; here they have the country
//! that they belong to. Never allocates after its table is built.

use std::sync::LazyLock;

use super::number_length::MOST_DIGITS;
use ebbtide_base::ids::Country;

/// Prefix, country and, on a few lines, the number of digits to which the line applies. Generated
/// from the crate's metadata by `cargo run -p ebbtide-policy --example country_prefixes`; a test compares the two.
const PREFIXES: &str = include_str!("country_prefixes.txt");

/// The table as a trie in one array.
pub(crate) struct PrefixTrie {
    nodes: Vec<Node>,
    by_length: Vec<[Country; MOST_DIGITS + 1]>,
}

#[derive(Clone, Copy)]
struct Node {
    slots: [Slot; 10],
    /// The country of numbers that end here.
    ends: Country,
}

#[derive(Clone, Copy)]
enum Slot {
    /// The table has no longer prefix that begins like this.
    Leaf(Country),
    /// More digits decide.
    Node(u16),
    /// The number of digits decides.
    ByLength(u16),
}

impl PrefixTrie {
    /// Returns the table of this build, made at first use.
    pub(crate) fn shared() -> &'static PrefixTrie {
        static SHARED: LazyLock<PrefixTrie> = LazyLock::new(|| PrefixTrie::parse(PREFIXES));
        &SHARED
    }

    /// Returns the country of a number, given as digits from the calling code on.
    #[inline]
    pub(super) fn walk(&self, digits: &[u8]) -> Country {
        let mut node = &self.nodes[0];
        for digit in digits {
            match node.slots[usize::from(digit - b'0')] {
                Slot::Leaf(country) => return country,
                Slot::Node(next) => node = &self.nodes[usize::from(next)],
                Slot::ByLength(at) => {
                    return self.by_length[usize::from(at)]
                        .get(digits.len())
                        .copied()
                        .unwrap_or(node.ends);
                }
            }
        }
        node.ends
    }

    /// Parses the table. Its lines are sorted, so that a prefix is before all longer prefixes that
    /// begin with it.
    fn parse(table: &str) -> PrefixTrie {
        let root = Node {
            slots: [Slot::Leaf(Country::UNKNOWN); 10],
            ends: Country::UNKNOWN,
        };
        let mut prefixes = PrefixTrie {
            nodes: vec![root],
            by_length: Vec::new(),
        };
        for line in table.lines() {
            let mut words = line.split(' ');
            let (Some(prefix), Some(country)) = (
                words.next(),
                words.next().and_then(|id| Country::new(id).ok()),
            ) else {
                continue;
            };
            prefixes.insert(
                prefix.as_bytes(),
                country,
                words.next().and_then(|length| length.parse().ok()),
            );
        }
        prefixes
    }

    fn insert(&mut self, prefix: &[u8], country: Country, length: Option<usize>) {
        let Some((last, before)) = prefix.split_last() else {
            return;
        };
        let mut at = 0;
        for digit in before {
            at = self.node_under(at, usize::from(digit - b'0'));
        }
        let slot = usize::from(last - b'0');
        let Some(length) = length else {
            self.nodes[at].slots[slot] = Slot::Leaf(country);
            return;
        };
        if let Slot::Leaf(otherwise) = self.nodes[at].slots[slot] {
            self.nodes[at].slots[slot] = Slot::ByLength(self.by_length.len() as u16);
            self.by_length.push([otherwise; MOST_DIGITS + 1]);
        }
        if let Slot::ByLength(lengths) = self.nodes[at].slots[slot] {
            self.by_length[usize::from(lengths)][length] = country;
        }
    }

    fn node_under(&mut self, at: usize, slot: usize) -> usize {
        let shorter = match self.nodes[at].slots[slot] {
            Slot::Node(next) => return usize::from(next),
            Slot::Leaf(country) => country,
            Slot::ByLength(_) => self.nodes[at].ends,
        };
        let next = self.nodes.len();
        self.nodes.push(Node {
            slots: [Slot::Leaf(shorter); 10],
            ends: shorter,
        });
        self.nodes[at].slots[slot] = Slot::Node(next as u16);
        next
    }
}

#[cfg(test)]
mod tests;
