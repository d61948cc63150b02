//! Decides the columns of the new files, and which segments can share one.
//!
//! Segments with different columns read the same in one file as before: a column that one lacks
//! must be nullable, and columns of one name must have one type. Segments of two policies must
//! never share a file: it would have columns that only one policy names, and the log would not show
//! which policy that was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::schema::types::{Type, TypePtr};

use super::super::RewriteError;
use super::{DueColumns, metadata};
use crate::index::StoredSegment;
use crate::segment::{RunValue, recorded_order};
use crate::source::StoreFile;
use ebbtide_base::ids::PolicyVersion;

/// The maximum number of row groups of a file; the format numbers them with 15 bits.
const MOST_GROUPS: usize = 32_000;

/// The parts of a segment's footer that are kept.
pub struct FooterSummary {
    /// The policy under which its rows are tagged, if the log has it.
    pub policy_version: Option<PolicyVersion>,
    /// The columns that are kept, in the order of the file.
    pub fields: Vec<TypePtr>,
    /// The number of its row groups.
    pub groups: usize,
    /// True if every chunk has an offset index: a file has one for all of its chunks or for none.
    pub indexed: bool,
    /// The columns by which some rows are sorted.
    pub ordered_by: BTreeSet<String>,
}

impl FooterSummary {
    /// Reads the needed parts of a segment's footer.
    pub fn read(
        source: &StoreFile,
        segment: &StoredSegment,
        due: &DueColumns,
    ) -> Result<FooterSummary, RewriteError> {
        let metadata = metadata(source, &segment.path, false)?;
        let fields = metadata
            .file_metadata()
            .schema_descr()
            .root_schema()
            .get_fields();
        let fields: Vec<TypePtr> = fields
            .iter()
            .filter(|field| !due.has(field.name()))
            .cloned()
            .collect();
        if fields.is_empty() {
            let why = "no column of it would stay".to_owned();
            return Err(RewriteError::Damaged {
                path: segment.path.to_string(),
                why,
            });
        }
        let mut chunks = metadata
            .row_groups()
            .iter()
            .flat_map(|group| group.columns());
        let indexed = chunks.all(|chunk| chunk.offset_index_offset().is_some());
        Ok(FooterSummary {
            policy_version: segment.policy_version.clone(),
            fields,
            groups: metadata.num_row_groups(),
            indexed,
            ordered_by: recorded_order(&metadata),
        })
    }
}

/// One new file: its columns, and the indexes of the segments that it is made of.
pub struct FileLayout {
    policy_version: Option<PolicyVersion>,
    pub fields: Vec<TypePtr>,
    pub members: Vec<usize>,
    pub indexed: bool,
    /// The columns by which some rows are sorted.
    pub ordered_by: BTreeSet<String>,
    /// The columns that are written again instead of copied.
    pub written: Vec<RewrittenTag>,
    /// The old name of each renamed column, by its new one.
    pub renamed: BTreeMap<String, String>,
    groups: usize,
}

/// A tag that is written again with the same value on every row. It stays null in a row group where
/// it was null if other row groups of the file had it.
#[derive(Debug, Clone)]
pub struct RewrittenTag {
    pub column: String,
    pub value: RunValue,
}

/// Assigns the segments to as few files as possible.
pub fn layouts(footers: Vec<FooterSummary>) -> Vec<FileLayout> {
    let mut layouts: Vec<FileLayout> = Vec::new();
    for (number, footer) in footers.into_iter().enumerate() {
        match layouts.iter_mut().find(|layout| layout.takes(&footer)) {
            Some(layout) => layout.add(number, footer),
            None => layouts.push(FileLayout {
                members: vec![number],
                ..FileLayout::of(footer)
            }),
        }
    }
    layouts
}

impl FileLayout {
    /// Creates the layout of a file made of one segment.
    pub fn of(footer: FooterSummary) -> FileLayout {
        FileLayout {
            policy_version: footer.policy_version,
            fields: footer.fields,
            members: vec![0],
            indexed: footer.indexed,
            ordered_by: footer.ordered_by,
            written: Vec::new(),
            renamed: BTreeMap::new(),
            groups: footer.groups,
        }
    }

    /// Appends a column that is written again.
    pub fn write(&mut self, field: TypePtr, written: RewrittenTag) {
        self.fields.push(field);
        self.written.push(written);
    }

    /// Renames columns; `renamed` maps the new name of each to the old one.
    pub fn rename(&mut self, renamed: &BTreeMap<String, String>) -> Result<(), ParquetError> {
        for (new, old) in renamed {
            if let Some(field) = self.fields.iter_mut().find(|field| field.name() == old) {
                *field = Arc::new(named(field, new)?);
                if self.ordered_by.remove(old) {
                    self.ordered_by.insert(new.clone());
                }
                self.renamed.insert(new.clone(), old.clone());
            }
        }
        Ok(())
    }

    fn takes(&self, footer: &FooterSummary) -> bool {
        let fits = |fields: &[TypePtr], of: &TypePtr| match fields
            .iter()
            .find(|field| field.name() == of.name())
        {
            Some(found) => found == of,
            None => of.is_optional(),
        };
        self.policy_version == footer.policy_version
            && self.groups + footer.groups <= MOST_GROUPS
            && footer.fields.iter().all(|field| fits(&self.fields, field))
            && self.fields.iter().all(|field| fits(&footer.fields, field))
    }

    fn add(&mut self, number: usize, footer: FooterSummary) {
        let known =
            |fields: &[TypePtr], of: &TypePtr| fields.iter().any(|field| field.name() == of.name());
        let new: Vec<TypePtr> = footer
            .fields
            .into_iter()
            .filter(|field| !known(&self.fields, field))
            .collect();
        self.fields.extend(new);
        self.members.push(number);
        self.groups += footer.groups;
        self.indexed &= footer.indexed;
        self.ordered_by.extend(footer.ordered_by);
    }
}

/// Returns the same type under another name.
fn named(of: &Type, name: &str) -> Result<Type, ParquetError> {
    let info = of.get_basic_info();
    let (repetition, logical, converted) = (
        info.repetition(),
        info.logical_type_ref().cloned(),
        info.converted_type(),
    );
    let id = info.has_id().then(|| info.id());
    match of {
        Type::PrimitiveType {
            physical_type,
            type_length,
            scale,
            precision,
            ..
        } => Type::primitive_type_builder(name, *physical_type)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_converted_type(converted)
            .with_length(*type_length)
            .with_precision(*precision)
            .with_scale(*scale)
            .with_id(id)
            .build(),
        Type::GroupType { fields, .. } => Type::group_type_builder(name)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_converted_type(converted)
            .with_fields(fields.clone())
            .with_id(id)
            .build(),
    }
}
