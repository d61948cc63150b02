//! The content of a table: version, records, segments, bytes, the deadlines ahead, and the next
//! offset of each partition.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use serde::Serialize;

use super::{TableView, ViewError};
use ebbtide_base::ids::{Category, Deadline, Offset, ProductKey, TopicPartition};
use ebbtide_policy::{expires_category, expires_column};
use ebbtide_table::log::partition_of;
use ebbtide_table::root::Root;

/// A table at one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableOverview {
    /// The product.
    pub product: ProductKey,
    /// The table's version.
    pub version: u64,
    /// The number of records.
    pub records: u64,
    /// The number of files.
    pub segments: u64,
    /// The size of the files in bytes.
    pub bytes: u64,
    /// The version of its controls.
    pub controls: i64,
    /// The deadlines ahead, by category.
    pub deadlines: Vec<DeadlineForecast>,
    /// The next offset to read in each partition.
    pub partitions: Vec<NextOffset>,
}

/// The numbers of records of a category by the time until their deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadlineForecast {
    /// The category.
    pub category: Category,
    /// The nearest deadline.
    pub next: Option<Deadline>,
    /// Records whose deadline has come.
    pub due: u64,
    /// Records due within a day.
    pub within_a_day: u64,
    /// Records due after that, within a week.
    pub within_a_week: u64,
    /// Records due after that, within 30 days.
    pub within_a_month: u64,
    /// Records due later.
    pub later: u64,
    /// Records without a deadline: open, or already without the category.
    pub open: u64,
}

/// The next offset to read in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NextOffset {
    /// The partition.
    #[serde(flatten)]
    pub partition: TopicPartition,
    /// The next offset.
    pub next: Offset,
}

/// Returns the content of a product's table at `now`. Errors if there is no table.
pub async fn show(
    root: &Root,
    product: &ProductKey,
    now: DateTime<Utc>,
) -> Result<TableOverview, ViewError> {
    let view = TableView::open(root, product).await?;
    let mut deadlines: BTreeMap<Category, DeadlineForecast> = BTreeMap::new();
    for column in view.state.columns()? {
        if let Some(category) =
            expires_category(&column).and_then(|category| Category::new(category).ok())
        {
            deadlines.insert(category.clone(), DeadlineForecast::none(category));
        }
    }
    let (mut records, mut segments, mut bytes) = (0, 0, 0);
    let mut files = std::pin::pin!(view.files());
    while let Some(file) = files.try_next().await? {
        let stands_for = file.records().unwrap_or(0);
        (records, segments, bytes) = (records + stands_for, segments + 1, bytes + file.size);
        for (category, ahead) in &mut deadlines {
            ahead.count(
                file.stats.instant(&expires_column(category)),
                stands_for,
                now,
            );
        }
    }
    let next = |(app, version): (&str, i64)| {
        Some(NextOffset {
            partition: partition_of(app)?,
            next: Offset(version),
        })
    };
    let mut partitions: Vec<NextOffset> = view.state.txns().filter_map(next).collect();
    partitions.sort_by(|a, b| a.partition.cmp(&b.partition));
    Ok(TableOverview {
        product: product.clone(),
        version: view.state.version,
        records,
        segments,
        bytes,
        controls: view.state.controls(),
        deadlines: deadlines.into_values().collect(),
        partitions,
    })
}

impl DeadlineForecast {
    fn none(category: Category) -> DeadlineForecast {
        let (due, within_a_day, within_a_week, within_a_month, later, open) = (0, 0, 0, 0, 0, 0);
        DeadlineForecast {
            category,
            next: None,
            due,
            within_a_day,
            within_a_week,
            within_a_month,
            later,
            open,
        }
    }

    fn count(&mut self, deadline: Option<DateTime<Utc>>, rows: u64, now: DateTime<Utc>) {
        let Some(deadline) = deadline else {
            self.open += rows;
            return;
        };
        let ahead = deadline - now;
        let horizon = match ahead {
            ahead if ahead <= TimeDelta::zero() => &mut self.due,
            ahead if ahead <= TimeDelta::days(1) => &mut self.within_a_day,
            ahead if ahead <= TimeDelta::days(7) => &mut self.within_a_week,
            ahead if ahead <= TimeDelta::days(30) => &mut self.within_a_month,
            _ => &mut self.later,
        };
        *horizon += rows;
        let deadline = Deadline(deadline);
        self.next = Some(self.next.map_or(deadline, |next| next.min(deadline)));
    }
}
