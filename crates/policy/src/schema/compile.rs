//! Compiles a writer's schema, read as a product's schema, to a program: Avro's schema resolution,
//! done once and never while a message is read.
//!
//! Fields that no column keeps are also checked, and their names are returned.

mod dropped;

use std::collections::{HashMap, HashSet};

use super::defaults;
use super::error::{SchemaError, SchemaProblem, SchemaRefusal};
use super::leaf;
use super::model::{Field, Model, Type, TypeId};
use super::program::{Op, Program};
use super::target::ValueTarget;

/// The maximum number of steps of a program: records that contain one another repeatedly multiply
/// the steps.
const MOST_OPS: usize = 200_000;
/// The maximum depth of a writer's nested types, which is also the depth of the walk through a
/// message.
const MOST_DEPTH: usize = 32;

/// A program, and the flattened names of the writer's fields that no column keeps.
pub(super) struct CompiledSchema {
    pub(super) program: Program,
    pub(super) dropped: Vec<String>,
}

/// Compiles the program. Errors if the reader's schema needs something that the writer's lacks, or
/// cannot read something that it has.
pub(super) fn compile(
    writer: &Model,
    reader: &Model,
    target: &ValueTarget,
) -> Result<CompiledSchema, SchemaError> {
    let widths = vec![None; writer.len()];
    let mut compiler = Compiler {
        writer,
        reader,
        widths,
        path: Vec::new(),
        dropped: Vec::new(),
        open: Vec::new(),
        recursive: HashMap::new(),
        waiting: Vec::new(),
        refusals: Vec::new(),
        room: MOST_OPS,
        depth: 0,
    };
    let fail = |unfit: SchemaProblem| SchemaError { found: vec![unfit] };
    let mut main = Vec::new();
    match compiler.read(writer.root, reader.root, target, &mut main) {
        Err(unfit) if compiler.is_other_record(writer.root) => main = compiler.refuse(&unfit, true),
        read => read.map_err(fail)?,
    }
    let routines = compiler.routines().map_err(fail)?;
    let program = Program {
        main,
        routines,
        refusals: compiler.refusals,
    };
    Ok(CompiledSchema {
        program,
        dropped: compiler.dropped,
    })
}

struct Compiler<'m> {
    writer: &'m Model,
    reader: &'m Model,
    widths: Vec<Option<usize>>,
    path: Vec<String>,
    dropped: Vec<String>,
    /// The dropped records that are being compiled, from the outermost.
    open: Vec<TypeId>,
    recursive: HashMap<usize, usize>,
    waiting: Vec<TypeId>,
    refusals: Vec<SchemaRefusal>,
    room: usize,
    depth: usize,
}

impl<'m> Compiler<'m> {
    fn unfit(&self, what: impl Into<String>, help: impl Into<String>) -> SchemaProblem {
        SchemaProblem {
            path: self.path.join("."),
            what: what.into(),
            help: help.into(),
        }
    }

    /// Returns the steps of a branch that no message may take.
    fn refuse(&mut self, why: &SchemaProblem, is_other_record: bool) -> Vec<Op> {
        self.refusals.push(SchemaRefusal {
            reason: why.brief(),
            is_other_record,
        });
        vec![Op::Refuse(self.refusals.len() - 1)]
    }

    /// Compiles a part that may fail on its own. An error leaves no partial state.
    fn attempt(
        &mut self,
        part: impl FnOnce(&mut Self, &mut Vec<Op>) -> Result<(), SchemaProblem>,
    ) -> Result<Vec<Op>, SchemaProblem> {
        let (path, depth, open) = (self.path.len(), self.depth, self.open.len());
        let mut ops = Vec::new();
        let compiled = part(self, &mut ops);
        if compiled.is_err() {
            self.path.truncate(path);
            self.open.truncate(open);
            self.depth = depth;
        }
        compiled.map(|()| ops)
    }

    /// Returns true for a record at the top, or in a union there, whose name is not one that the
    /// product's record is read from.
    fn is_other_record(&self, writer: TypeId) -> bool {
        let is_record = matches!(self.writer.get(writer), Type::Record { .. });
        self.path.is_empty() && is_record && self.misnamed(writer, self.reader.root).is_some()
    }

