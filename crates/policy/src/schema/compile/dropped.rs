//! The parts of a writer's schema that no column keeps: they are checked while a message is read,
//! and their names are returned.

use super::{Compiler, MOST_DEPTH};
use crate::schema::error::SchemaProblem;
use crate::schema::model::{Model, Type, TypeId, UuidForm};
use crate::schema::program::Op;

impl Compiler<'_> {
    /// Adds the names of all leaves of a writer's field that is not kept.
    pub(super) fn name_dropped(&mut self, id: TypeId) {
        let of = self.writer.optional(id).map_or(id, |(_, of)| of);
        match self.writer.get(of) {
            Type::Record { fields, .. }
                if !self.open.contains(&of)
                    && self.path.len() < MOST_DEPTH
                    && self.spend().is_ok() =>
            {
                self.open.push(of);
                for field in fields {
                    self.path.push(field.name.clone());
                    self.name_dropped(field.of);
                    self.path.pop();
                }
                self.open.pop();
            }
            _ => self.dropped.push(self.path.join("_")),
        }
    }

    /// Adds the steps that check a value and keep nothing of it.
    pub(super) fn drop(&mut self, id: TypeId, to: &mut Vec<Op>) -> Result<(), SchemaProblem> {
        self.enter()?;
        self.drop_here(id, to)?;
        self.depth -= 1;
        Ok(())
    }

    /// Returns the steps of a part that not every message has: if it cannot be read, only the
    /// messages with it are refused.
    fn drop_or_refuse(&mut self, id: TypeId) -> Vec<Op> {
        self.attempt(|compiler, ops| compiler.drop(id, ops))
            .unwrap_or_else(|unfit| self.refuse(&unfit, false))
    }

    fn drop_here(&mut self, id: TypeId, to: &mut Vec<Op>) -> Result<(), SchemaProblem> {
        let op = match self.writer.get(id) {
            Type::Null => return Ok(()),
            Type::Boolean => Op::DropBool,
            Type::Int | Type::Date | Type::Time(crate::schema::model::Tick::Millis) => Op::DropInt,
            Type::Long | Type::Time(_) | Type::Timestamp(_) | Type::LocalTimestamp(_) => {
                Op::DropLong
            }
            Type::Float => Op::DropRaw(4),
            Type::Double => Op::DropRaw(8),
            Type::Bytes
            | Type::BigDecimal
            | Type::Decimal { size: None, .. }
            | Type::Uuid(UuidForm::Bytes) => Op::DropBytes,
            // The logical type of a value that is not kept is not needed.
            Type::Text | Type::Uuid(UuidForm::Text) => Op::DropText,
            Type::Uuid(UuidForm::Fixed) => Op::DropRaw(16),
            Type::Fixed(size)
            | Type::Decimal {
                size: Some(size), ..
            } => Op::DropRaw(*size),
            Type::Duration => Op::DropRaw(12),
            Type::Enum { symbols, .. } => Op::DropEnum(symbols.len()),
            // An empty list can be read whatever its items are.
            Type::Array(item) => Op::List {
                to: None,
                width: self.width(*item),
                item: self.drop_or_refuse(*item),
            },
            Type::Map(value) => Op::Map {
                to: None,
                width: self.width(*value) + 1,
                value: self.drop_or_refuse(*value),
            },
            Type::Union(branches) => {
                let compiled = branches
                    .iter()
                    .map(|branch| self.drop_or_refuse(*branch))
                    .collect();
                return self.branches(branches, compiled, to);
            }
            Type::Unreadable(why) => return Err(self.unreadable(why)),
            Type::Record { .. } if self.open.contains(&id) => {
                let next = self.recursive.len();
                let routine = *self.recursive.entry(Model::index(id)).or_insert(next);
                if routine == next {
                    self.waiting.push(id);
                }
                Op::Call(routine)
            }
            Type::Record { fields, .. } => {
                self.open.push(id);
                fields
                    .iter()
                    .try_for_each(|field| self.drop(field.of, to))?;
                self.open.pop();
                return Ok(());
            }
        };
        self.push(op, to)
    }

    /// Compiles the records that contain themselves, each once, in the order of their first call.
    pub(super) fn routines(&mut self) -> Result<Vec<Vec<Op>>, SchemaProblem> {
        let mut routines = Vec::new();
        while let Some(id) = self.waiting.get(routines.len()).copied() {
            let mut ops = Vec::new();
            (self.depth, self.open) = (0, Vec::new());
            self.drop(id, &mut ops)?;
            routines.push(ops);
        }
        Ok(routines)
    }

    /// Returns the minimum number of bytes of a value. Within itself, a record that contains itself
    /// counts as zero.
    pub(super) fn width(&mut self, id: TypeId) -> usize {
        let index = Model::index(id);
        if let Some(width) = self.widths[index] {
            return width;
        }
        self.widths[index] = Some(0);
        let width = match self.writer.get(id) {
            Type::Null => 0,
            Type::Float => 4,
            Type::Double => 8,
            Type::Uuid(UuidForm::Fixed) => 16,
            Type::Fixed(size)
            | Type::Decimal {
                size: Some(size), ..
            } => *size,
            Type::Duration => 12,
            Type::Record { fields, .. } => fields
                .iter()
                .fold(0, |sum: usize, f| sum.saturating_add(self.width(f.of))),
            Type::Union(branches) => {
                branches
                    .iter()
                    .map(|branch| self.width(*branch))
                    .min()
                    .unwrap_or(0)
                    + 1
            }
            _ => 1,
        };
        self.widths[index] = Some(width);
        width
    }
}
