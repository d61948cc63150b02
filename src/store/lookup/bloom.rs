//! One block of a split-block bloom filter: where it stands in the file, and what it says of a value.
//!
//! Promises the answer of the whole filter from 32 bytes of it, and "maybe" for a filter of a form that it does not know. Pure:
//! the bytes are read elsewhere. Must never print the value.

use std::ops::Range;

use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;

use twox_hash::XxHash64;

/// Bytes of a block.
const BLOCK: u64 = 32;

/// Bytes that hold any header of a form that is known.
const HEADER: u64 = 32;

/// What stands in a header behind the filter's size: split blocks, XXH64, not compressed.
const FORM: [u8; 13] = [0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0x1c, 0x1c, 0, 0, 0];

/// A value that bloom filters are asked for.
pub(super) struct Asked<'v> {
    value: &'v str,
    hash: u64,
}

/// Where the blocks of a column chunk's filter stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    start: u64,
    count: u64,
}

impl<'v> Asked<'v> {
    pub(super) fn new(value: &'v str) -> Self {
        Self { value, hash: XxHash64::oneshot(0, value.as_bytes()) }
    }

    /// Whether the value may have been put into the filter that the block is of.
    pub(super) fn may_be_in(&self, block: &[u8]) -> bool {
        // A filter of one block: the value's bits are the same in each.
        block.len() as u64 != BLOCK || Sbbf::new(block).check(self.value)
    }
}

impl Blocks {
    /// Where the header of a chunk's filter stands, if it has one.
    pub(super) fn header(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        Some(start..start.checked_add(HEADER)?)
    }

    /// Where the blocks stand, if the chunk tells the filter's length: the header is what is over after whole blocks. A guess,
    /// until the header itself says the same.
    pub(super) fn guessed(chunk: &ColumnChunkMetaData) -> Option<Blocks> {
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(chunk.bloom_filter_length()?).ok()?;
        Some(Blocks { start: start.checked_add(length % BLOCK)?, count: length / BLOCK })
    }

    /// Where the blocks stand behind that header, which begins at `start`; `None` for a form that is not known.
    pub(super) fn behind(start: u64, header: &[u8]) -> Option<Blocks> {
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
        (known && bytes >= BLOCK && bytes.is_multiple_of(BLOCK))
            .then_some(Blocks { start: start.checked_add(read)?, count: bytes / BLOCK })
    }

    /// The one block that can say something of a value.
    pub(super) fn of(&self, asked: &Asked<'_>) -> Range<u64> {
        let number = ((asked.hash >> 32) * self.count.min(u64::from(u32::MAX))) >> 32;
        let start = self.start.saturating_add(number * BLOCK);
        start..start.saturating_add(BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A filter as it stands in a file, from `start` on.
    fn written(values: &[String], bytes: usize) -> (Sbbf, Vec<u8>) {
        let mut filter = Sbbf::new_with_num_of_bytes(bytes);
        values.iter().for_each(|value| filter.insert(value.as_str()));
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
            let blocks = Blocks::behind(at as u64, &file[at..at + 32]).unwrap();
            prop_assert_eq!(blocks.count, filter.num_blocks() as u64);
            prop_assert_eq!(blocks.start % BLOCK, (at + written.len()) as u64 % BLOCK);
            for value in values.iter().chain(&others) {
                let asked = Asked::new(value);
                let range = blocks.of(&asked);
                let block = &file[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
                prop_assert_eq!(asked.may_be_in(block), filter.check(value.as_str()));
            }
        }

        #[test]
        fn a_header_of_another_form_is_not_understood(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0_usize..20) {
            prop_assert!(Blocks::behind(0, &bytes).is_none() || bytes.first() == Some(&0x15));
            let (_, mut file) = written(&[], 1024);
            prop_assert!(Blocks::behind(0, &file).is_some());
            // Any bit of the form's.
            let form = file.len() - 1024 - FORM.len();
            file[form + at % FORM.len()] ^= 4;
            prop_assert_eq!(Blocks::behind(0, &file), None);
        }
    }
}
