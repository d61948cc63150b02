//! The compiled walk of one writer schema: the values to read, the values only to check, and the
//! sinks of the values to keep.
//!
//! A body that it accepts conforms to the writer's schema to its last byte. The caller removes what
//! was built for a body that it refuses. Does not allocate for each record.

use uuid::Uuid;

use super::cursor::BodyCursor;
use super::error::SchemaRefusal;
use super::sinks::{SinkIndex, Sinks};
use ebbtide_base::record::Fault;

/// One step. A number is the index of a sink among those of its kind.
#[derive(Debug)]
pub(super) enum Op {
    DropBool,
    DropInt,
    DropLong,
    DropRaw(usize),
    DropBytes,
    DropText,
    DropEnum(usize),
    Bool(usize),
    Int(usize),
    IntToLong {
        to: usize,
        times: i64,
    },
    IntToFloat(usize),
    IntToDouble(usize),
    Long(usize),
    LongTimes {
        to: usize,
        times: i64,
    },
    LongPer {
        to: usize,
        per: i64,
    },
    LongToFloat(usize),
    LongToDouble(usize),
    Float(usize),
    FloatToDouble(usize),
    Double(usize),
    Text(usize),
    Bytes(usize),
    Raw {
        to: usize,
        size: usize,
    },
    /// A UUID in any form, as its canonical text.
    UuidText(usize),
    UuidBytes(usize),
    UuidRaw(usize),
    /// `most` is the largest value of the precision.
    Decimal {
        to: usize,
        size: Option<usize>,
        most: i128,
    },
    /// The reader's symbol for each symbol of the writer; `None` if it has none.
    Enum {
        to: usize,
        symbols: Vec<Option<String>>,
    },
    Struct(usize),
    /// A union of null and one type.
    Optional {
        null: usize,
        none: Vec<Op>,
        some: Vec<Op>,
    },
    Union(Vec<Vec<Op>>),
    /// `width`: the minimum number of bytes of an item.
    List {
        to: Option<usize>,
        item: Vec<Op>,
        width: usize,
    },
    Map {
        to: Option<(usize, usize)>,
        value: Vec<Op>,
        width: usize,
    },
    /// A record that contains itself; only in dropped fields.
    Call(usize),
    /// Values without bytes in the message: nulls and defaults.
    Null(SinkIndex),
    PutBool(usize, bool),
    PutInt(usize, i32),
    PutLong(usize, i64),
    PutFloat(usize, f32),
    PutDouble(usize, f64),
    PutDecimal(usize, i128),
    PutBlob(usize, Vec<u8>),
    PutList(usize, usize),
    /// A branch without a counterpart in the reader's schema, or that cannot be read: the index of
    /// its refusal.
    Refuse(usize),
}

/// The complete walk: the record's steps, those of the records that contain themselves, and the
/// reasons why branches are refused.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) main: Vec<Op>,
    pub(super) routines: Vec<Vec<Op>>,
    pub(super) refusals: Vec<SchemaRefusal>,
}

/// A body that is not read: its fault, and the index of the refusal if only the schemas are the
/// reason.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyRefusal {
    pub(super) fault: Fault,
    pub(super) refusal: Option<usize>,
}

impl Program {
    /// Reads one complete body. After an error the sinks contain a part of it.
    pub(super) fn run(&self, body: &[u8], sinks: &mut Sinks) -> Result<(), BodyRefusal> {
        let mut input = BodyCursor::new(body);
        let read = self
            .steps(&self.main, &mut input, sinks)
            .and_then(|()| input.end());
        read.map_err(|fault| BodyRefusal {
            fault,
            refusal: input.refused,
        })
    }

