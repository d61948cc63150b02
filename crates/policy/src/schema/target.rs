//! The destinations of a product's values: a tree of the reader's types whose leaves are sinks.
//!
//! Columns that are not kept have no sink, so that nothing of them can be built.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, ListArray, MapArray, StringArray, StructArray, UInt64Array,
};
use arrow::buffer::{BooleanBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;

use super::model::{Model, Type, TypeId};
use super::sinks::{SinkIndex, Sinks};

/// The destination of the values of one type of the reader.
#[derive(Debug)]
pub(super) enum ValueTarget {
    /// No destination: the column is not kept.
    Skip,
    /// The fields of a record that is flattened, in the order of the schema.
    Flat(Vec<ValueTarget>),
    /// One value.
    Leaf(SinkIndex),
    /// A record within a list or map.
    Struct(usize, Vec<ValueTarget>),
    /// An array.
    List(usize, Box<ValueTarget>),
    /// A map: its lengths, its keys, its values.
    Map(usize, usize, Box<ValueTarget>),
}

/// Returns the target of a schema with the columns in `keep`.
pub(super) fn of_schema(model: &Model, keep: &BTreeSet<String>, sinks: &mut Sinks) -> ValueTarget {
    let mut layout = TargetBuilder { model, keep, sinks };
    layout.flat(model.root, &mut Vec::new())
}

/// Returns the target of one complete type, every part of it kept. The type must not contain
/// itself.
pub(super) fn of_type(model: &Model, id: TypeId, sinks: &mut Sinks) -> ValueTarget {
    TargetBuilder {
        model,
        keep: &BTreeSet::new(),
        sinks,
    }
    .whole(id)
}

struct TargetBuilder<'a> {
    model: &'a Model,
    keep: &'a BTreeSet<String>,
    sinks: &'a mut Sinks,
}

impl<'a> TargetBuilder<'a> {
    fn inner(&self, id: TypeId) -> (TypeId, &'a Type) {
        // The product's schema parsed, so every union is of null and one type.
        let id = self.model.optional(id).map_or(id, |(_, of)| of);
        (id, self.model.get(id))
    }

    fn flat(&mut self, id: TypeId, path: &mut Vec<String>) -> ValueTarget {
        let (id, of) = self.inner(id);
        if let Type::Record { fields, .. } = of {
            let children = fields.iter().map(|field| {
                path.push(field.name.clone());
                let child = self.flat(field.of, path);
                path.pop();
                child
            });
            let children = children.collect::<Vec<_>>();
            // A record of which nothing is kept may be of any type, except the top record.
            let skip = !path.is_empty()
                && children
                    .iter()
                    .all(|child| matches!(child, ValueTarget::Skip));
            return if skip {
                ValueTarget::Skip
            } else {
                ValueTarget::Flat(children)
            };
        }
        if self.keep.contains(&path.join("_")) {
            self.whole(id)
        } else {
            ValueTarget::Skip
        }
    }

    fn whole(&mut self, id: TypeId) -> ValueTarget {
        let (_, of) = self.inner(id);
        ValueTarget::Leaf(match of {
            Type::Boolean => self.sinks.add_bool(),
            Type::Int | Type::Date => self.sinks.add_int(),
            Type::Long | Type::Time(_) | Type::Timestamp(_) | Type::LocalTimestamp(_) => {
                self.sinks.add_long()
            }
            Type::Float => self.sinks.add_float(),
            Type::Double => self.sinks.add_double(),
            Type::Decimal { .. } => self.sinks.add_decimal(),
            Type::Bytes | Type::Fixed(_) | Type::Text | Type::Enum { .. } | Type::Uuid(_) => {
                SinkIndex::Blob(self.sinks.add_blob())
            }
            Type::Array(item) => {
                return ValueTarget::List(self.sinks.add_list(), Box::new(self.whole(*item)));
            }
            Type::Map(value) => {
                let (lengths, keys) = (self.sinks.add_list(), self.sinks.add_blob());
                return ValueTarget::Map(lengths, keys, Box::new(self.whole(*value)));
            }
            Type::Record { fields, .. } => {
                let own = self.sinks.add_struct();
                return ValueTarget::Struct(
                    own,
                    fields.iter().map(|field| self.whole(field.of)).collect(),
                );
            }
            // No column has these types.
            Type::Null
            | Type::Union(_)
            | Type::BigDecimal
            | Type::Duration
            | Type::Unreadable(_) => {
                return ValueTarget::Skip;
            }
        })
    }
}

