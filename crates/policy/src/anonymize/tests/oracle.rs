//! The expected cells, calculated with every subject and every weight, without a limit on memory.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{CellKey, PublishedRow, TestRecord};

/// Records of one cell.
#[derive(Default)]
struct Cell<'a>(Vec<&'a TestRecord>);

impl<'a> Cell<'a> {
    fn subjects(&self) -> BTreeSet<&'a str> {
        self.0.iter().filter_map(|record| person(record)).collect()
    }

    /// Returns true if one person may have more than half of the sum of `weight`, given that
    /// unnamed people are that person.
    fn is_dominated(&self, weight: impl Fn(&TestRecord) -> f64) -> bool {
        let mut people: BTreeMap<Option<&str>, f64> = BTreeMap::new();
        for record in &self.0 {
            *people.entry(person(record)).or_default() += weight(record).abs();
        }
        let whole: f64 = people.values().sum();
        let unknown = people.remove(&None).unwrap_or(0.0);
        let heaviest = people.into_values().fold(0.0, f64::max);
        unknown * 4.0 > whole || (heaviest + unknown) * 2.0 > whole
    }

    fn row(&self, key: CellKey) -> PublishedRow {
        let is_not_dominated = |weight: fn(&TestRecord) -> Option<f64>| {
            let any = self.0.iter().any(|record| weight(record).is_some());
            any && !self.is_dominated(|record| weight(record).unwrap_or(0.0))
        };
        let segments: i64 = self
            .0
            .iter()
            .filter_map(|record| record.segments)
            .map(i64::from)
            .sum();
        let price: i128 = self.0.iter().filter_map(|record| record.price).sum();
        let score: f64 = self.0.iter().filter_map(|record| record.score).sum();
        PublishedRow {
            key,
            segments: i32::try_from(segments)
                .ok()
                .filter(|_| is_not_dominated(|record| record.segments.map(f64::from))),
            price: Some(price).filter(|price| {
                *price < 1_000_000_000
                    && is_not_dominated(|record| record.price.map(|price| price as f64))
            }),
            score: Some(score)
                .filter(|score| score.is_finite() && is_not_dominated(|record| record.score)),
            records: self.0.len() as i64,
        }
    }
}

/// Returns the person whose record it is.
fn person(record: &TestRecord) -> Option<&str> {
    record
        .recipient
        .as_deref()
        .filter(|recipient| !recipient.is_empty())
}

/// Returns the number of distinct people of each cell in the records.
pub fn people(records: &[TestRecord]) -> BTreeMap<CellKey, usize> {
    by_key(records)
        .into_iter()
        .map(|(key, cell)| (key, cell.subjects().len()))
        .collect()
}

fn by_key(records: &[TestRecord]) -> BTreeMap<CellKey, Cell<'_>> {
    let mut cells: BTreeMap<CellKey, Cell<'_>> = BTreeMap::new();
    for record in records {
        cells.entry(record.key()).or_default().0.push(record);
    }
    cells
}

/// Returns the rows that must be published, and the number of records that are not published.
pub fn expected(k: usize, records: &[TestRecord]) -> (Vec<PublishedRow>, u64) {
    let mut other = Cell::default();
    let mut rows = Vec::new();
    for (key, cell) in by_key(records) {
        if cell.subjects().len() < k || key == CellKey::default() {
            other.0.extend(cell.0);
        } else {
            rows.push(cell.row(key));
        }
    }
    let suppressed = if other.subjects().len() < k {
        other.0.len() as u64
    } else {
        0
    };
    if other.subjects().len() >= k {
        rows.insert(0, other.row(CellKey::default()));
    }
    (rows, suppressed)
}
