//! Reads Avro's primitives from a message's body.
//!
//! Never reads beyond the end, and limits the time by the body's length. Does not allocate.

use ebbtide_base::record::Fault;

/// The maximum number of items without bytes (nulls, records without fields) in one message: they
/// cost time that is not limited by the body's length.
pub(super) const MOST_EMPTY_ITEMS: usize = 65_536;
/// The maximum depth of a recursive record in one message.
const MOST_DEPTH: u32 = 64;

/// The rest of a body, and the remaining limits.
pub(super) struct BodyCursor<'a> {
    rest: &'a [u8],
    empty_items: usize,
    depth: u32,
    /// The refusal that ended the walk, by its index in the program.
    pub(super) refused: Option<usize>,
}

impl<'a> BodyCursor<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            empty_items: MOST_EMPTY_ITEMS,
            depth: MOST_DEPTH,
            refused: None,
        }
    }

    /// Errors if any bytes remain.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Fault::TrailingBytes)
        }
    }

    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(unzigzag(u64::from(*first)))
            }
            _ => self.longer(),
        }
    }

    /// Reads up to ten bytes. As in other readers, bits of the tenth byte beyond 64 bits are
    /// ignored, and leading zeros are allowed.
    fn longer(&mut self) -> Result<i64, Fault> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * index);
            if *byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(unzigzag(value));
            }
        }
        Err(if self.rest.len() < 10 {
            Fault::Truncated
        } else {
            Fault::BadBody
        })
    }

    #[inline]
    pub(super) fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| Fault::BadBody)
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        match self.raw(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Fault::BadBody),
        }
    }

    #[inline]
    pub(super) fn raw(&mut self, size: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let size = usize::try_from(self.long()?).map_err(|_| Fault::BadBody)?;
        self.raw(size)
    }

    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| Fault::BadUtf8)
    }

    /// Reads an index below `count`, of a branch or a symbol.
    #[inline]
    pub(super) fn index(&mut self, count: usize) -> Result<usize, Fault> {
        usize::try_from(self.long()?)
            .ok()
            .filter(|index| *index < count)
            .ok_or(Fault::BadBody)
    }

    /// Reads the number of items of the next block, each of at least `width` bytes; zero is the
    /// end. The byte size after a negative count is read but not used.
    pub(super) fn block(&mut self, width: usize) -> Result<usize, Fault> {
        let mut count = self.long()?;
        if count < 0 {
            self.long()?;
            count = count.checked_neg().ok_or(Fault::BadBody)?;
        }
        let count = usize::try_from(count).map_err(|_| Fault::BadBody)?;
        match self.rest.len().checked_div(width) {
            Some(most) if count > most => Err(Fault::Truncated),
            Some(_) => Ok(count),
            None => {
                self.empty_items = self.empty_items.checked_sub(count).ok_or(Fault::BadBody)?;
                Ok(count)
            }
        }
    }

    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        self.depth = self.depth.checked_sub(1).ok_or(Fault::BadBody)?;
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }
}

#[inline]
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
