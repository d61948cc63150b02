//! The columns of a batch while its messages are read: plain vectors by type, with the positions of nulls.
//!
//! Every sink can be truncated to the rows before a bad message. No sink allocates for each record.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;

use ebbtide_base::record::Fault;

/// The identity of a sink: its kind, and its index among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Bool(usize),
    Int(usize),
    Long(usize),
    Float(usize),
    Double(usize),
    Decimal(usize),
    /// Text and bytes.
    Blob(usize),
    /// The nulls of a structure; its fields have separate sinks.
    Struct(usize),
    /// The lengths of a list or map; its items have separate sinks.
    List(usize),
}

/// The rows that are null, in order. Rows with a value cost nothing; the bitmap is made once, at the end.
#[derive(Debug, Default)]
struct Nulls(Vec<usize>);

impl Nulls {
    fn truncate(&mut self, rows: usize) {
        while self.0.pop_if(|row| *row >= rows).is_some() {}
    }

    fn take(&mut self, rows: usize) -> Option<NullBuffer> {
        if self.0.is_empty() {
            return None;
        }
        let mut valid = BooleanBufferBuilder::new(rows);
        valid.append_n(rows, true);
        self.0.drain(..).for_each(|row| valid.set_bit(row, false));
        Some(NullBuffer::new(valid.finish()))
    }
}

/// Values of a fixed size.
#[derive(Debug)]
pub(super) struct Flat<T> {
    values: Vec<T>,
    nulls: Nulls,
}

impl<T: Copy + Default> Flat<T> {
    fn new() -> Self {
        Self { values: Vec::new(), nulls: Nulls::default() }
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
    }

    #[inline]
    fn null(&mut self) {
        self.nulls.0.push(self.values.len());
        self.values.push(T::default());
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(super) fn take(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        let rows = self.values.len();
        // Allocate the next batch in full now, because it is probably as long.
        (std::mem::replace(&mut self.values, Vec::with_capacity(rows)), self.nulls.take(rows))
    }
}

/// The end of each value of variable length, counted from the first: of text, bytes, lists and maps.
#[derive(Debug)]
pub(super) struct Ends {
    ends: Vec<i32>,
    nulls: Nulls,
}

impl Ends {
    fn new() -> Self {
        Self { ends: vec![0], nulls: Nulls::default() }
    }

    fn last(&self) -> i32 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Ends a list of `count` items. Errors if the batch has more items than an offset can count.
    pub(super) fn close(&mut self, count: usize) -> Result<(), Fault> {
        let end = i32::try_from(count).ok().and_then(|count| self.last().checked_add(count)).ok_or(Fault::TooLarge)?;
        self.ends.push(end);
        Ok(())
    }

    fn null(&mut self) {
        self.nulls.0.push(self.ends.len() - 1);
        self.ends.push(self.last());
    }

    /// Returns the number of items of the first `rows`.
    fn items(&self, rows: usize) -> usize {
        self.ends.get(rows).and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.nulls.truncate(rows);
    }

    pub(super) fn take(&mut self) -> (Vec<i32>, Option<NullBuffer>) {
        let mut next = Vec::with_capacity(self.ends.len());
        next.push(0);
        let ends = std::mem::replace(&mut self.ends, next);
        let nulls = self.nulls.take(ends.len() - 1);
        (ends, nulls)
    }
}

/// Text and bytes.
#[derive(Debug)]
pub(super) struct Blobs {
    ends: Ends,
    bytes: Vec<u8>,
}

impl Blobs {
    /// Adds a value. Errors if the batch has more bytes than an offset can count.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.bytes.extend_from_slice(value);
        self.ends.ends.push(i32::try_from(self.bytes.len()).map_err(|_| Fault::TooLarge)?);
        Ok(())
    }

    fn truncate(&mut self, rows: usize) {
        // Bytes of a refused value after the last end are removed too.
        let rows = rows.min(self.ends.ends.len() - 1);
        self.bytes.truncate(self.ends.items(rows));
        self.ends.truncate(rows);
    }

    pub(super) fn take(&mut self) -> (Vec<i32>, Vec<u8>, Option<NullBuffer>) {
        let (ends, nulls) = self.ends.take();
        let next = Vec::with_capacity(self.bytes.len());
        (ends, std::mem::replace(&mut self.bytes, next), nulls)
    }
}

/// All sinks of a decoder, in one vector for each kind, so that an index cannot refer to a sink of another kind.
#[derive(Debug, Default)]
pub(super) struct Sinks {
    pub(super) bools: Vec<Flat<bool>>,
    pub(super) ints: Vec<Flat<i32>>,
    pub(super) longs: Vec<Flat<i64>>,
    pub(super) floats: Vec<Flat<f32>>,
    pub(super) doubles: Vec<Flat<f64>>,
    pub(super) decimals: Vec<Flat<i128>>,
    pub(super) blobs: Vec<Blobs>,
    pub(super) structs: Vec<Flat<()>>,
    pub(super) lists: Vec<Ends>,
}

fn add<T>(to: &mut Vec<T>, sink: T) -> usize {
    to.push(sink);
    to.len() - 1
}

impl Sinks {
    pub(super) fn add_bool(&mut self) -> At {
        At::Bool(add(&mut self.bools, Flat::new()))
    }

    pub(super) fn add_int(&mut self) -> At {
        At::Int(add(&mut self.ints, Flat::new()))
    }

    pub(super) fn add_long(&mut self) -> At {
        At::Long(add(&mut self.longs, Flat::new()))
    }

    pub(super) fn add_float(&mut self) -> At {
        At::Float(add(&mut self.floats, Flat::new()))
    }

    pub(super) fn add_double(&mut self) -> At {
        At::Double(add(&mut self.doubles, Flat::new()))
    }

    pub(super) fn add_decimal(&mut self) -> At {
        At::Decimal(add(&mut self.decimals, Flat::new()))
    }

    pub(super) fn add_blob(&mut self) -> usize {
        add(&mut self.blobs, Blobs { ends: Ends::new(), bytes: Vec::new() })
    }

    pub(super) fn add_struct(&mut self) -> usize {
        add(&mut self.structs, Flat::new())
    }

    pub(super) fn add_list(&mut self) -> usize {
        add(&mut self.lists, Ends::new())
    }

    pub(super) fn null(&mut self, at: At) {
        match at {
            At::Bool(to) => self.bools[to].null(),
            At::Int(to) => self.ints[to].null(),
            At::Long(to) => self.longs[to].null(),
            At::Float(to) => self.floats[to].null(),
            At::Double(to) => self.doubles[to].null(),
            At::Decimal(to) => self.decimals[to].null(),
            At::Blob(to) => self.blobs[to].ends.null(),
            At::Struct(to) => self.structs[to].null(),
            At::List(to) => self.lists[to].null(),
        }
    }

    /// Truncates one sink to its first `rows`. Returns the number of items of a list's rows.
    pub(super) fn truncate(&mut self, at: At, rows: usize) -> usize {
        match at {
            At::Bool(to) => self.bools[to].truncate(rows),
            At::Int(to) => self.ints[to].truncate(rows),
            At::Long(to) => self.longs[to].truncate(rows),
            At::Float(to) => self.floats[to].truncate(rows),
            At::Double(to) => self.doubles[to].truncate(rows),
            At::Decimal(to) => self.decimals[to].truncate(rows),
            At::Struct(to) => self.structs[to].truncate(rows),
            At::Blob(to) => self.blobs[to].truncate(rows),
            At::List(to) => {
                let items = self.lists[to].items(rows);
                self.lists[to].truncate(rows);
                return items;
            }
        }
        rows
    }
}
