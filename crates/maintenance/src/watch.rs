//! The watch: counts overdue, due and held fields from the tables alone, whether a sweep runs or
//! not.
//!
//! A sweep that died is noticed: nothing that a sweep reports about itself makes a field less
//! overdue, except the results of its checks in the review records of segments: which are entirely
//! held (used only if holds in force may cover them), which of earlier policies need no change, and
//! whose tags are true.

pub mod overdue;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use super::product::SweptProduct;
use super::product::holds::SweepHolds;
use super::review::ReviewCache;
use super::triggers::candidate::{StaleRows, TriggerCandidate};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::Category;
use ebbtide_base::metrics::Metrics;
use ebbtide_controls::{InactivePolicy, ParkedState, SharedControls};
use ebbtide_policy::Policy;
use ebbtide_table::{ControlsVersion, RewriteError, StoreError, StoredSegment};
use overdue::{HORIZONS, OverdueCounts, OverdueReport, least_grace, overdue};

/// The time that a process has to check segments that holds may cover, before they count as not
/// held.
const FIRST_LOOK: Duration = Duration::from_secs(10 * 60);

/// The maximum number of segments of a product that one count checks for stale tags. It is small,
/// since the sweep checks each segment too and reports the result.
const LOOKS: usize = 16;

/// The task that counts fields and stale records for the metrics.
pub struct OverdueWatch {
    controls: SharedControls,
    policy: Policy,
    clock: SharedClock,
    metrics: Metrics,
    health: Option<Arc<Health>>,
    products: Vec<WatchedProduct>,
    since: Duration,
}

/// The result of the count of one product.
enum CountOutcome {
    Counted(OverdueReport),
    /// The policy of this instance is not the active one.
    NotActive(InactivePolicy),
}

/// One product as the watch sees it.
struct WatchedProduct {
    product: SweptProduct,
    graces: BTreeMap<Category, TimeDelta>,
}

/// The parts that a watch shares with the other tasks of its process.
pub struct OverdueWatchDeps<'d> {
    /// The active policy.
    pub policy: &'d Policy,
    /// The controls of the root.
    pub controls: SharedControls,
    /// The clock.
    pub clock: SharedClock,
    /// The metrics that it sets.
    pub metrics: Metrics,
    /// The results of checks that it shares with the sweep.
    pub reviews: ReviewCache,
}

impl OverdueWatch {
    /// Creates a watch over products.
    #[must_use]
    pub fn new(products: Vec<SweptProduct>, deps: OverdueWatchDeps<'_>) -> OverdueWatch {
        let OverdueWatchDeps {
            policy,
            controls,
            clock,
            metrics,
            reviews,
        } = deps;
        let watched = |mut product: SweptProduct| {
            product.share_reviews(&reviews);
            let grace = |category: &Category| {
                (
                    category.clone(),
                    least_grace(policy, product.key(), category),
                )
            };
            let graces = product.state.categories.iter().map(grace).collect();
            WatchedProduct { product, graces }
        };
        let products = products.into_iter().map(watched).collect();
        let since = clock.monotonic();
        OverdueWatch {
            controls,
            policy: policy.clone(),
            clock,
            metrics,
            health: None,
            products,
            since,
        }
    }

    /// Makes the instance not ready while its policy is not active, whether or not it has records
    /// to commit.
    #[must_use]
    pub fn with_health(self, health: Arc<Health>) -> OverdueWatch {
        OverdueWatch {
            health: Some(health),
            ..self
        }
    }

    /// Counts once and updates the metrics.
    pub async fn look(&mut self) {
        let mut oldest = TimeDelta::zero();
        for index in 0..self.products.len() {
            match self.count(index).await {
                Ok(CountOutcome::Counted(found)) => {
                    oldest = oldest.max(found.oldest);
                    self.publish(&self.products[index].product, &found);
                }
                Ok(CountOutcome::NotActive(why)) => {
                    self.not_active(&self.products[index].product, &why)
                }
                Err(error) => {
                    let product = self.products[index].product.key();
                    tracing::error!(%product, %error, "what is overdue in the table is not known");
                    self.metrics
                        .sweep_failures
                        .with_label_values(&[product.as_str()])
                        .inc();
                }
            }
        }
        self.metrics
            .oldest_overdue_seconds
            .set(oldest.num_seconds());
        self.count_parked().await;
    }

    /// Counts the notices that wait for a person. If the control log cannot be read, the last count
    /// is kept.
    async fn count_parked(&self) {
        match self.controls.newest(ControlsVersion(0)).await {
            Ok(controls) => {
                let parked = controls.parked(self.clock.now());
                let waiting = parked
                    .iter()
                    .filter(|known| known.state == ParkedState::Waiting)
                    .count();
                self.metrics
                    .parked_notices
                    .set(i64::try_from(waiting).unwrap_or(i64::MAX));
            }
            Err(error) => {
                tracing::error!(%error, "the notices that wait for a decision are not known")
            }
        }
    }

