//! Creates text columns from others without an allocation for each row: canonical subjects,
//! domains, countries.

use arrow::array::{Array, NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer};

use super::error::TagError;
use super::order::RowPermutation;
use ebbtide_base::ids::Country;

/// A text column under construction.
pub(super) struct TextBuilder {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextBuilder {
    /// Creates a column with room for `rows` rows of `bytes` bytes in total.
    pub(super) fn with_room(rows: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            bytes: Vec::with_capacity(bytes),
            ends,
            nulls: NullBufferBuilder::new(rows),
        }
    }

    /// Adds a row with the text that `write` appends; null if `write` returns false.
    pub(super) fn row(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<(), TagError> {
        let start = self.bytes.len();
        if write(&mut self.bytes) {
            self.nulls.append_non_null();
        } else {
            self.bytes.truncate(start);
            self.nulls.append_null();
        }
        self.ends
            .push(i32::try_from(self.bytes.len()).map_err(|_| TagError::TooLarge)?);
        Ok(())
    }

    /// Returns the finished column.
    pub(super) fn finish(mut self) -> Result<StringArray, TagError> {
        let ends = OffsetBuffer::new(self.ends.into());
        Ok(StringArray::try_new(
            ends,
            Buffer::from_vec(self.bytes),
            self.nulls.finish(),
        )?)
    }
}

/// Returns a column of the rows of `of` in `order`. For each row, `write` gets its number and its
/// value, appends the new text, and returns false without a text. Null remains null.
pub(super) fn rewrite(
    of: &StringArray,
    order: &RowPermutation,
    write: impl Fn(usize, &str, &mut Vec<u8>) -> bool,
) -> Result<StringArray, TagError> {
    let mut texts = TextBuilder::with_room(
        order.len(),
        of.get_buffer_memory_size().min(of.value_data().len()),
    );
    for row in order.rows() {
        texts.row(|to| of.is_valid(row) && write(row, of.value(row), to))?;
    }
    texts.finish()
}

/// Returns the column of the two-letter codes that `country` returns for the rows in `order`.
pub(super) fn countries(
    order: &RowPermutation,
    country: impl Fn(usize) -> Country,
) -> Result<StringArray, TagError> {
    let mut texts = TextBuilder::with_room(order.len(), order.len() * 2);
    for row in order.rows() {
        texts.row(|to| {
            to.extend_from_slice(country(row).as_str().as_bytes());
            true
        })?;
    }
    texts.finish()
}

/// Returns a column that has the same text in each row.
pub(super) fn constant(text: &str, rows: usize) -> Result<StringArray, TagError> {
    let mut texts = TextBuilder::with_room(rows, rows.saturating_mul(text.len()));
    for _ in 0..rows {
        texts.row(|to| {
            to.extend_from_slice(text.as_bytes());
            true
        })?;
    }
    texts.finish()
}

/// Returns the output of `write` as a separate text.
pub(super) fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = Vec::new();
    write(&mut bytes);
    // The input is UTF-8, so no byte is ever replaced.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Appends a text trimmed and in lower case.
pub(super) fn lower(text: &str, to: &mut Vec<u8>) {
    let text = text.trim();
    if text.is_ascii() {
        to.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
        return;
    }
    let mut room = [0; 4];
    for small in text.chars().flat_map(char::to_lowercase) {
        to.extend_from_slice(small.encode_utf8(&mut room).as_bytes());
    }
}

#[cfg(test)]
mod tests;
