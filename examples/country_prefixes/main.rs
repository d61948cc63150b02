//! Prints `src/tag/country_prefixes.txt` and `src/tag/numbering_plans.txt` from the metadata of the
//! `phonenumber` crate: `cargo run --example country_prefixes > src/tag/country_prefixes.txt`, and
//! with the argument `plans` the other one, after that crate is updated.
//!
//! Promises, for every valid number, the region that the crate tells. Tests compare the files with
//! [`table`] and [`plans::table`].

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a tool for developers"
)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use phonenumber::metadata::{DATABASE, Descriptor, Metadata};

/// The automata.
pub mod pattern;
/// The numbering plans.
pub mod plans;

use pattern::{Patterns, Position};

/// The most digits that a national number has for the crate.
const LONGEST: u16 = 17;

/// One kind of number of a region: a pattern, and the lengths that it may have (empty: any).
struct Kind {
    pattern: usize,
    lengths: Vec<u16>,
}

struct Region {
    id: String,
    leading: Option<usize>,
    general: Kind,
    kinds: Vec<Kind>,
}

impl Kind {
    fn of(descriptor: &Descriptor, patterns: &mut Patterns) -> Self {
        let pattern = patterns.add(descriptor.national_number().as_str());
        Self {
            pattern,
            lengths: descriptor.possible_length().to_vec(),
        }
    }

    fn holds(&self, at: &Position, length: u16) -> bool {
        at.matched.contains(&self.pattern)
            && (self.lengths.is_empty() || self.lengths.contains(&length))
    }
}

impl Region {
    fn holds(&self, at: &Position, length: u16) -> bool {
        self.general.holds(at, length) && self.kinds.iter().any(|kind| kind.holds(at, length))
    }
}

/// The kinds of number by which the crate tells whether a number is a region's, and which one it
/// is.
pub fn kinds(meta: &Metadata) -> impl Iterator<Item = &Descriptor> {
    let all = meta.descriptors();
    [
        all.premium_rate(),
        all.toll_free(),
        all.shared_cost(),
        all.voip(),
        all.personal_number(),
        all.pager(),
        all.uan(),
        all.voicemail(),
        all.fixed_line(),
        all.mobile(),
    ]
    .into_iter()
    .flatten()
}

/// A number as far as it was read. The crate judges validity by all digits, but names the region by
/// the digits behind the leading zeros, and where that names none the number is still valid: then
/// all digits name it here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Read {
    all: Position,
    length: u16,
    behind_zeros: Position,
    zeros: u16,
}

/// The regions, as bits, of valid numbers, by how many digits these have in the end.
type Reach = [u64; LONGEST as usize + 1];

fn union(reach: Reach) -> u64 {
    reach.iter().fold(0, |all, regions| all | regions)
}

/// The regions of one shared calling code, in the crate's order, and how it chooses among them.
struct Code {
    patterns: Patterns,
    regions: Vec<Region>,
    reached: HashMap<Read, Reach>,
}

impl Code {
    fn of(ids: &[&str]) -> Self {
        let mut patterns = Patterns::default();
        let region = |id: &&str| {
            let meta = DATABASE
                .by_id(*id)
                .expect("a region that the metadata names");
            Region {
                id: (*id).to_owned(),
                leading: meta
                    .leading_digits()
                    .map(|leading| patterns.add(leading.as_str())),
                general: Kind::of(meta.descriptors().general(), &mut patterns),
                kinds: kinds(meta)
                    .map(|kind| Kind::of(kind, &mut patterns))
                    .collect(),
            }
        };
        let regions = ids.iter().map(region).collect();
        Self {
            patterns,
            regions,
            reached: HashMap::new(),
        }
    }

    fn start(&self) -> Read {
        Read {
            all: self.patterns.start(),
            length: 0,
            behind_zeros: self.patterns.start(),
            zeros: 0,
        }
    }

    fn nexts(&self, from: &Read) -> Vec<Read> {
        let next = |digit| {
            let (all, length) = (self.patterns.step(&from.all, digit), from.length + 1);
            if digit == b'0' && from.zeros == from.length {
                Read {
                    all,
                    length,
                    behind_zeros: from.behind_zeros.clone(),
                    zeros: from.zeros + 1,
                }
            } else {
                Read {
                    all,
                    length,
                    behind_zeros: self.patterns.step(&from.behind_zeros, digit),
                    zeros: from.zeros,
                }
            }
        };
        (b'0'..=b'9').map(next).collect()
    }