    /// Reports that the policy of this instance is not active. Other instances count what is
    /// overdue under the active one.
    fn not_active(&self, product: &SweptProduct, why: &InactivePolicy) {
        for category in &product.state.categories {
            // An error means that the series does not exist.
            let _ = self
                .metrics
                .overdue_fields
                .remove_label_values(&[product.key().as_str(), category.as_str()]);
        }
        let is_new = self
            .health
            .as_ref()
            .is_some_and(|health| health.trouble(Component::Process, why.to_string()));
        if is_new {
            tracing::error!("nothing is swept any more: {why}");
        }
    }

    async fn count(&mut self, index: usize) -> Result<CountOutcome, StoreError> {
        let (now, running) = (self.clock.now(), self.clock.monotonic());
        let WatchedProduct { product, graces } = &mut self.products[index];
        product.refresh().await?;
        let version = product.table.controls();
        let controls = product.controls(&self.controls).await?;
        if let Err(why) = controls.check_active(&self.policy) {
            return Ok(CountOutcome::NotActive(why));
        }
        let held = SweepHolds::at(controls, now, version);
        product.update_policies(&self.policy);
        let stale = count_stale(product).await?;
        let early = running.saturating_sub(self.since) < FIRST_LOOK;
        let grace = |category: &Category| {
            graces
                .get(category)
                .copied()
                .unwrap_or_else(TimeDelta::zero)
        };
        let view = product.view();
        let times = view.notice_times();
        let known_since =
            |segment: &StoredSegment| times.get(&segment.path).cloned().unwrap_or_default();
        let is_held = |segment: &StoredSegment| {
            product.state.predicate(segment, &held).is_some()
                && (early || view.reviews.is_held(&segment.path))
        };
        let outdated: u64 = view
            .segments()
            .iter()
            .filter(|segment| view.is_outdated(segment))
            .map(|segment| segment.records)
            .sum();
        let seen: Vec<Cow<'_, StoredSegment>> = match outdated {
            0 => Vec::new(),
            _ => view
                .segments()
                .iter()
                .map(|segment| view.as_due(segment))
                .collect(),
        };
        // By the active policy, whatever the tags still say.
        let mut found = match outdated {
            0 => overdue(view.segments().iter(), now, grace, is_held, known_since),
            _ => overdue(
                seen.iter().map(AsRef::as_ref),
                now,
                grace,
                is_held,
                known_since,
            ),
        };
        found.stale = outdated;
        for StaleRows { records, due } in &stale {
            found.stale += records;
            for (category, at) in due {
                found.add_stale(category, *records, (now - at.0) - grace(category));
            }
        }
        Ok(CountOutcome::Counted(found))
    }

    fn publish(&self, product: &SweptProduct, found: &OverdueReport) {
        let none = OverdueCounts::default();
        let key = product.key().as_str();
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for category in &product.state.categories {
            let counts = found.counts.get(category).unwrap_or(&none);
            let labels = [key, category.as_str()];
            self.metrics
                .overdue_fields
                .with_label_values(&labels)
                .set(gauge(counts.overdue));
            self.metrics
                .held_fields
                .with_label_values(&labels)
                .set(gauge(counts.held));
            for (soon, (horizon, _)) in counts.soon.iter().zip(HORIZONS) {
                let labels = [key, category.as_str(), horizon];
                self.metrics
                    .due_fields
                    .with_label_values(&labels)
                    .set(gauge(*soon));
            }
        }
        self.metrics
            .stale_tag_records
            .with_label_values(&[key])
            .set(gauge(found.stale));
        self.metrics
            .unswept_files
            .with_label_values(&[key])
            .set(gauge(product.table.segments().unknown().count() as u64));
    }
}

/// Returns the records whose tags are stale after notices, with their deadlines. Outdated segments
/// are skipped, since they are counted as outdated. Reads at most `LOOKS` segments that are not
/// known yet, starting with the longest due; the next call continues.
async fn count_stale(product: &mut SweptProduct) -> Result<Vec<StaleRows>, StoreError> {
    let newest = product.state.triggers.notices().newest();
    let (mut looks, mut stale) = (0, Vec::new());
    let mut suspects = product.suspected();
    suspects.sort_by_key(TriggerCandidate::first_due);
    for suspect in suspects {
        let segment = &suspect.segment;
        if product.view().is_outdated(segment) {
            continue;
        }
        let known = product
            .state
            .reviews
            .lock()
            .stale(&segment.path, newest)
            .map(<[StaleRows]>::to_vec);
        if let Some(rows) = known {
            stale.extend(rows);
            continue;
        }
        if looks >= LOOKS {
            continue;
        }
        looks += 1;
        match product.stale_rows(&suspect).await {
            Ok(rows) if rows.is_empty() => {}
            Ok(rows) => {
                let path = Arc::clone(&segment.path);
                let mut reviews = product.state.reviews.lock();
                reviews.record_stale(path, newest, rows.clone());
                stale.extend(rows);
            }
            // It was rewritten meanwhile.
            Err(RewriteError::SegmentDeleted { .. }) => {}
            Err(RewriteError::Store(error)) => return Err(error),
            // It cannot be read: the notices may apply to all of its records.
            Err(_) => stale.push(StaleRows {
                records: segment.records,
                due: suspect.due.clone(),
            }),
        }
    }
    Ok(stale)
}

/// Counts at intervals of `every`, until dropped.
pub async fn run(mut watch: OverdueWatch, every: Duration) {
    loop {
        watch.look().await;
        tokio::time::sleep(every).await;
    }
}