impl ValueTarget {
    /// Adds every sink to which one null of this type adds a value, in any order.
    pub(super) fn nulls(&self, to: &mut Vec<SinkIndex>) {
        match self {
            ValueTarget::Skip => {}
            ValueTarget::Leaf(at) => to.push(*at),
            ValueTarget::Flat(children) => children.iter().for_each(|child| child.nulls(to)),
            ValueTarget::Struct(own, children) => {
                to.push(SinkIndex::Struct(*own));
                children.iter().for_each(|child| child.nulls(to));
            }
            ValueTarget::List(own, _) | ValueTarget::Map(own, _, _) => {
                to.push(SinkIndex::List(*own))
            }
        }
    }

    /// Truncates the target's sinks to the first `rows`.
    pub(super) fn truncate(&self, sinks: &mut Sinks, rows: usize) {
        match self {
            ValueTarget::Skip => {}
            ValueTarget::Leaf(at) => {
                sinks.truncate(*at, rows);
            }
            ValueTarget::Flat(children) => children
                .iter()
                .for_each(|child| child.truncate(sinks, rows)),
            ValueTarget::Struct(own, children) => {
                sinks.truncate(SinkIndex::Struct(*own), rows);
                children
                    .iter()
                    .for_each(|child| child.truncate(sinks, rows));
            }
            ValueTarget::List(own, item) => {
                let items = sinks.truncate(SinkIndex::List(*own), rows);
                item.truncate(sinks, items);
            }
            ValueTarget::Map(own, keys, value) => {
                let items = sinks.truncate(SinkIndex::List(*own), rows);
                sinks.truncate(SinkIndex::Blob(*keys), items);
                value.truncate(sinks, items);
            }
        }
    }

    /// Adds the kept columns in the order of the schema, of the types given in that order. All
    /// sinks are empty afterwards.
    pub(super) fn columns(
        &self,
        sinks: &mut Sinks,
        types: &mut dyn Iterator<Item = &DataType>,
        to: &mut Vec<Result<ArrayRef, ArrowError>>,
    ) {
        match self {
            ValueTarget::Skip => {}
            ValueTarget::Flat(children) => children
                .iter()
                .for_each(|child| child.columns(sinks, types, to)),
            column => to.extend(types.next().map(|of| column.array(sinks, of))),
        }
    }

    fn array(&self, sinks: &mut Sinks, of: &DataType) -> Result<ArrayRef, ArrowError> {
        match (self, of) {
            (ValueTarget::Leaf(at), of) => leaf(*at, sinks, of),
            (ValueTarget::Struct(own, children), DataType::Struct(fields)) => {
                let arrays = children
                    .iter()
                    .zip(fields)
                    .map(|(child, field)| child.array(sinks, field.data_type()));
                let arrays = arrays
                    .collect::<Vec<_>>()
                    .into_iter()
                    .collect::<Result<Vec<_>, _>>();
                let (_, valid) = sinks.structs[*own].take();
                Ok(Arc::new(StructArray::try_new(
                    fields.clone(),
                    arrays?,
                    valid,
                )?))
            }
            (ValueTarget::List(own, item), DataType::List(field)) => {
                let items = item.array(sinks, field.data_type());
                let (ends, valid) = sinks.lists[*own].take();
                Ok(Arc::new(ListArray::try_new(
                    field.clone(),
                    offsets(ends),
                    items?,
                    valid,
                )?))
            }
            (ValueTarget::Map(own, keys, value), DataType::Map(field, _)) => {
                let DataType::Struct(entry) = field.data_type() else {
                    return Err(misfit(of));
                };
                let types = [0, 1].map(|index| {
                    entry
                        .get(index)
                        .map_or(DataType::Null, |f| f.data_type().clone())
                });
                let keys = leaf(SinkIndex::Blob(*keys), sinks, &types[0]);
                let values = value.array(sinks, &types[1]);
                let (ends, valid) = sinks.lists[*own].take();
                let entries = StructArray::try_new(entry.clone(), vec![keys?, values?], None)?;
                map(
                    field,
                    MapArray::try_new(field.clone(), offsets(ends), entries, valid, false)?,
                )
            }
            (_, of) => Err(misfit(of)),
        }
    }
}

