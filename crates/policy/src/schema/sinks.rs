//! The columns of a batch while its messages are read: plain vectors by type, with the positions of
//! nulls.
//!
//! Every sink can be truncated to the rows before a bad message. No sink allocates for each record.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;

use ebbtide_base::record::Fault;

/// The identity of a sink: its kind, and its index among those of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SinkIndex {
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

/// The rows that are null, in order. Rows with a value cost nothing; the bitmap is made once, at
/// the end.
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
pub(super) struct FixedSink<T> {
    values: Vec<T>,
    nulls: Nulls,
}

impl<T: Copy + Default> FixedSink<T> {
    fn new() -> Self {
        Self {
            values: Vec::new(),
            nulls: Nulls::default(),
        }
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
        (
            std::mem::replace(&mut self.values, Vec::with_capacity(rows)),
            self.nulls.take(rows),
        )
    }
}

/// The end of each value of variable length, counted from the first: of text, bytes, lists and
/// maps.
#[derive(Debug)]
pub(super) struct OffsetsSink {
    ends: Vec<i32>,
    nulls: Nulls,
}

impl OffsetsSink {
    fn new() -> Self {
        Self {
            ends: vec![0],
            nulls: Nulls::default(),
        }
    }

    fn last(&self) -> i32 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Ends a list of `count` items. Errors if the batch has more items than an offset can count.
    pub(super) fn close(&mut self, count: usize) -> Result<(), Fault> {
        let end = i32::try_from(count)
            .ok()
            .and_then(|count| self.last().checked_add(count))
            .ok_or(Fault::TooLarge)?;
        self.ends.push(end);
        Ok(())
    }

    fn null(&mut self) {
        self.nulls.0.push(self.ends.len() - 1);
        self.ends.push(self.last());
    }

    /// Returns the number of items of the first `rows`.
    fn items(&self, rows: usize) -> usize {
        self.ends
            .get(rows)
            .and_then(|end| usize::try_from(*end).ok())
            .unwrap_or(0)
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
pub(super) struct BytesSink {
    ends: OffsetsSink,
    bytes: Vec<u8>,
}

impl BytesSink {
    /// Adds a value. Errors if the batch has more bytes than an offset can count.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.bytes.extend_from_slice(value);
        self.ends
            .ends
            .push(i32::try_from(self.bytes.len()).map_err(|_| Fault::TooLarge)?);
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

/// All sinks of a decoder, in one vector for each kind, so that an index cannot refer to a sink of
/// another kind.
#[derive(Debug, Default)]
pub(super) struct Sinks {
    pub(super) bools: Vec<FixedSink<bool>>,
    pub(super) ints: Vec<FixedSink<i32>>,
    pub(super) longs: Vec<FixedSink<i64>>,
    pub(super) floats: Vec<FixedSink<f32>>,
    pub(super) doubles: Vec<FixedSink<f64>>,
    pub(super) decimals: Vec<FixedSink<i128>>,
    pub(super) blobs: Vec<BytesSink>,
    pub(super) structs: Vec<FixedSink<()>>,
    pub(super) lists: Vec<OffsetsSink>,
}

fn add<T>(to: &mut Vec<T>, sink: T) -> usize {
    to.push(sink);
    to.len() - 1
}

impl Sinks {
    pub(super) fn add_bool(&mut self) -> SinkIndex {
        SinkIndex::Bool(add(&mut self.bools, FixedSink::new()))
    }

    pub(super) fn add_int(&mut self) -> SinkIndex {
        SinkIndex::Int(add(&mut self.ints, FixedSink::new()))
    }

    pub(super) fn add_long(&mut self) -> SinkIndex {
        SinkIndex::Long(add(&mut self.longs, FixedSink::new()))
    }

    pub(super) fn add_float(&mut self) -> SinkIndex {
        SinkIndex::Float(add(&mut self.floats, FixedSink::new()))
    }

    pub(super) fn add_double(&mut self) -> SinkIndex {
        SinkIndex::Double(add(&mut self.doubles, FixedSink::new()))
    }

    pub(super) fn add_decimal(&mut self) -> SinkIndex {
        SinkIndex::Decimal(add(&mut self.decimals, FixedSink::new()))
    }

    pub(super) fn add_blob(&mut self) -> usize {
        add(
            &mut self.blobs,
            BytesSink {
                ends: OffsetsSink::new(),
                bytes: Vec::new(),
            },
        )
    }

    pub(super) fn add_struct(&mut self) -> usize {
        add(&mut self.structs, FixedSink::new())
    }

    pub(super) fn add_list(&mut self) -> usize {
        add(&mut self.lists, OffsetsSink::new())
    }

    pub(super) fn null(&mut self, at: SinkIndex) {
        match at {
            SinkIndex::Bool(to) => self.bools[to].null(),
            SinkIndex::Int(to) => self.ints[to].null(),
            SinkIndex::Long(to) => self.longs[to].null(),
            SinkIndex::Float(to) => self.floats[to].null(),
            SinkIndex::Double(to) => self.doubles[to].null(),
            SinkIndex::Decimal(to) => self.decimals[to].null(),
            SinkIndex::Blob(to) => self.blobs[to].ends.null(),
            SinkIndex::Struct(to) => self.structs[to].null(),
            SinkIndex::List(to) => self.lists[to].null(),
        }
    }

    /// Truncates one sink to its first `rows`. Returns the number of items of a list's rows.
    pub(super) fn truncate(&mut self, at: SinkIndex, rows: usize) -> usize {
        match at {
            SinkIndex::Bool(to) => self.bools[to].truncate(rows),
            SinkIndex::Int(to) => self.ints[to].truncate(rows),
            SinkIndex::Long(to) => self.longs[to].truncate(rows),
            SinkIndex::Float(to) => self.floats[to].truncate(rows),
            SinkIndex::Double(to) => self.doubles[to].truncate(rows),
            SinkIndex::Decimal(to) => self.decimals[to].truncate(rows),
            SinkIndex::Struct(to) => self.structs[to].truncate(rows),
            SinkIndex::Blob(to) => self.blobs[to].truncate(rows),
            SinkIndex::List(to) => {
                let items = self.lists[to].items(rows);
                self.lists[to].truncate(rows);
                return items;
            }
        }
        rows
    }
}
