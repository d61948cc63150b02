//! Counts the data that is left in the tables at one moment: fields by category, records and cells.
//! It uses the tables' lists of segments only, and must never read a segment.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use ebbtide_base::ids::{Category, Deadline, ProductKey};
use ebbtide_table::SegmentedTable;

/// The data that is left in all tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredData {
    /// The fields by category.
    pub fields: BTreeMap<Category, FieldCounts>,
    /// The rows by product.
    pub tables: BTreeMap<ProductKey, TableContent>,
}

/// Fields of one category. A field is one category of one record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldCounts {
    /// Fields with a deadline.
    pub dated: u64,
    /// Fields whose deadline is open until a contract ends.
    pub open: u64,
    /// The nearest deadline in the future.
    pub next: Option<Deadline>,
}

/// The content of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableContent {
    /// The number of records.
    pub records: u64,
    /// The number of cells.
    pub cells: u64,
    /// The number of records that the cells represent.
    pub in_cells: u64,
    /// The number of segments.
    pub segments: u64,
    /// The size of the segments in bytes.
    pub bytes: u64,
}

impl StoredData {
    /// Returns the number of records in all tables.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.tables.values().map(|rows| rows.records).sum()
    }
}

/// Counts the data that is left at `now`.
pub(super) fn left<'t>(
    tables: impl Iterator<Item = &'t SegmentedTable>,
    now: DateTime<Utc>,
) -> StoredData {
    let mut left = StoredData::default();
    for table in tables {
        let rows = left.tables.entry(table.spec().product.clone()).or_default();
        for segment in table.segments().iter() {
            (rows.segments, rows.bytes) = (rows.segments + 1, rows.bytes + segment.size);
            if segment.cells {
                (rows.cells, rows.in_cells) =
                    (rows.cells + segment.rows, rows.in_cells + segment.records);
                continue;
            }
            rows.records += segment.records;
            for (category, deadline) in segment.deadlines.iter() {
                let fields = left.fields.entry(category.clone()).or_default();
                fields.dated += segment.records;
                if !deadline.is_due(now) {
                    fields.next = Some(fields.next.map_or(*deadline, |next| next.min(*deadline)));
                }
            }
            for category in open(table.profile_text(&segment.profile).unwrap_or_default()) {
                left.fields.entry(category).or_default().open += segment.records;
            }
        }
    }
    left
}

/// Returns the categories of a profile that have no deadline until a contract ends.
fn open(profile: &str) -> impl Iterator<Item = Category> {
    let terms = profile
        .split(';')
        .filter(|term| term.ends_with(" contract_end"));
    terms.filter_map(|term| Category::new(term.split_once('=')?.0).ok())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use ebbtide_table::Table;
    use ebbtide_table::testing::{batch, noon, rewrite, root, spec};

    #[test]
    fn a_profile_names_the_categories_that_wait_for_a_contract_to_end() {
        let open = |text| {
            open(text)
                .map(|category| category.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            open("content=0 days at_most contract_end;name=90 days at_most event"),
            ["content"]
        );
        assert!(open("").is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn dropped_fields_are_no_longer_counted() {
        let (_folder, root) = root();
        let mut table = Table::open(&root, spec()).await.unwrap();
        let work = batch(&table, 0, None, 100).await;
        table.commit(work).await.unwrap();
        let mut table = SegmentedTable::load(table).await.unwrap();
        let (content, phone) = ("content".parse().unwrap(), "phone_number".parse().unwrap());
        let before = left([&table].into_iter(), noon());
        assert_eq!(
            (
                before.records(),
                before.fields[&content].dated,
                before.fields[&phone].dated
            ),
            (100, 100, 100)
        );
        assert!(before.fields[&content].next < before.fields[&phone].next);
        let old: Vec<_> = table.segments().iter().cloned().collect();
        let spliced = table
            .splice(&old, &BTreeSet::from([content.clone()]))
            .await
            .unwrap();
        let done = rewrite(table.segments(), old, spliced.segments);
        table.commit_rewrite(done).await.unwrap();
        let after = left([&table].into_iter(), noon());
        assert_eq!(
            (
                after.records(),
                after.fields.get(&content),
                after.fields[&phone].dated
            ),
            (100, None, 100)
        );
    }
}