    /// Returns the mismatch of the names of two types; `None` if they match, or if one of the types
    /// has no name.
    fn misnamed(&self, writer: TypeId, reader: TypeId) -> Option<SchemaProblem> {
        let (from, into) = (self.writer.name(writer)?, self.reader.name(reader)?);
        if into.reads(from) {
            return None;
        }
        let word = leaf::word(self.writer.get(writer));
        if into.is_listed() {
            let what = format!(
                "the writer's {word} `{}` is not one of records.names",
                from.full
            );
            return Some(self.unfit(
                what,
                "add the name to records.names of the product, if they are the same",
            ));
        }
        let what = format!(
            "the writer's {word} `{}` is not the product's `{}`",
            from.full, into.full
        );
        Some(self.unfit(
            what,
            "give the product's type the writer's name as an alias, if they are the same",
        ))
    }

    fn spend(&mut self) -> Result<(), SchemaProblem> {
        self.room = self.room.checked_sub(1).ok_or_else(|| {
            self.unfit(
                "the writer's schema unfolds to too many fields",
                "do not nest records that repeat one another",
            )
        })?;
        Ok(())
    }

    fn push(&mut self, op: Op, to: &mut Vec<Op>) -> Result<(), SchemaProblem> {
        self.spend()?;
        to.push(op);
        Ok(())
    }

    fn enter(&mut self) -> Result<(), SchemaProblem> {
        self.spend()?;
        self.depth += 1;
        if self.depth <= MOST_DEPTH {
            return Ok(());
        }
        let what = format!("the writer's types nest deeper than {MOST_DEPTH}");
        Err(self.unfit(what, "flatten them"))
    }

    fn read(
        &mut self,
        writer: TypeId,
        reader: TypeId,
        target: &ValueTarget,
        to: &mut Vec<Op>,
    ) -> Result<(), SchemaProblem> {
        self.enter()?;
        self.read_here(writer, reader, target, to)?;
        self.depth -= 1;
        Ok(())
    }

    fn read_here(
        &mut self,
        writer: TypeId,
        reader: TypeId,
        target: &ValueTarget,
        to: &mut Vec<Op>,
    ) -> Result<(), SchemaProblem> {
        if matches!(target, ValueTarget::Skip) {
            self.name_dropped(writer);
            return self.drop(writer, to);
        }
        let (nullable, inner) = self.reader.optional(reader).unwrap_or((false, reader));
        match self.writer.get(writer) {
            Type::Union(branches) => self.union(branches, reader, target, to),
            Type::Null if nullable => self.nulls(target, to),
            _ => self.one(writer, inner, target, to),
        }
    }

    fn nulls(&mut self, target: &ValueTarget, to: &mut Vec<Op>) -> Result<(), SchemaProblem> {
        let mut sinks = Vec::new();
        target.nulls(&mut sinks);
        sinks
            .into_iter()
            .try_for_each(|at| self.push(Op::Null(at), to))
    }

    /// Compiles a writer's union: each branch is read separately as the reader's type. A branch
    /// that cannot be read is refused only when a message has it.
    fn union(
        &mut self,
        branches: &[TypeId],
        reader: TypeId,
        target: &ValueTarget,
        to: &mut Vec<Op>,
    ) -> Result<(), SchemaProblem> {
        let mut unreadable = None;
        let mut readable = branches.is_empty();
        let mut compiled = Vec::with_capacity(branches.len());
        let named = self.dropped.len();
        for branch in branches {
            let ops = self.attempt(|compiler, ops| compiler.read(*branch, reader, target, ops));
            compiled.push(match ops {
                Ok(ops) => {
                    readable |=
                        branches.len() == 1 || !matches!(self.writer.get(*branch), Type::Null);
                    ops
                }
                Err(unfit) => {
                    let is_other = self.is_other_record(*branch);
                    readable |= is_other;
                    let ops = self.refuse(&unfit, is_other);
                    unreadable.get_or_insert(unfit);
                    ops
                }
            });
        }
        // Two branches may have added the name of the same field.
        let (mut seen, mut index) = (HashSet::new(), 0);
        self.dropped.retain(|name| {
            index += 1;
            index <= named || seen.insert(name.clone())
        });
        match unreadable {
            Some(unfit) if !readable => Err(unfit),
            _ => self.branches(branches, compiled, to),
        }
    }

    fn branches(
        &mut self,
        branches: &[TypeId],
        mut compiled: Vec<Vec<Op>>,
        to: &mut Vec<Op>,
    ) -> Result<(), SchemaProblem> {
        let null = branches
            .iter()
            .position(|branch| matches!(self.writer.get(*branch), Type::Null));
        let op = match (null, compiled.len()) {
            (Some(null), 2) => {
                let none = compiled.remove(null);
                Op::Optional {
                    null,
                    none,
                    some: compiled.remove(0),
                }
            }
            _ => Op::Union(compiled),
        };
        self.push(op, to)
    }

