//! The months after the traffic: the demo's clock moves through two years, and the sweeper, the
//! watch and the janitor do their work as in an instance.
//!
//! Time stops whenever something is due, until it is deleted and its files are unlinked. So in the
//! demo's time too, all deletion happens within the policy's grace period. The clock must not be
//! shared with other parts of the program.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::stored_data::{StoredData, left};
use ebbtide_base::clock::{Clock, ManualClock, SharedClock};
use ebbtide_base::ids::{Deadline, ProductKey};
use ebbtide_base::metrics::Metrics;
use ebbtide_controls::{
    CommitIdentity, HoldId, HoldOrder, PlaceHoldError, ReleaseHoldError, Scope, SharedControls,
    place, release,
};
use ebbtide_maintenance::{
    OpenProductError, OverdueWatch, OverdueWatchDeps, PlanBounds, ReviewCache, SweepReport,
    SweepSettings, Sweeper, SweeperDeps, SweptProduct, WorkShare,
};
use ebbtide_policy::Policy;
use ebbtide_table::{
    MaintenanceSettings, OpenError, Predicate, RewriteError, Root, SegmentedTable, StoreError,
    Table,
};

/// Deadlines within this time of each other are handled in one stop. It is half of the shortest
/// grace period, so that there is time left to unlink.
const TOGETHER: TimeDelta = TimeDelta::hours(12);
/// The time for which a replaced file is kept for readers.
const READERS_GRACE: TimeDelta = TimeDelta::hours(1);
/// The maximum number of sweep rounds in one stop. One round does everything that is due, except
/// what fails.
const ROUNDS: usize = 100;

