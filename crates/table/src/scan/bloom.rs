//! One block of a split-block bloom filter: its place in the file, and its answer for a value.
//!
//! A block of 32 bytes gives the answer of the whole filter; a filter in an unknown format gives
//! "maybe". Pure: the bytes are read elsewhere. The value must never be printed.

use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;

use twox_hash::XxHash64;

/// The size of a block in bytes.
const BLOCK: u64 = 32;

/// The number of bytes that contain any header in the known format.
const HEADER: u64 = 32;

/// The number of blocks of one filter above which it is read whole: each read of a local file costs
/// as much as some KiB more of them.
const MOST_BLOCKS: usize = 256;

/// The bytes of a header after the filter's size: split blocks, XXH64, not compressed.
const FORM: [u8; 13] = [0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0];

/// A value that bloom filters are asked for.
pub(super) struct BloomProbe {
    value: String,
    hash: u64,
}

/// The place of the blocks of a column chunk's filter in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BloomBlocks {
    start: u64,
    count: u64,
}

/// The known places of the bloom filters of one file, by row group and column. The place of a
/// filter whose header is not understood is `None`.
#[derive(Debug, Default)]
pub struct BloomPlaces(Mutex<HashMap<ChunkKey, Option<BloomBlocks>>>);

/// A column chunk of a file: the index of its row group, and that of its leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ChunkKey {
    pub(super) group: usize,
    pub(super) leaf: usize,
}

impl BloomPlaces {
    /// Returns the place of a filter; `None` if its header was not read yet.
    pub(super) fn get(&self, key: ChunkKey) -> Option<Option<BloomBlocks>> {
        self.places().get(&key).copied()
    }

    pub(super) fn insert(&self, key: ChunkKey, blocks: Option<BloomBlocks>) {
        self.places().insert(key, blocks);
    }

    fn places(&self) -> MutexGuard<'_, HashMap<ChunkKey, Option<BloomBlocks>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clone for BloomPlaces {
    fn clone(&self) -> BloomPlaces {
        BloomPlaces(Mutex::new(self.places().clone()))
    }
}

impl BloomProbe {
    pub(super) fn new(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            hash: XxHash64::oneshot(0, value.as_bytes()),
        }
    }

    /// Returns true if the value may be in the filter that contains the block.
    pub(super) fn may_be_in(&self, block: &[u8]) -> bool {
        // A filter with only this block: the bits of the value are the same in each block.
        block.len() as u64 != BLOCK || Sbbf::new(block).check(self.value.as_str())
    }
}

impl BloomBlocks {
    /// Returns the range that contains the header of a chunk's filter; `None` if the chunk has no
    /// filter.
    pub(super) fn header(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        Some(start..start.checked_add(HEADER)?)
    }

    /// Returns the assumed place of the blocks, if the chunk states the filter's length: the
    /// remainder after whole blocks is taken as the header. The header itself must confirm it.
    pub(super) fn guessed(chunk: &ColumnChunkMetaData) -> Option<BloomBlocks> {
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(chunk.bloom_filter_length()?).ok()?;
        Some(BloomBlocks {
            start: start.checked_add(length % BLOCK)?,
            count: length / BLOCK,
        })
    }

    /// Returns the place of the blocks after that header, which begins at `start`; `None` if the
    /// format is unknown.
    pub(super) fn from_header(start: u64, header: &[u8]) -> Option<BloomBlocks> {
        let (first, mut rest) = header.split_first()?;
        // Field 1, an i32: the bytes of the blocks, as a zigzag varint.
        let (mut zigzag, mut shift) = (0_u64, 0);
        while shift < 35 {
            let (byte, after) = rest.split_first()?;
            rest = after;
            zigzag |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let bytes = zigzag >> 1;
        let known = *first == 0x15 && zigzag & 1 == 0 && rest.starts_with(&FORM);
        let read = header.len() as u64 - rest.len() as u64 + FORM.len() as u64;
        (known && bytes >= BLOCK && bytes.is_multiple_of(BLOCK)).then_some(BloomBlocks {
            start: start.checked_add(read)?,
            count: bytes / BLOCK,
        })
    }

    /// Returns the ranges of the blocks that decide about values, without repetition; that of all
    /// blocks if they are many.
    pub(super) fn ranges_for<'p>(
        &self,
        probes: impl Iterator<Item = &'p BloomProbe>,
    ) -> Vec<Range<u64>> {
        let starts: BTreeSet<u64> = probes.map(|probe| self.block_for(probe).start).collect();
        if starts.len() > MOST_BLOCKS {
            let length = self.count.saturating_mul(BLOCK);
            let whole = self.start..self.start.saturating_add(length);
            return iter::once(whole).collect();
        }
        let range = |start: u64| start..start.saturating_add(BLOCK);
        starts.into_iter().map(range).collect()
    }

    /// Returns the range of the only block that decides about a value.
    pub(super) fn block_for(&self, asked: &BloomProbe) -> Range<u64> {
        let number = ((asked.hash >> 32) * self.count.min(u64::from(u32::MAX))) >> 32;
        let start = self.start.saturating_add(number * BLOCK);
        start..start.saturating_add(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns a filter, and its bytes as they are written to a file.
    fn written(values: &[String], bytes: usize) -> (Sbbf, Vec<u8>) {
        let mut filter = Sbbf::new_with_num_of_bytes(bytes);
        values
            .iter()
            .for_each(|value| filter.insert(value.as_str()));
        let mut file = Vec::new();
        filter.write(&mut file).unwrap();
        (filter, file)
    }

    proptest! {
        #[test]
        fn one_block_says_what_the_whole_filter_says(
            values in prop::collection::vec("[ -~]{0,40}|\\PC{0,20}", 0..200),
            others in prop::collection::vec("[0-9+a-z@.:]{0,80}", 1..50),
            size in 5_u32..14,
            at in 0_usize..100,
        ) {
            let (filter, written) = written(&values, 1 << size);
            let mut file = vec![7; at];
            file.extend(&written);
            file.extend([9; 40]);
            let blocks = BloomBlocks::from_header(at as u64, &file[at..at + 32]).unwrap();
            prop_assert_eq!(blocks.count, filter.num_blocks() as u64);
            prop_assert_eq!(blocks.start % BLOCK, (at + written.len()) as u64 % BLOCK);
            for value in values.iter().chain(&others) {
                let asked = BloomProbe::new(value);
                let range = blocks.block_for(&asked);
                let block = &file[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                prop_assert_eq!(asked.may_be_in(block), filter.check(value.as_str()));
            }
        }

        #[test]
        fn a_header_of_another_form_is_not_understood(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0_usize..20) {
            prop_assert!(BloomBlocks::from_header(0, &bytes).is_none() || bytes.first() == Some(&0x15));
            let (_, mut file) = written(&[], 1024);
            prop_assert!(BloomBlocks::from_header(0, &file).is_some());
            // Flip a bit of the format's bytes.
            let form = file.len() - 1024 - FORM.len();
            file[form + at % FORM.len()] ^= 4;
            prop_assert_eq!(BloomBlocks::from_header(0, &file), None);
        }
    }
}
