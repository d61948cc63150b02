//! The columns of a batch while its messages are read: plain vectors by type, with the nulls beside them.
//!
//! Promises that every sink can be cut back to the rows before a bad message; must never allocate once for each record.

use arrow::array::NullBufferBuilder;
use arrow::buffer::NullBuffer;

use crate::record::Fault;

/// Which sink: its kind, and its index among those of its kind.
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
    /// The nulls of a structure; its fields have sinks of their own.
    Struct(usize),
    /// The lengths of a list or map; its items have sinks of their own.
    List(usize),
}

/// Values of one size each.
#[derive(Debug)]
pub(super) struct Flat<T> {
    values: Vec<T>,
    valid: NullBufferBuilder,
}

impl<T: Copy + Default> Flat<T> {
    fn new() -> Self {
        Self { values: Vec::new(), valid: NullBufferBuilder::new(0) }
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
        self.valid.append_non_null();
    }

    fn null(&mut self) {
        self.values.push(T::default());
        self.valid.append_null();
    }

    pub(super) fn take(&mut self) -> (Vec<T>, Option<NullBuffer>) {
        // The next batch is likely as long: it gets its room at once.
        let next = Vec::with_capacity(self.values.len());
        (std::mem::replace(&mut self.values, next), self.valid.finish())
    }
}

/// Values of a length each, and lists: where each ends, counted from the first.
#[derive(Debug)]
pub(super) struct Ends {
    ends: Vec<i32>,
    valid: NullBufferBuilder,
}

impl Ends {
    fn new() -> Self {
        Self { ends: vec![0], valid: NullBufferBuilder::new(0) }
    }

    fn last(&self) -> i32 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Closes a list of `count` items. Errors if the batch holds more than an offset can count.
    #[inline]
    pub(super) fn close(&mut self, count: usize) -> Result<(), Fault> {
        let end = i32::try_from(count).ok().and_then(|count| self.last().checked_add(count)).ok_or(Fault::TooLarge)?;
        self.ends.push(end);
        self.valid.append_non_null();
        Ok(())
    }

    fn null(&mut self) {
        self.ends.push(self.last());
        self.valid.append_null();
    }

    /// How many items the first `rows` have.
    fn items(&self, rows: usize) -> usize {
        self.ends.get(rows).and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows + 1);
        self.valid.truncate(rows);
    }

    pub(super) fn take(&mut self) -> (Vec<i32>, Option<NullBuffer>) {
        let mut next = Vec::with_capacity(self.ends.len());
        next.push(0);
        (std::mem::replace(&mut self.ends, next), self.valid.finish())
    }
}

/// Text and bytes.
#[derive(Debug)]
pub(super) struct Blobs {
    pub(super) ends: Ends,
    bytes: Vec<u8>,
}

impl Blobs {
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.ends.close(value.len())?;
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    pub(super) fn take(&mut self) -> (Vec<i32>, Vec<u8>, Option<NullBuffer>) {
        let (ends, valid) = self.ends.take();
        let next = Vec::with_capacity(self.bytes.len());
        (ends, std::mem::replace(&mut self.bytes, next), valid)
    }
}

/// All sinks of a decoder, by kind: an operation that names one cannot meet another kind.
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

    /// Cuts one sink back to its first `rows`. Gives how many items those have, for a list's own.
    pub(super) fn truncate(&mut self, at: At, rows: usize) -> usize {
        fn cut<T>(sink: &mut Flat<T>, rows: usize) {
            sink.values.truncate(rows);
            sink.valid.truncate(rows);
        }
        match at {
            At::Bool(to) => cut(&mut self.bools[to], rows),
            At::Int(to) => cut(&mut self.ints[to], rows),
            At::Long(to) => cut(&mut self.longs[to], rows),
            At::Float(to) => cut(&mut self.floats[to], rows),
            At::Double(to) => cut(&mut self.doubles[to], rows),
            At::Decimal(to) => cut(&mut self.decimals[to], rows),
            At::Struct(to) => cut(&mut self.structs[to], rows),
            At::Blob(to) => {
                let blobs = &mut self.blobs[to];
                blobs.bytes.truncate(blobs.ends.items(rows));
                blobs.ends.truncate(rows);
            }
            At::List(to) => {
                let items = self.lists[to].items(rows);
                self.lists[to].truncate(rows);
                return items;
            }
        }
        rows
    }
}