    /// The region that the crate looks in first: the leading digits say so, or, where it has none,
    /// some kind of number.
    fn chosen(&self, at: &Position, length: u16) -> Option<usize> {
        self.regions.iter().position(|region| match region.leading {
            Some(leading) => at.matched.contains(&leading),
            None => region.holds(at, length),
        })
    }

    /// The region of the number that ends here, if that is valid.
    fn region(&self, at: &Read) -> Option<usize> {
        let by_all = self
            .chosen(&at.all, at.length)
            .filter(|region| self.regions[*region].holds(&at.all, at.length))?;
        Some(
            self.chosen(&at.behind_zeros, at.length - at.zeros)
                .unwrap_or(by_all),
        )
    }

    /// The regions of all valid numbers that go on from `at`.
    fn reach(&mut self, at: &Read) -> Reach {
        if let Some(known) = self.reached.get(at) {
            return *known;
        }
        let mut reach = [0; LONGEST as usize + 1];
        reach[usize::from(at.length)] = self.region(at).map_or(0, |region| 1 << region);
        if at.length < LONGEST {
            let mut nexts = self.nexts(at);
            nexts.sort_unstable();
            nexts.dedup();
            for next in nexts {
                let beyond = self.reach(&next);
                reach
                    .iter_mut()
                    .zip(beyond)
                    .for_each(|(all, more)| *all |= more);
            }
        }
        self.reached.insert(at.clone(), reach);
        reach
    }

    /// Adds the shortest prefixes that tell a region other than the main one, which the code alone
    /// tells.
    fn tell(&mut self, prefix: &str, at: &Read, found: &mut Table) {
        let reach = self.reach(at);
        let all = union(reach);
        if all.count_ones() <= 1 {
            if all > 1 {
                found.insert((prefix.to_owned(), None), self.name(all));
            }
            return;
        }
        let nexts = self.nexts(at);
        let one_more_tells = nexts
            .iter()
            .all(|next| union(self.reach(next)).count_ones() <= 1);
        let its_length_tells =
            all & 1 == 1 && reach.iter().all(|regions| regions.count_ones() <= 1);
        if its_length_tells && !one_more_tells {
            let code = prefix.len() - usize::from(at.length);
            for (national, regions) in reach
                .iter()
                .enumerate()
                .filter(|(_, regions)| **regions > 1)
            {
                found.insert(
                    (prefix.to_owned(), Some(code + national)),
                    self.name(*regions),
                );
            }
        } else {
            assert!(
                self.region(at).unwrap_or(0) == 0,
                "{prefix} is whole, and the beginning of another"
            );
            for (digit, next) in nexts.iter().enumerate() {
                self.tell(&format!("{prefix}{digit}"), next, found);
            }
        }
    }

    fn name(&self, region: u64) -> String {
        self.regions[region.trailing_zeros() as usize].id.clone()
    }
}

/// Prefix, and the number of digits where it tells its region for numbers of that many alone.
type Table = BTreeMap<(String, Option<usize>), String>;

/// The whole table: a line for each prefix, of which the longest that a number begins with tells
/// its country.
pub fn table() -> String {
    let mut found = Table::new();
    for code in 1..1000_u16 {
        let Some(ids) = DATABASE.region(&code).filter(|ids| ids[0] != "001") else {
            continue;
        };
        found.insert((code.to_string(), None), ids[0].to_owned());
        if ids.len() > 1 {
            let mut shared = Code::of(&ids);
            let start = shared.start();
            shared.tell(&code.to_string(), &start, &mut found);
        }
    }
    found
        .iter()
        .fold(String::new(), |mut text, ((prefix, length), id)| {
            let length = length
                .map(|length| format!(" {length}"))
                .unwrap_or_default();
            _ = writeln!(text, "{prefix} {id}{length}");
            text
        })
}

#[allow(dead_code, reason = "a test takes this file as a module")]
fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("plans") => print!("{}", plans::table()),
        _ => print!("{}", table()),
    }
}