    fn one(
        &mut self,
        writer: TypeId,
        reader: TypeId,
        target: &ValueTarget,
        to: &mut Vec<Op>,
    ) -> Result<(), SchemaProblem> {
        let (from, into) = (self.writer.get(writer), self.reader.get(reader));
        if let Some(unfit) = self.misnamed(writer, reader) {
            return Err(unfit);
        }
        match (from, into, target) {
            (Type::Unreadable(why), ..) => Err(self.unreadable(why)),
            (
                Type::Record { fields: from, .. },
                Type::Record { fields: into, .. },
                ValueTarget::Flat(children),
            ) => self.record(from, into, children, to),
            (
                Type::Record { fields: from, .. },
                Type::Record { fields: into, .. },
                ValueTarget::Struct(own, children),
            ) => {
                self.push(Op::Struct(*own), to)?;
                self.record(from, into, children, to)
            }
            (Type::Array(from), Type::Array(into), ValueTarget::List(own, target)) => {
                let mut item = Vec::new();
                self.read(*from, *into, target, &mut item)?;
                let width = self.width(*from);
                self.push(
                    Op::List {
                        to: Some(*own),
                        item,
                        width,
                    },
                    to,
                )
            }
            (Type::Map(from), Type::Map(into), ValueTarget::Map(own, keys, target)) => {
                let mut value = Vec::new();
                self.read(*from, *into, target, &mut value)?;
                let width = self.width(*from) + 1;
                self.push(
                    Op::Map {
                        to: Some((*own, *keys)),
                        value,
                        width,
                    },
                    to,
                )
            }
            (from, into, ValueTarget::Leaf(at)) => match leaf::leaf(from, into, *at) {
                Some(op) => self.push(op, to),
                None => Err(self.misfit(from, into)),
            },
            (from, into, _) => Err(self.misfit(from, into)),
        }
    }

    fn unreadable(&self, why: &str) -> SchemaProblem {
        self.unfit(
            format!("the writer's schema cannot be read: {why}"),
            "correct the writer's schema",
        )
    }

    fn misfit(&self, from: &Type, into: &Type) -> SchemaProblem {
        let what = format!(
            "the writer's {} cannot be read as the product's {}",
            leaf::word(from),
            leaf::word(into)
        );
        self.unfit(
            what,
            "give the two schemas types that Avro promotes, or rename the field",
        )
    }

    fn record(
        &mut self,
        from: &'m [Field],
        into: &'m [Field],
        targets: &[ValueTarget],
        to: &mut Vec<Op>,
    ) -> Result<(), SchemaProblem> {
        // The reader's own name has priority over its aliases, and no writer's field is read twice.
        let mut source = vec![None; into.len()];
        for (place, field) in source.iter_mut().zip(into) {
            *place = from
                .iter()
                .position(|candidate| candidate.name == field.name);
        }
        for (index, field) in into.iter().enumerate() {
            if source[index].is_none() {
                let known = |position: &usize| !source.contains(&Some(*position));
                let named =
                    |alias: &String| from.iter().position(|candidate| candidate.name == *alias);
                source[index] = field.aliases.iter().filter_map(named).find(known);
            }
        }
        for (position, field) in from.iter().enumerate() {
            let matched = source.iter().position(|source| *source == Some(position));
            let matched = matched.and_then(|index| into.get(index).zip(targets.get(index)));
            self.path.push(
                matched
                    .map_or(&field.name, |(reader, _)| &reader.name)
                    .clone(),
            );
            match matched {
                Some((reader, target)) => self.read(field.of, reader.of, target, to)?,
                None => {
                    self.name_dropped(field.of);
                    self.drop(field.of, to)?;
                }
            }
            self.path.pop();
        }
        for ((field, target), source) in into.iter().zip(targets).zip(&source) {
            if source.is_none() {
                self.path.push(field.name.clone());
                let mut puts = Vec::new();
                defaults::of_field(self.reader, field, target, &mut puts)
                    .map_err(|(what, help)| self.unfit(what, help))?;
                puts.into_iter().try_for_each(|op| self.push(op, to))?;
                self.path.pop();
            }
        }
        Ok(())
    }
}