fn misfit(of: &DataType) -> ArrowError {
    ArrowError::SchemaError(format!("no values of {of} were read"))
}

fn offsets(ends: Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(ends))
}

fn leaf(at: SinkIndex, sinks: &mut Sinks, of: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match at {
        SinkIndex::Bool(from) => {
            let (values, valid) = sinks.bools[from].take();
            Arc::new(BooleanArray::new(BooleanBuffer::from(values), valid))
        }
        SinkIndex::Int(from) => {
            let (values, valid) = sinks.ints[from].take();
            cast(&Int32Array::try_new(values.into(), valid)?, of)?
        }
        SinkIndex::Long(from) => {
            let (values, valid) = sinks.longs[from].take();
            cast(&Int64Array::try_new(values.into(), valid)?, of)?
        }
        SinkIndex::Float(from) => {
            let (values, valid) = sinks.floats[from].take();
            Arc::new(Float32Array::try_new(values.into(), valid)?)
        }
        SinkIndex::Double(from) => {
            let (values, valid) = sinks.doubles[from].take();
            Arc::new(Float64Array::try_new(values.into(), valid)?)
        }
        SinkIndex::Decimal(from) => {
            let (values, valid) = sinks.decimals[from].take();
            Arc::new(Decimal128Array::try_new(values.into(), valid)?.with_data_type(of.clone()))
        }
        SinkIndex::Blob(from) => {
            let (ends, bytes, valid) = sinks.blobs[from].take();
            match of {
                DataType::Utf8 => {
                    Arc::new(StringArray::try_new(offsets(ends), bytes.into(), valid)?)
                }
                _ => Arc::new(BinaryArray::try_new(offsets(ends), bytes.into(), valid)?),
            }
        }
        SinkIndex::Struct(_) | SinkIndex::List(_) => return Err(misfit(of)),
    })
}

/// Creates a map. Of duplicate keys the last is kept, as in Avro's readers; usually there are none
/// and nothing is copied.
fn map(field: &FieldRef, map: MapArray) -> Result<ArrayRef, ArrowError> {
    let ends = map.value_offsets();
    let keys = map
        .keys()
        .as_any()
        .downcast_ref::<StringArray>()
        .ok_or_else(|| misfit(field.data_type()))?;
    let mut seen = std::collections::HashSet::new();
    let mut kept: Option<(Vec<u64>, Vec<i32>)> = None;
    for (row, pair) in ends.windows(2).enumerate() {
        let entries = pair[0].unsigned_abs() as usize..pair[1].unsigned_abs() as usize;
        seen.clear();
        let doubled =
            entries.len() > 1 && !entries.clone().all(|entry| seen.insert(keys.value(entry)));
        if doubled && kept.is_none() {
            kept = Some((
                (0..u64::from(pair[0].unsigned_abs())).collect(),
                ends[..=row].to_vec(),
            ));
        }
        if let Some((indexes, lengths)) = &mut kept {
            seen.clear();
            let before = indexes.len();
            indexes.extend(
                entries
                    .rev()
                    .filter(|entry| seen.insert(keys.value(*entry)))
                    .map(|entry| entry as u64),
            );
            indexes[before..].reverse();
            lengths.push(i32::try_from(indexes.len()).unwrap_or(i32::MAX));
        }
    }
    let Some((indexes, lengths)) = kept else {
        return Ok(Arc::new(map));
    };
    let entries = take(map.entries(), &UInt64Array::from(indexes), None)?;
    let entries = entries
        .as_any()
        .downcast_ref::<StructArray>()
        .ok_or_else(|| misfit(field.data_type()))?
        .clone();
    Ok(Arc::new(MapArray::try_new(
        field.clone(),
        offsets(lengths),
        entries,
        map.nulls().cloned(),
        false,
    )?))
}
