//! The table of country prefixes, from the metadata of the `phonenumber` crate: for every valid
//! number, the region that the crate finds. The example `country_prefixes` prints it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use phonenumber::metadata::{DATABASE, Descriptor, Metadata};

pub mod pattern;
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

/// Returns the kinds of number by which the crate decides whether a number is of a region, and of
/// which one.
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

/// A number as far as it was read. The crate checks validity by all digits, but finds the region by
/// the digits after the leading zeros. If that finds no region, the number is still valid: then all
/// digits decide the region here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Read {
    all: Position,
    length: u16,
    after_zeros: Position,
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
            after_zeros: self.patterns.start(),
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
                    after_zeros: from.after_zeros.clone(),
                    zeros: from.zeros + 1,
                }
            } else {
                Read {
                    all,
                    length,
                    after_zeros: self.patterns.step(&from.after_zeros, digit),
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
            self.chosen(&at.after_zeros, at.length - at.zeros)
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

    /// Adds the shortest prefixes of the regions other than the main one, which the code alone
    /// stands for.
    fn add_prefixes(&mut self, prefix: &str, at: &Read, found: &mut Table) {
        let reach = self.reach(at);
        let all = union(reach);
        if all.count_ones() <= 1 {
            if all > 1 {
                found.insert((prefix.to_owned(), None), self.name(all));
            }
            return;
        }
        let nexts = self.nexts(at);
        let next_digit_decides = nexts
            .iter()
            .all(|next| union(self.reach(next)).count_ones() <= 1);
        let length_decides = all & 1 == 1 && reach.iter().all(|regions| regions.count_ones() <= 1);
        if length_decides && !next_digit_decides {
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
                self.add_prefixes(&format!("{prefix}{digit}"), next, found);
            }
        }
    }

    fn name(&self, region: u64) -> String {
        self.regions[region.trailing_zeros() as usize].id.clone()
    }
}

/// Regions by prefix, and by the number of digits if the prefix decides only for that number.
type Table = BTreeMap<(String, Option<usize>), String>;

/// Returns the whole table: a line for each prefix. The longest prefix that a number begins with
/// decides its country.
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
            shared.add_prefixes(&code.to_string(), &start, &mut found);
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
