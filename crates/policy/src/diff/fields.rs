//! Maps the columns of an old policy to those of a new one.
//!
//! Invariants: a column counts as renamed only if the schema says so by an alias, and no column is
//! mapped to two.

use std::collections::{BTreeMap, BTreeSet};

use super::model::FieldDiff;
use crate::model::{ColumnClass, Records};

/// The columns of two versions of a product, compared.
#[derive(Debug, Clone, Default)]
pub struct ColumnChanges {
    /// The new name of each renamed column, by its old name.
    pub renamed: BTreeMap<String, String>,
    /// The changes.
    pub fields: Vec<FieldDiff>,
    old: BTreeMap<String, ColumnClass>,
    new: BTreeMap<String, ColumnClass>,
}

impl ColumnChanges {
    /// Compares the columns of `before` with those of `after`.
    #[must_use]
    pub fn of(before: Option<&Records>, after: Option<&Records>) -> ColumnChanges {
        let (old, new) = (classes(before), classes(after));
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        if let (Some(before), Some(after)) = (before, after) {
            for name in after.fields.keys().filter(|name| !old.contains_key(*name)) {
                let Some(column) = after.schema.column(name) else {
                    continue;
                };
                let was = before.fields.keys().find(|old| {
                    !new.contains_key(*old)
                        && !renamed.contains_key(*old)
                        && before
                            .schema
                            .column(old)
                            .is_some_and(|old| column.was(&old.path))
                });
                renamed.extend(was.map(|was| (was.clone(), name.clone())));
            }
        }
        let to: BTreeSet<&String> = renamed.values().collect();
        let mut fields = Vec::new();
        for (column, class) in &new {
            if !old.contains_key(column) && !to.contains(column) {
                fields.push(FieldDiff::Added {
                    column: column.clone(),
                    class: class.clone(),
                });
            }
        }
        for (column, from) in &old {
            let now = renamed.get(column).unwrap_or(column);
            match new.get(now) {
                None => fields.push(FieldDiff::Removed {
                    column: column.clone(),
                    class: from.clone(),
                }),
                Some(class) => {
                    if now != column {
                        fields.push(FieldDiff::Renamed {
                            from: column.clone(),
                            to: now.clone(),
                        });
                    }
                    if class != from {
                        let (column, from, to) = (now.clone(), from.clone(), class.clone());
                        fields.push(FieldDiff::Reclassified { column, from, to });
                    }
                }
            }
        }
        fields.sort();
        ColumnChanges {
            renamed,
            fields,
            old,
            new,
        }
    }

    /// Returns the name in the new policy of a column of the old one.
    #[must_use]
    pub fn now<'n>(&'n self, old: &'n str) -> &'n str {
        self.renamed.get(old).map_or(old, String::as_str)
    }

    /// Returns the name in the old policy of a column of the new one.
    #[must_use]
    pub fn before<'n>(&'n self, new: &'n str) -> &'n str {
        self.renamed
            .iter()
            .find(|(_, now)| *now == new)
            .map_or(new, |(old, _)| old.as_str())
    }

    /// Returns the class in the old policy of a column of the old policy.
    #[must_use]
    pub fn class(&self, old: &str) -> Option<&ColumnClass> {
        self.old.get(old)
    }

    /// Returns every column that both policies have: its old and new name, and its old and new
    /// class.
    pub fn kept(&self) -> impl Iterator<Item = (&str, &str, &ColumnClass, &ColumnClass)> {
        self.old.iter().filter_map(|(column, from)| {
            let now = self.now(column);
            Some((column.as_str(), now, from, self.new.get(now)?))
        })
    }

    /// Returns true if any stored column is removed, renamed or reclassified.
    #[must_use]
    pub fn touches_stored(&self) -> bool {
        self.fields
            .iter()
            .any(|field| !matches!(field, FieldDiff::Added { .. }))
    }

    /// Returns true if any stored column is removed or renamed.
    #[must_use]
    pub fn reforms(&self) -> bool {
        self.fields
            .iter()
            .any(|field| matches!(field, FieldDiff::Removed { .. } | FieldDiff::Renamed { .. }))
    }
}

/// Returns the class of every column, including derived columns.
fn classes(records: Option<&Records>) -> BTreeMap<String, ColumnClass> {
    let Some(records) = records else {
        return BTreeMap::new();
    };
    let derived = records
        .derive
        .iter()
        .map(|derived| (derived.name.clone(), ColumnClass::NotPersonal));
    records
        .fields
        .iter()
        .map(|(name, class)| (name.clone(), class.clone()))
        .chain(derived)
        .collect()
}
