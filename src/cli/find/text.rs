//! Found records as text for people: one after the other, each field under its category with its
//! deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use serde_json::Value;

use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_services::find::values;
use ebbtide_services::record_search::HELD_BY;
use ebbtide_table::{ColumnRole, TableSpec};

pub(super) struct TextOutput<'w> {
    pub(super) to: &'w mut dyn Write,
    /// The columns of each product.
    specs: BTreeMap<ProductKey, TableSpec>,
    /// The time of the answer. Fields whose deadline has passed by then are withheld, unless held.
    now: DateTime<Utc>,
    records: u64,
}

impl<'w> TextOutput<'w> {
    /// Creates the output. `now` is the time of the answer.
    pub(super) fn new(
        to: &'w mut dyn Write,
        specs: BTreeMap<ProductKey, TableSpec>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            to,
            specs,
            now,
            records: 0,
        }
    }

    pub(super) fn rows(&mut self, product: &ProductKey, rows: &RecordBatch) -> io::Result<()> {
        let Some(spec) = self.specs.get(product) else {
            return Ok(());
        };
        for row in 0..rows.num_rows() {
            if self.records > 0 {
                line(self.to, "")?;
            }
            self.records += 1;
            record(self.to, spec, rows, row, self.now)?;
        }
        Ok(())
    }
}

fn record(
    to: &mut dyn Write,
    spec: &TableSpec,
    rows: &RecordBatch,
    row: usize,
    now: DateTime<Utc>,
) -> io::Result<()> {
    let text = |column: &str| {
        Some(values::text(&values::of(rows, column, row))).filter(|text| !text.is_empty())
    };
    let mut head = format!("{}, {}", spec.product, text("bucket").unwrap_or_default());
    if let (Some(topic), Some(partition), Some(offset)) = (
        text("source_topic"),
        text("source_partition"),
        text("source_offset"),
    ) {
        head += &format!(", {topic}/{partition} at offset {offset}");
    }
    line(to, &head)?;
    for (what, column) in [
        ("jurisdiction", "jurisdiction"),
        ("taken in at", "ingested_at"),
        ("policy", "policy_version"),
        ("held by", HELD_BY),
    ] {
        if let Some(value) = text(column) {
            line(to, &format!("  {what:<14}{value}"))?;
        }
    }
    let fields = |role: &ColumnRole| -> Vec<(&str, Value)> {
        let of_role = spec.columns.iter().filter(|column| column.role == *role);
        let each =
            of_role.map(|column| (column.name.as_str(), values::of(rows, &column.name, row)));
        each.filter(|(_, value)| !value.is_null()).collect()
    };
    write_fields(to, &fields(&ColumnRole::Plain), "  ")?;
    let categories: BTreeSet<&Category> = spec
        .columns
        .iter()
        .filter_map(|column| category(&column.role))
        .collect();
    for category in categories {
        let fields = fields(&ColumnRole::Personal(category.clone()));
        let until = text(&format!("expires_{category}"));
        let passed = until
            .as_deref()
            .and_then(|until| DateTime::parse_from_rfc3339(until).ok())
            .is_some_and(|at| at <= now);
        let state = match &until {
            Some(until) if fields.is_empty() && passed => format!("withheld, due since {until}"),
            Some(until) if fields.is_empty() => format!("none, until {until}"),
            Some(until) if passed => format!("held, due since {until}"),
            Some(until) => format!("until {until}"),
            None if fields.is_empty() => continue,
            None => "without a deadline yet".to_owned(),
        };
        line(to, &format!("  {category}: {state}"))?;
        write_fields(to, &fields, "    ")?;
    }
    Ok(())
}

fn category(role: &ColumnRole) -> Option<&Category> {
    match role {
        ColumnRole::Personal(category) => Some(category),
        ColumnRole::Plain | ColumnRole::Tag => None,
    }
}

fn write_fields(to: &mut dyn Write, fields: &[(&str, Value)], indent: &str) -> io::Result<()> {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in fields {
        // A text that a stranger wrote must not move the cursor of the reader.
        let value: String = values::text(value).chars().flat_map(shown).collect();
        line(to, &format!("{indent}{name:<width$}  {value}"))?;
    }
    Ok(())
}

fn shown(c: char) -> Vec<char> {
    match c.is_control() {
        true => c.escape_default().collect(),
        false => vec![c],
    }
}

/// Writes a text, followed by a line break.
fn line(to: &mut dyn Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.write_all(b"\n")
}
