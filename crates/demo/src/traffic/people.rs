//! The people and tenants of the synthetic traffic. A person follows from a rank and the seed
//! alone, so the same person occurs again with the same number, name and address. All of them are
//! invented; the mail domains are reserved ones.

use super::chance::{SplitMix64, scatter};

/// The number of people. By Zipf's law, a few of them account for a large part of the traffic.
pub(super) const PEOPLE: u32 = 2_000_000;
/// The number of tenants.
pub(super) const TENANTS: u32 = 240;

/// The mobile numbers of a country: their prefix in E.164, and the number of digits after it.
pub(super) struct NumberRange {
    pub(super) country: &'static str,
    /// The number of people who live there, of 256.
    weight: u8,
    pub(super) prefix: &'static str,
    pub(super) digits: u8,
}

const fn at(country: &'static str, weight: u8, prefix: &'static str, digits: u8) -> NumberRange {
    NumberRange {
        country,
        weight,
        prefix,
        digits,
    }
}

/// The weights add up to 256. Each prefix is within a range that the country's numbering plan
/// assigns to mobile numbers.
pub(super) const NUMBERINGS: [NumberRange; 26] = [
    at("NL", 44, "31612", 6),
    at("DE", 28, "49151", 8),
    at("GB", 24, "44740", 7),
    at("FR", 20, "3361", 7),
    at("IT", 18, "39347", 7),
    at("US", 18, "12125", 6),
    at("IN", 18, "9198", 8),
    at("ES", 12, "3461", 7),
    at("BE", 12, "3247", 7),
    at("BR", 9, "551198", 7),
    at("PL", 6, "4860", 7),
    at("CH", 6, "4179", 7),
    at("AU", 6, "6141", 7),
    at("SE", 5, "4670", 7),
    at("ID", 5, "62812", 8),
    at("MX", 4, "525512", 6),
    at("CA", 4, "14165", 6),
    at("ZA", 3, "2782", 7),
    at("AE", 3, "97150", 7),
    at("MA", 2, "21266", 7),
    at("KZ", 2, "7701", 7),
    at("SG", 2, "6581", 6),
    at("PT", 2, "35191", 7),
    at("AT", 1, "43664", 7),
    at("DK", 1, "4526", 6),
    at("NO", 1, "4790", 6),
];

const FIRST: [&str; 32] = [
    "Anna", "Bram", "Chiara", "Daan", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katja",
    "Lars", "Mila", "Noor", "Otto", "Priya", "Quinn", "Rosa", "Sven", "Tess", "Umar", "Vera",
    "Wim", "Xenia", "Yara", "Zoe", "Arjun", "Bella", "Carlos", "Dina", "Emil", "Fleur",
];
const LAST: [&str; 32] = [
    "Bakker", "Becker", "Bianchi", "Bos", "Brown", "Costa", "Dekker", "Dubois", "Evans", "Fischer",
    "Garcia", "Haas", "Hughes", "Iyer", "Jansen", "Kowalski", "Laurent", "Lopez", "Meyer",
    "Moreau", "Nilsson", "Novak", "Patel", "Peeters", "Rossi", "Schmidt", "Singh", "Smit",
    "Taylor", "Visser", "Weber", "Wood",
];
const DOMAINS: [&str; 8] = [
    "mail.example",
    "post.example",
    "inbox.example",
    "kantoor.example",
    "office.example",
    "work.example",
    "home.example",
    "example.org",
];

/// Returns a table from the low 8 bits of a person's hash to the country, as an index into
/// [`NUMBERINGS`].
pub(super) fn countries() -> [u8; 256] {
    let mut table = [0; 256];
    let places = NUMBERINGS
        .iter()
        .enumerate()
        .flat_map(|(place, at)| std::iter::repeat_n(place, at.weight.into()));
    for (slot, place) in table.iter_mut().zip(places) {
        *slot = place as u8;
    }
    table
}

/// A person. All data about them follows from the hash.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Person {
    pub(super) hash: u64,
    pub(super) country: u8,
}