/// The reason why the months cannot pass.
#[derive(Debug, thiserror::Error)]
pub enum SimulateMonthsError {
    /// A table cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A table cannot be swept.
    #[error(transparent)]
    Sweep(#[from] OpenProductError),
    /// A table cannot be read or maintained.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment cannot be read.
    #[error(transparent)]
    Segment(#[from] RewriteError),
    /// The hold was not placed.
    #[error(transparent)]
    Place(#[from] PlaceHoldError),
    /// The hold was not released.
    #[error(transparent)]
    Release(#[from] ReleaseHoldError),
    /// The planted number is not valid. A test would have found that.
    #[error("the planted number is not a telephone number")]
    Subject,
}

/// The tables, with the workers that process them while time passes.
pub struct MonthsSimulation {
    root: Root,
    policy: Arc<Policy>,
    clock: Arc<ManualClock>,
    sweeper: Sweeper,
    watch: OverdueWatch,
    tables: Vec<ReadTable>,
    upkeep: MaintenanceSettings,
    metrics: Metrics,
}

/// A table and its state when it was last read.
struct ReadTable {
    table: SegmentedTable,
    /// The version of the table at the last run of the janitor.
    tidy: u64,
}

impl MonthsSimulation {
    /// Opens all tables at the time `now`.
    pub async fn open(
        root: &Root,
        policy: &Arc<Policy>,
        now: DateTime<Utc>,
        metrics: Metrics,
    ) -> Result<MonthsSimulation, SimulateMonthsError> {
        let clock = Arc::new(ManualClock::at(now));
        let shared: SharedClock = Arc::clone(&clock) as SharedClock;
        let reviews = ReviewCache::default();
        let (products, controls) = (
            SweptProduct::open(root, policy, None).await?,
            SharedControls::new(root.clone()),
        );
        let deps = OverdueWatchDeps {
            policy,
            controls: controls.clone(),
            clock: Arc::clone(&shared),
            metrics: metrics.clone(),
            reviews: reviews.clone(),
        };
        let watch = OverdueWatch::new(products.clone(), deps);
        let mut tables = Vec::new();
        for product in &products {
            tables.push(ReadTable {
                table: product.table.clone(),
                tidy: 0,
            });
        }
        let settings = SweepSettings {
            bounds: PlanBounds {
                works: 256,
                ..PlanBounds::default()
            },
            memory: 64 << 20,
            clock_tolerance: Duration::from_secs(300),
            clock_settle: Duration::from_secs(600),
        };
        let (policy, root) = (Arc::clone(policy), root.clone());
        let parts = SweeperDeps {
            root: root.clone(),
            policy: Arc::clone(&policy),
            clock: shared,
            metrics: metrics.clone(),
            settings,
            share: WorkShare::All,
            reviews,
        };
        let sweeper = Sweeper::of(products, controls, parts);
        // Files and log entries carry the real time, and this clock is far ahead of it. So they
        // must not expire by age.
        let never = TimeDelta::MAX;
        let upkeep = MaintenanceSettings {
            keep_log: never,
            keep_orphans: never,
            readers_grace: READERS_GRACE,
            ..MaintenanceSettings::default()
        };
        Ok(MonthsSimulation {
            root,
            policy,
            clock,
            sweeper,
            watch,
            tables,
            upkeep,
            metrics,
        })
    }

    /// Returns the current time of the demo's clock.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Advances to `until`, or to the next deadlines if they are earlier, and does the work that is
    /// due there. Returns that work.
    pub async fn go_on(
        &mut self,
        until: DateTime<Utc>,
    ) -> Result<SweepReport, SimulateMonthsError> {
        let now = self.clock.now();
        match self.next_deadline(now).filter(|next| next.0 <= until) {
            None => {
                self.wait_until(until);
                Ok(SweepReport::default())
            }
            Some(next) => {
                self.wait_until((next.0 + TOGETHER).min(until.max(next.0)));
                self.work().await
            }
        }
    }

    /// Does the work that is due, lets the readers' grace period pass and unlinks the replaced
    /// files. Returns that work.
    pub async fn work(&mut self) -> Result<SweepReport, SimulateMonthsError> {
        let mut all = SweepReport::default();
        for _ in 0..ROUNDS {
            let round = self.sweeper.round(None, usize::MAX).await;
            all.add(&round);
            if round.works == 0 && round.stale == 0 {
                break;
            }
        }
        self.wait_until(self.clock.now() + READERS_GRACE + TimeDelta::minutes(1));
        let now = self.clock.now();
        for looked in &mut self.tables {
            looked.table.refresh().await?;
            if looked.table.version() > looked.tidy {
                let mut table = Table::clone(&looked.table);
                let done = table.maintain(now, &self.upkeep).await?;
                looked.tidy = looked.table.version();
                let product = [looked.table.spec().product.as_str()];
                self.metrics
                    .unlinked
                    .with_label_values(&product)
                    .inc_by(done.deleted.replaced.len() as u64);
            }
        }
        self.look().await;
        Ok(all)
    }

    /// Lets the watch count the overdue and held fields.
    pub async fn look(&mut self) {
        self.watch.look().await;
    }

    /// Returns the data that is left in the tables, as they were last read.
    #[must_use]
    pub fn left(&self) -> StoredData {
        let tables = self.tables.iter().map(|looked| &looked.table);
        left(tables, self.clock.now())
    }

    /// Places a hold on everything about a number for three years. Returns the id of the hold.
    pub async fn hold(&mut self, number: &str) -> Result<HoldId, SimulateMonthsError> {
        let subject = format!("phone:+{number}")
            .parse()
            .map_err(|_| SimulateMonthsError::Subject)?;
        let order = HoldOrder {
            case: "demo-1".to_owned(),
            basis: "an order that the demo made up".to_owned(),
            until: self.clock.now() + TimeDelta::days(3 * 365),
            placed_by: None,
            scope: Scope {
                subject: Some(subject),
                ..Scope::default()
            },
        };
        Ok(place(&self.root, order, &self.signature()).await?.id)
    }

    /// Releases the hold. Data that became due during the hold is overdue from now until the next
    /// call of [`MonthsSimulation::work`].
    pub async fn release(&mut self, hold: &HoldId) -> Result<(), SimulateMonthsError> {
        release(&self.root, hold, &self.signature()).await?;
        self.look().await;
        Ok(())
    }

    /// Counts the records of a product whose `column` is `value`.
    pub async fn records_with(
        &mut self,
        product: &ProductKey,
        column: &str,
        value: &str,
    ) -> Result<u64, SimulateMonthsError> {
        let predicate = Predicate::Is {
            column: column.to_owned(),
            value: value.to_owned(),
        };
        let mut records = 0;
        for looked in self
            .tables
            .iter_mut()
            .filter(|looked| looked.table.spec().product == *product)
        {
            let table = &mut looked.table;
            table.refresh().await?;
            for segment in table.segments().iter().filter(|segment| !segment.cells) {
                records += table.matches(segment, &predicate).await?;
            }
        }
        Ok(records)
    }

    fn signature(&self) -> CommitIdentity {
        let policy_version = self.policy.version.clone();
        CommitIdentity {
            writer: Uuid::new_v4(),
            at: self.clock.now(),
            policy_version,
        }
    }

    fn wait_until(&self, until: DateTime<Utc>) {
        // The clock never moves back.
        self.clock
            .advance((until - self.clock.now()).to_std().unwrap_or_default());
    }

    fn next_deadline(&self, now: DateTime<Utc>) -> Option<Deadline> {
        let tables = self.tables.iter();
        let segments = tables.flat_map(|looked| looked.table.segments().iter());
        segments
            .flat_map(|segment| segment.deadlines.values())
            .filter(|deadline| !deadline.is_due(now))
            .min()
            .copied()
    }
}