    fn steps(
        &self,
        ops: &[Op],
        input: &mut BodyCursor<'_>,
        sinks: &mut Sinks,
    ) -> Result<(), Fault> {
        for op in ops {
            match op {
                Op::Text(to) => sinks.blobs[*to].push(input.text()?.as_bytes())?,
                Op::Long(to) => sinks.longs[*to].push(input.long()?),
                Op::Optional { null, none, some } => {
                    let branch = input.index(2)?;
                    self.steps(if branch == *null { none } else { some }, input, sinks)?;
                }
                Op::Null(at) => sinks.null(*at),
                Op::LongTimes { to, times } => {
                    let value = input.long()?.checked_mul(*times).ok_or(Fault::BadBody)?;
                    sinks.longs[*to].push(value);
                }
                Op::Enum { to, symbols } => {
                    let symbol = symbols[input.index(symbols.len())?]
                        .as_ref()
                        .ok_or(Fault::IncompatibleSchema)?;
                    sinks.blobs[*to].push(symbol.as_bytes())?;
                }
                Op::UuidText(to) => {
                    let text = input.bytes()?;
                    if canonical(text) {
                        sinks.blobs[*to].push(text)?;
                    } else {
                        put_uuid(sinks, *to, uuid_of_text(text)?)?;
                    }
                }
                Op::Int(to) => sinks.ints[*to].push(input.int()?),
                Op::DropText => drop(input.text()?),
                Op::DropLong => drop(input.long()?),
                Op::DropBool => drop(input.boolean()?),
                Op::DropInt => drop(input.int()?),
                Op::DropRaw(size) => drop(input.raw(*size)?),
                Op::DropBytes => drop(input.bytes()?),
                Op::DropEnum(count) => drop(input.index(*count)?),
                Op::Bool(to) => sinks.bools[*to].push(input.boolean()?),
                Op::IntToLong { to, times } => {
                    sinks.longs[*to].push(i64::from(input.int()?) * times)
                }
                Op::IntToFloat(to) => sinks.floats[*to].push(input.int()? as f32),
                Op::IntToDouble(to) => sinks.doubles[*to].push(f64::from(input.int()?)),
                Op::LongPer { to, per } => sinks.longs[*to].push(input.long()?.div_euclid(*per)),
                Op::LongToFloat(to) => sinks.floats[*to].push(input.long()? as f32),
                Op::LongToDouble(to) => sinks.doubles[*to].push(input.long()? as f64),
                Op::Float(to) => sinks.floats[*to].push(f32::from_le_bytes(input.array()?)),
                Op::FloatToDouble(to) => {
                    sinks.doubles[*to].push(f64::from(f32::from_le_bytes(input.array()?)))
                }
                Op::Double(to) => sinks.doubles[*to].push(f64::from_le_bytes(input.array()?)),
                Op::Bytes(to) => sinks.blobs[*to].push(input.bytes()?)?,
                Op::Raw { to, size } => sinks.blobs[*to].push(input.raw(*size)?)?,
                Op::UuidBytes(to) => put_uuid(sinks, *to, uuid_of_bytes(input.bytes()?)?)?,
                Op::UuidRaw(to) => put_uuid(sinks, *to, Uuid::from_bytes(input.array()?))?,
                Op::Decimal { to, size, most } => {
                    let bytes = match size {
                        Some(size) => input.raw(*size)?,
                        None => input.bytes()?,
                    };
                    let value =
                        decimal(bytes).filter(|value| value.unsigned_abs() <= most.unsigned_abs());
                    sinks.decimals[*to].push(value.ok_or(Fault::BadBody)?);
                }
                Op::Struct(to) => sinks.structs[*to].push(()),
                Op::Union(branches) => {
                    let branch = input.index(branches.len())?;
                    self.steps(&branches[branch], input, sinks)?;
                }
                Op::List { to, item, width } => {
                    let count = self.items(
                        &Items {
                            item,
                            keys: Keys::None,
                            width: *width,
                        },
                        input,
                        sinks,
                    )?;
                    to.map_or(Ok(()), |to| sinks.lists[to].close(count))?;
                }
                Op::Map { to, value, width } => {
                    let keys = to.map_or(Keys::Drop, |(_, keys)| Keys::Keep(keys));
                    let count = self.items(
                        &Items {
                            item: value,
                            keys,
                            width: *width,
                        },
                        input,
                        sinks,
                    )?;
                    to.map_or(Ok(()), |(to, _)| sinks.lists[to].close(count))?;
                }
                Op::Call(routine) => {
                    input.enter()?;
                    self.steps(&self.routines[*routine], input, sinks)?;
                    input.leave();
                }
                Op::PutBool(to, value) => sinks.bools[*to].push(*value),
                Op::PutInt(to, value) => sinks.ints[*to].push(*value),
                Op::PutLong(to, value) => sinks.longs[*to].push(*value),
                Op::PutFloat(to, value) => sinks.floats[*to].push(*value),
                Op::PutDouble(to, value) => sinks.doubles[*to].push(*value),
                Op::PutDecimal(to, value) => sinks.decimals[*to].push(*value),
                Op::PutBlob(to, value) => sinks.blobs[*to].push(value)?,
                Op::PutList(to, count) => sinks.lists[*to].close(*count)?,
                Op::Refuse(refusal) => {
                    input.refused = Some(*refusal);
                    return Err(Fault::IncompatibleSchema);
                }
            }
        }
        Ok(())
    }

