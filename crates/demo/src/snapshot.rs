//! A snapshot of the demo's progress: the records that arrive, where they are stored and when they
//! are due. It contains numbers only, no layout. Must never contain data of a record.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ebbtide_base::ids::{Category, Deadline, ProductKey};
use ebbtide_base::metrics::Metrics;
use ebbtide_base::record::Fault;
use ebbtide_query::TableOverview;

/// The time over which rates are calculated.
const WINDOW: Duration = Duration::from_secs(3);

/// The phase of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DemoPhase {
    /// Records arrive.
    Arriving,
    /// No more records arrive. The records that arrived are being committed.
    Finishing,
}

/// The state of the demo at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoSnapshot {
    /// The current phase.
    pub stage: DemoPhase,
    /// The time since the demo started.
    pub elapsed: Duration,
    /// The time during which records arrive.
    pub length: Duration,
    /// The hour of the simulated day, 0 to 24. The whole day is compressed into `length`.
    pub hour: f64,
    /// The products, in the order of the policy.
    pub products: Vec<ProductStatus>,
    /// The number of dead letters by code. Codes without dead letters are left out.
    pub dead: Vec<(&'static str, u64)>,
    /// The categories, the nearest deadline first. Categories without a known deadline come last.
    pub due: Vec<CategoryDeadlines>,
    /// Bytes of decoded, buffered and in-flight data.
    pub buffered: u64,
}

/// The state of one product at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct ProductStatus {
    /// The product.
    pub product: ProductKey,
    /// Records that were sent.
    pub sent: u64,
    /// Records sent per second.
    pub rate: f64,
    /// Records stored.
    pub stored: u64,
    /// Records that were past all their deadlines on arrival.
    pub expired: u64,
    /// Dead letters.
    pub dead: u64,
    /// The product's table; `None` until it was read for the first time.
    pub table: Option<TableStatus>,
}

/// The state of a table at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TableStatus {
    /// The overview of its content.
    pub overview: TableOverview,
    /// The number of buckets.
    pub buckets: usize,
    /// The number of profiles.
    pub profiles: usize,
}

/// The deadlines of a category over all tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryDeadlines {
    /// The category.
    pub category: Category,
    /// The nearest deadline.
    pub next: Option<Deadline>,
    /// Records due within 30 days.
    pub within_a_month: u64,
    /// Records due later.
    pub later: u64,
    /// Records whose deadline is open, or that do not have the category.
    pub open: u64,
}

impl DemoSnapshot {
    /// Returns the sum of a number over all products.
    pub fn sum(&self, of: impl Fn(&ProductStatus) -> u64) -> u64 {
        self.products.iter().map(of).sum()
    }
}

/// The input for a [`DemoSnapshot`].
pub struct DemoSample<'a> {
    /// The current phase.
    pub stage: DemoPhase,
    /// The time since the demo started.
    pub elapsed: Duration,
    /// The number of records sent, by product.
    pub sent: BTreeMap<ProductKey, u64>,
    /// The tables as they were last read.
    pub tables: &'a BTreeMap<ProductKey, TableStatus>,
}

/// Creates boards. Keeps past samples to calculate rates.
#[derive(Debug)]
pub struct SnapshotBuilder {
    length: Duration,
    products: Vec<ProductKey>,
    past: VecDeque<(Duration, BTreeMap<ProductKey, u64>)>,
}

impl SnapshotBuilder {
    /// Creates boards of these products, for a demo of this length.
    #[must_use]
    pub fn new(length: Duration, products: Vec<ProductKey>) -> Self {
        Self {
            length,
            products,
            past: VecDeque::new(),
        }
    }

    /// Returns the board of a moment. `hour` is the hour of the simulated day.
    pub fn board(&mut self, sample: &DemoSample<'_>, hour: f64, metrics: &Metrics) -> DemoSnapshot {
        self.past.push_back((sample.elapsed, sample.sent.clone()));
        while self.past.len() > 2 && self.past[1].0 + WINDOW <= sample.elapsed {
            self.past.pop_front();
        }
        let (since, before) = &self.past[0];
        let seconds = sample.elapsed.saturating_sub(*since).as_secs_f64();
        let line = |product: &ProductKey| {
            let sent = sample.sent.get(product).copied().unwrap_or(0);
            let gained = sent.saturating_sub(before.get(product).copied().unwrap_or(0));
            let count = |outcome| {
                metrics
                    .records
                    .with_label_values(&[product.as_str(), outcome])
                    .get()
            };
            ProductStatus {
                product: product.clone(),
                sent,
                rate: if seconds > 0.0 {
                    gained as f64 / seconds
                } else {
                    0.0
                },
                stored: count("stored"),
                expired: count("expired"),
                dead: count("dead_letter"),
                table: sample.tables.get(product).cloned(),
            }
        };
        DemoSnapshot {
            stage: sample.stage,
            elapsed: sample.elapsed,
            length: self.length,
            hour,
            products: self.products.iter().map(line).collect(),
            dead: dead(metrics, &self.products),
            due: due(sample.tables.values().map(|stored| &stored.overview)),
            buffered: metrics.buffered_bytes.get().try_into().unwrap_or(0),
        }
    }
}

