//! The watch: counts what is overdue, due soon and held, from the tables alone, whether a sweep runs or not.
//!
//! Promises that a sweep that died shows: nothing that a sweep says of itself makes a field less overdue, but for which
//! segments are held whole, and that alone where holds in force may cover them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use super::overdue::{Counts, HORIZONS, Overdue, least_grace, overdue};
use super::product::{HeldBy, OpenProductError, Product};
use crate::clock::SharedClock;
use crate::ids::{Category, ProductKey};
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::store::{Root, StoreError, StoredSegment};

/// How long a process may take to look into segments that holds may cover, before they count as not held.
const FIRST_LOOK: Duration = Duration::from_secs(10 * 60);

/// Where a sweep tells which segments are held whole, and which of earlier policies need nothing.
#[derive(Debug, Clone, Default)]
pub struct HeldBoard(Arc<Mutex<BTreeMap<ProductKey, Known>>>);

/// What a sweep knows of a product's segments, by path.
#[derive(Debug, Default)]
struct Known {
    held: BTreeSet<Arc<str>>,
    settled: BTreeSet<Arc<str>>,
}

impl HeldBoard {
    /// Tells the segments of a product that are held whole, and those of earlier policies that were looked into and need
    /// nothing, in place of what was told before.
    pub fn tell(&self, product: &ProductKey, held: BTreeSet<Arc<str>>, settled: BTreeSet<Arc<str>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(product.clone(), Known { held, settled });
    }

    fn is_settled(&self, product: &ProductKey, path: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(product).is_some_and(|known| known.settled.contains(path))
    }

    fn has(&self, product: &ProductKey, path: &str) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(product)
            .is_some_and(|known| known.held.contains(path))
    }
}

/// Counts for the metrics.
pub struct Watch {
    root: Root,
    policy: Policy,
    clock: SharedClock,
    metrics: Metrics,
    board: HeldBoard,
    products: Vec<(Product, BTreeMap<Category, TimeDelta>)>,
    since: Duration,
}

impl Watch {
    /// Opens the tables of all products.
    pub async fn open(
        root: &Root,
        policy: &Policy,
        clock: SharedClock,
        metrics: Metrics,
        board: HeldBoard,
    ) -> Result<Watch, OpenProductError> {
        let mut products = Vec::new();
        for key in policy.products.keys() {
            if let Some(product) = Product::open(root, policy, key).await? {
                let graces = product.categories.iter();
                let graces = graces.map(|category| (category.clone(), least_grace(policy, key, category))).collect();
                products.push((product, graces));
            }
        }
        let since = clock.monotonic();
        Ok(Watch { root: root.clone(), policy: policy.clone(), clock, metrics, board, products, since })
    }

    /// Counts once, and tells the metrics.
    pub async fn look(&mut self) {
        let mut oldest = TimeDelta::zero();
        for index in 0..self.products.len() {
            match self.count(index).await {
                Ok(found) => {
                    oldest = oldest.max(found.oldest);
                    let (product, _) = &self.products[index];
                    self.tell(product, &found);
                }
                Err(error) => {
                    let product = &self.products[index].0.key;
                    tracing::error!(%product, %error, "what is overdue in the table is not known");
                    self.metrics.sweep_failures.with_label_values(&[product.as_str()]).inc();
                }
            }
        }
        self.metrics.oldest_overdue_seconds.set(oldest.num_seconds());
    }

    async fn count(&mut self, index: usize) -> Result<Overdue, StoreError> {
        let (now, running) = (self.clock.now(), self.clock.monotonic());
        let (product, graces) = &mut self.products[index];
        product.refresh().await?;
        let controls = product.controls(&self.root).await?;
        // What is overdue by a policy that is no longer active is for others to say.
        if controls.check_active(&self.policy).is_err() {
            return Ok(Overdue::default());
        }
        product.note_policies(&controls, &self.policy);
        let held = HeldBy::at(&controls, now, product.table.controls());
        let early = running.saturating_sub(self.since) < FIRST_LOOK;
        let grace = |category: &Category| graces.get(category).copied().unwrap_or_else(TimeDelta::zero);
        let (product, board) = (&*product, &self.board);
        let is_held = |segment: &StoredSegment| {
            product.predicate(segment, &held).is_some() && (early || board.has(&product.key, &segment.path))
        };
        let is_stale =
            |segment: &&StoredSegment| product.is_outdated(segment) && !board.is_settled(&product.key, &segment.path);
        let stale: u64 = product.index.iter().filter(is_stale).map(|segment| segment.records).sum();
        let gauge = self.metrics.stale_tag_records.with_label_values(&[product.key.as_str()]);
        gauge.set(i64::try_from(stale).unwrap_or(i64::MAX));
        let seen: Vec<Cow<'_, StoredSegment>> = match stale {
            0 => Vec::new(),
            _ => product.index.iter().map(|segment| product.as_due(segment)).collect(),
        };
        // By what the active policy says, whatever the tags still say.
        Ok(match stale {
            0 => overdue(product.index.iter(), now, grace, is_held),
            _ => overdue(seen.iter().map(AsRef::as_ref), now, grace, is_held),
        })
    }

    fn tell(&self, product: &Product, found: &Overdue) {
        let none = Counts::default();
        let key = product.key.as_str();
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for category in &product.categories {
            let counts = found.counts.get(category).unwrap_or(&none);
            let labels = [key, category.as_str()];
            self.metrics.overdue_fields.with_label_values(&labels).set(gauge(counts.overdue));
            self.metrics.held_fields.with_label_values(&labels).set(gauge(counts.held));
            for (soon, (horizon, _)) in counts.soon.iter().zip(HORIZONS) {
                let labels = [key, category.as_str(), horizon];
                self.metrics.due_fields.with_label_values(&labels).set(gauge(*soon));
            }
        }
        self.metrics.unswept_files.with_label_values(&[key]).set(gauge(product.index.unknown().count() as u64));
    }
}

/// Counts `every` so often, until dropped.
pub async fn run(mut watch: Watch, every: Duration) {
    loop {
        watch.look().await;
        tokio::time::sleep(every).await;
    }
}