    /// Reads the items of an array or a map, block by block. Returns their number.
    fn items(
        &self,
        of: &Items<'_>,
        input: &mut BodyCursor<'_>,
        sinks: &mut Sinks,
    ) -> Result<usize, Fault> {
        let mut total = 0;
        loop {
            let count = input.block(of.width)?;
            if count == 0 {
                return Ok(total);
            }
            total += count;
            if of.item.is_empty() && matches!(of.keys, Keys::None) {
                continue;
            }
            for _ in 0..count {
                match of.keys {
                    Keys::None => {}
                    Keys::Drop => drop(input.text()?),
                    Keys::Keep(keys) => sinks.blobs[keys].push(input.text()?.as_bytes())?,
                }
                self.steps(of.item, input, sinks)?;
            }
        }
    }
}

/// The contents of the blocks of an array or a map.
struct Items<'o> {
    item: &'o [Op],
    keys: Keys,
    width: usize,
}

/// The part before each item: nothing in an array, a key in a map.
#[derive(Clone, Copy)]
enum Keys {
    None,
    Drop,
    Keep(usize),
}

/// Returns true if the text of a UUID is already in its canonical form, as nearly all are. Without
/// branches, so that it takes only a few vector instructions.
fn canonical(text: &[u8]) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let Ok(text) = <&[u8; uuid::fmt::Hyphenated::LENGTH]>::try_from(text) else {
        return false;
    };
    let others = text
        .iter()
        .map(|byte| u32::from(matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
        .sum::<u32>();
    others == 32 && DASHES.iter().all(|dash| text[*dash] == b'-')
}

fn uuid_of_text(text: &[u8]) -> Result<Uuid, Fault> {
    let text = simdutf8::basic::from_utf8(text).map_err(|_| Fault::BadUtf8)?;
    Uuid::parse_str(text).map_err(|_| Fault::BadBody)
}

fn uuid_of_bytes(bytes: &[u8]) -> Result<Uuid, Fault> {
    Uuid::from_slice(bytes).map_err(|_| Fault::BadBody)
}

fn put_uuid(sinks: &mut Sinks, to: usize, uuid: Uuid) -> Result<(), Fault> {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    sinks.blobs[to].push(uuid.hyphenated().encode_lower(&mut text).as_bytes())
}

/// Reads a big-endian number in two's complement, of any length; `None` if it does not fit 128
/// bits. An empty input is zero.
pub(super) fn decimal(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let sign = if negative { 0xFF } else { 0 };
    let surplus = bytes.len().saturating_sub(16);
    let (front, low) = bytes.split_at(surplus);
    if front.iter().any(|byte| *byte != sign) {
        return None;
    }
    let mut wide = [sign; 16];
    wide[16 - low.len()..].copy_from_slice(low);
    let value = i128::from_be_bytes(wide);
    ((value < 0) == negative).then_some(value)
}