fn dead(metrics: &Metrics, products: &[ProductKey]) -> Vec<(&'static str, u64)> {
    let of = |fault: Fault| {
        let each = |product: &ProductKey| {
            metrics
                .dead_letters
                .with_label_values(&[product.as_str(), fault.code()])
                .get()
        };
        (fault.code(), products.iter().map(each).sum())
    };
    Fault::ALL
        .into_iter()
        .map(of)
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn due<'a>(tables: impl Iterator<Item = &'a TableOverview>) -> Vec<CategoryDeadlines> {
    let mut by_category = BTreeMap::<Category, CategoryDeadlines>::new();
    for ahead in tables.flat_map(|table| &table.deadlines) {
        let category = ahead.category.clone();
        let due = by_category
            .entry(category.clone())
            .or_insert(CategoryDeadlines {
                category,
                next: None,
                within_a_month: 0,
                later: 0,
                open: 0,
            });
        due.next = [due.next, ahead.next].into_iter().flatten().min();
        due.within_a_month +=
            ahead.due + ahead.within_a_day + ahead.within_a_week + ahead.within_a_month;
        due.later += ahead.later;
        due.open += ahead.open;
    }
    let mut all: Vec<CategoryDeadlines> = by_category.into_values().collect();
    // Categories without a deadline come last.
    all.sort_by_key(|due| (due.next.is_none(), due.next, due.category.clone()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_query::DeadlineForecast;

    fn overview(deadlines: Vec<DeadlineForecast>) -> TableOverview {
        let product = ProductKey::new("sms").unwrap();
        let partitions = Vec::new();
        TableOverview {
            product,
            version: 1,
            records: 9,
            segments: 2,
            bytes: 3,
            controls: 0,
            deadlines,
            partitions,
        }
    }

    fn ahead(
        category: &str,
        next: Option<&str>,
        within_a_week: u64,
        open: u64,
    ) -> DeadlineForecast {
        DeadlineForecast {
            category: Category::new(category).unwrap(),
            next: next.map(|text| Deadline(text.parse().unwrap())),
            due: 0,
            within_a_day: 0,
            within_a_week,
            within_a_month: 1,
            later: 5,
            open,
        }
    }

    #[test]
    fn the_nearest_deadline_of_all_tables_comes_first_and_what_is_open_last() {
        let sms = overview(vec![
            ahead("content", Some("2027-05-24T00:00:00Z"), 0, 0),
            ahead("name", None, 0, 4),
            ahead("phone_number", Some("2027-03-01T00:00:00Z"), 2, 0),
        ]);
        let voice = overview(vec![ahead("content", Some("2027-01-01T00:00:00Z"), 3, 0)]);
        let all = due([&sms, &voice].into_iter());
        let names: Vec<_> = all.iter().map(|due| due.category.as_str()).collect();
        assert_eq!(names, ["content", "phone_number", "name"]);
        assert_eq!(
            (all[0].within_a_month, all[0].later, all[2].open),
            (5, 10, 4)
        );
    }

    #[test]
    fn rate_covers_the_last_seconds_and_not_the_whole_run() {
        let sms = ProductKey::new("sms").unwrap();
        let metrics = Metrics::new().unwrap();
        let mut boards = SnapshotBuilder::new(Duration::from_secs(60), vec![sms.clone()]);
        let tables = BTreeMap::new();
        let mut rate = |second: u64, sent: u64| {
            let sent = BTreeMap::from([(sms.clone(), sent)]);
            let sample = DemoSample {
                stage: DemoPhase::Arriving,
                elapsed: Duration::from_secs(second),
                sent,
                tables: &tables,
            };
            boards.board(&sample, 0.0, &metrics).products[0].rate
        };
        assert_eq!(rate(0, 0), 0.0);
        for second in 1..=10 {
            assert_eq!(rate(second, second * 100), 100.0);
        }
        for second in 11..=13 {
            rate(second, 1_000);
        }
        assert_eq!(rate(14, 1_000), 0.0);
    }
}