impl Person {
    /// Returns the person of a rank.
    pub(super) fn new(rank: u32, seed: u64, countries: &[u8; 256]) -> Self {
        let hash = scatter(seed ^ (u64::from(rank) << 20));
        Self {
            hash,
            country: countries[usize::from(hash as u8)],
        }
    }

    fn numbering(self) -> &'static NumberRange {
        &NUMBERINGS[usize::from(self.country) % NUMBERINGS.len()]
    }

    /// Returns the country: two letters, ISO 3166-1.
    pub(super) fn country(self) -> &'static str {
        self.numbering().country
    }

    /// Writes the number in E.164, without the plus.
    pub(super) fn number(self, to: &mut Vec<u8>) {
        let numbering = self.numbering();
        to.extend_from_slice(numbering.prefix.as_bytes());
        digits(self.hash >> 8, numbering.digits, to);
    }

    pub(super) fn first(self) -> &'static str {
        FIRST[(self.hash >> 24) as usize % FIRST.len()]
    }

    pub(super) fn last(self) -> &'static str {
        LAST[(self.hash >> 32) as usize % LAST.len()]
    }

    pub(super) fn name(self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.first().as_bytes());
        to.push(b' ');
        to.extend_from_slice(self.last().as_bytes());
    }

    /// Writes the mail address, with capitals as people write them: `Anna.Bos12345@mail.example`.
    pub(super) fn email(self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.first().as_bytes());
        to.push(b'.');
        to.extend_from_slice(self.last().as_bytes());
        digits(self.hash >> 16, 5, to);
        to.push(b'@');
        to.extend_from_slice(DOMAINS[(self.hash >> 40) as usize % DOMAINS.len()].as_bytes());
    }
}

/// Writes the last `count` decimal digits of a number, with leading zeros.
pub(super) fn digits(number: u64, count: u8, to: &mut Vec<u8>) {
    let mut buffer = [b'0'; 20];
    let count = usize::from(count).min(buffer.len());
    let mut rest = number;
    for slot in buffer[..count].iter_mut().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    to.extend_from_slice(&buffer[..count]);
}

/// Writes a tenant's id. `tenant-0001` is the largest tenant.
pub(super) fn tenant(rank: u32, to: &mut Vec<u8>) {
    to.extend_from_slice(b"tenant-");
    digits(u64::from(rank) + 1, 4, to);
}

/// Returns a random person. A person of a low rank is more frequent.
pub(super) fn random_person(chance: &mut SplitMix64, seed: u64, countries: &[u8; 256]) -> Person {
    Person::new(chance.zipf(PEOPLE), seed, countries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_valid_in_the_country_that_the_person_lives_in() {
        let table = countries();
        for rank in 0..1_500 {
            let person = Person::new(rank, 1, &table);
            let mut number = vec![b'+'];
            person.number(&mut number);
            let number = String::from_utf8(number).unwrap();
            let parsed = phonenumber::parse(None, &number).unwrap();
            assert!(
                phonenumber::is_valid(&parsed),
                "{number} of {}",
                person.country()
            );
            let region = parsed.country().id().map(|id| id.as_ref().to_owned());
            assert_eq!(region.as_deref(), Some(person.country()), "{number}");
        }
    }

    #[test]
    fn people_live_in_countries_by_their_weights() {
        assert_eq!(
            NUMBERINGS
                .iter()
                .map(|at| u32::from(at.weight))
                .sum::<u32>(),
            256
        );
        let table = countries();
        let dutch = (0..10_000)
            .filter(|&rank| Person::new(rank, 9, &table).country() == "NL")
            .count();
        assert!((1_500..2_000).contains(&dutch), "{dutch}");
    }

    #[test]
    fn the_same_person_comes_again_with_the_same_number_and_address() {
        let table = countries();
        let write = |person: Person| {
            let mut text = Vec::new();
            person.number(&mut text);
            person.email(&mut text);
            person.name(&mut text);
            text
        };
        assert_eq!(
            write(Person::new(5, 2, &table)),
            write(Person::new(5, 2, &table))
        );
        assert_ne!(
            write(Person::new(5, 2, &table)),
            write(Person::new(6, 2, &table))
        );
    }
}
