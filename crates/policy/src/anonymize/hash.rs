//! Keyed hashes of values: 64 bits for a subject, 128 for a cell.
//!
//! The keys are random for each run. So a hash has no meaning outside the run, and no one can
//! choose values that collide. Keys and hashes must never be written to storage.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The keys of one run.
#[derive(Clone)]
pub(super) struct RunKeys {
    subject: HashKey,
    cell: [HashKey; 2],
}

/// The keys of one 64-bit hash.
#[derive(Clone)]
struct HashKey([u64; 4]);

/// Represents a null value. Bytes have the same hash only by chance.
const NOTHING: u64 = 0x9e37_79b9_7f4a_7c15;

impl RunKeys {
    /// Creates random keys, which are not known outside the run.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        let key = |lane: u64| HashKey([0, 1, 2, 3].map(|at| random.hash_one(lane * 4 + at)));
        Self {
            subject: key(0),
            cell: [key(1), key(2)],
        }
    }

    /// Returns the hash of a subject.
    pub(super) fn subject(&self, value: &[u8]) -> u64 {
        self.subject.bytes(0, value)
    }

    /// Returns the hash of one value of a cell; `None` is null.
    pub(super) fn value(&self, value: Option<&[u8]>) -> ValueHash {
        ValueHash(match value {
            Some(bytes) => [self.cell[0].bytes(0, bytes), self.cell[1].bytes(0, bytes)],
            None => [self.cell[0].0[3] ^ NOTHING, self.cell[1].0[3] ^ NOTHING],
        })
    }

    /// Returns the hash of a cell, from the values of its columns in column order.
    pub(super) fn cell(&self, values: impl Iterator<Item = ValueHash>) -> u128 {
        let mut state = [0; 2];
        for ValueHash(value) in values {
            for lane in [0, 1] {
                let [first, second, ..] = self.cell[lane].0;
                state[lane] = fold(state[lane] ^ first, value[lane] ^ second);
            }
        }
        u128::from(state[0]) << 64 | u128::from(state[1])
    }
}

/// The hash of one value of a cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueHash([u64; 2]);

impl HashKey {
    /// Returns the hash of `bytes`, starting from `state`. One multiplication processes 16 bytes.
    #[inline]
    fn bytes(&self, state: u64, bytes: &[u8]) -> u64 {
        let [first, second, third, fourth] = self.0;
        let mut state = state ^ first;
        let mut whole = bytes.chunks_exact(16);
        for sixteen in &mut whole {
            state = fold(word(&sixteen[..8]) ^ second, word(&sixteen[8..]) ^ state);
        }
        let rest = whole.remainder();
        let (low, high) = rest.split_at(rest.len().min(8));
        state = fold(word(low) ^ second, word(high) ^ state);
        fold(state ^ third, bytes.len() as u64 ^ fourth)
    }
}

/// Returns up to eight bytes as a number.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    if let Ok(eight) = <[u8; 8]>::try_from(bytes) {
        return u64::from_le_bytes(eight);
    }
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // Four to seven bytes: both ends, which may overlap. The length is hashed separately.
        return u64::from(u32::from_le_bytes(*head)) | u64::from(u32::from_le_bytes(*tail)) << 32;
    }
    bytes
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Returns the exclusive or of the two halves of the product.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let halves = (product as u64, (product >> 64) as u64);
    halves.0 ^ halves.1
}

/// A hasher for keys that are hashes already. It uses the lower 64 bits unchanged.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct IdentityHasher(u64);

impl BuildHasher for IdentityHasher {
    type Hasher = Self;
    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes
            .chunks(8)
            .for_each(|bytes| self.write_u64(word(bytes)));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 ^= hash;
    }

    fn write_u128(&mut self, hash: u128) {
        let low = hash as u64;
        self.0 ^= low;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn different_values_hash_apart_and_equal_ones_alike() {
        let keys = RunKeys::random();
        let texts: Vec<String> = (0..20_000)
            .map(|n| "31612345678901234567890"[..n % 23].to_owned() + &n.to_string())
            .collect();
        let distinct: HashSet<&String> = texts.iter().collect();
        let hashes: HashSet<u64> = texts
            .iter()
            .map(|text| keys.subject(text.as_bytes()))
            .collect();
        assert_eq!(hashes.len(), distinct.len());
        assert_eq!(keys.subject(b"31612345678"), keys.subject(b"31612345678"));
        assert_ne!(
            keys.subject(b"31612345678"),
            RunKeys::random().subject(b"31612345678")
        );
    }

    #[test]
    fn a_cell_knows_where_one_value_ends_and_the_next_begins() {
        let keys = RunKeys::random();
        let cells: [&[Option<&str>]; 8] = [
            &[],
            &[None],
            &[Some("")],
            &[Some("a"), Some("bc")],
            &[Some("ab"), Some("c")],
            &[Some("ab"), None, Some("c")],
            &[None, Some("ab"), Some("c")],
            &[Some("a\0"), Some("bc")],
        ];
        let hash = |cell: &[Option<&str>]| {
            keys.cell(
                cell.iter()
                    .map(|value| keys.value(value.map(str::as_bytes))),
            )
        };
        assert_eq!(
            cells
                .iter()
                .map(|cell| hash(cell))
                .collect::<HashSet<_>>()
                .len(),
            cells.len()
        );
    }
}
