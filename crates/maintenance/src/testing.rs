//! Test fixtures of this module: a small product over a real table, records of it, and a clock that
//! is moved by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use it"
)]

mod policies;
mod records;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use uuid::Uuid;

use super::{
    OverdueWatch, OverdueWatchDeps, PlanBounds, ReviewCache, SweepReport, SweepSettings, Sweeper,
    SweeperDeps, SweptProduct, WorkShare,
};
use ebbtide_base::clock::{Clock, ManualClock, SharedClock};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::NoticeLimits;
use ebbtide_controls::{
    CommitIdentity, HoldId, HoldOrder, Notice, NoticeOutcome, Scope, Screening, ScreeningOutcome,
    SharedControls, notify, notify_screened, place, release,
};
use ebbtide_policy::Policy;
use ebbtide_query::audit;
use ebbtide_table::{Root, Table, TableSpec};
pub use policies::{
    ANONYMIZE, SCHEMA, policy, policy_text, policy_text_of, read, read_with, with_rules,
};
pub use records::{ReadBatch, SmsRecord, knowing, number, sms, source, texts, written};

/// A table, a policy and a clock.
pub struct World {
    _folder: tempfile::TempDir,
    /// The root of the tables.
    pub root: Root,
    /// The policy.
    pub policy: Arc<Policy>,
    /// The clock.
    pub clock: Arc<ManualClock>,
    /// The metrics.
    pub metrics: Metrics,
    next: Option<i64>,
}

/// Returns the first moment of every world.
pub fn start() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

impl World {
    /// Creates an empty table whose records end as `end` says.
    pub fn new(end: &str) -> World {
        World::of(tempfile::tempdir().unwrap(), policy(end))
    }

    /// Creates the same with another retention period and trigger of content, such as
    /// `keep: 2 days, trigger: contract_end`.
    pub fn triggered(end: &str, content: &str) -> World {
        World::of(
            tempfile::tempdir().unwrap(),
            read(&policy_text_of(end, content)).policy.unwrap(),
        )
    }

    /// Returns the controls, of which nothing is read yet.
    pub fn controls(&self) -> SharedControls {
        SharedControls::new(self.root.clone())
    }

    /// Creates an empty table of that policy, in that folder.
    pub fn of(folder: tempfile::TempDir, policy: Policy) -> World {
        let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
        let policy = Arc::new(policy);
        let clock = Arc::new(ManualClock::at(start()));
        let metrics = Metrics::new().unwrap();
        World {
            _folder: folder,
            root,
            policy,
            clock,
            metrics,
            next: None,
        }
    }

    /// Continues under another policy.
    pub fn adopt(&mut self, policy: Policy) {
        self.policy = Arc::new(policy);
    }

    /// Advances the clock evenly.
    pub fn pass(&self, time: TimeDelta) {
        self.clock.advance(time.to_std().unwrap());
    }

    /// Opens the table.
    pub async fn table(&self) -> Table {
        Table::open(
            &self.root,
            Arc::new(TableSpec::of(&self.policy, &sms()).unwrap()),
        )
        .await
        .unwrap()
    }

    /// Opens the table as a product without any results of checks.
    pub async fn product(&self) -> SweptProduct {
        SweptProduct::open(&self.root, &self.policy, Some(&sms()))
            .await
            .unwrap()
            .remove(0)
    }

    /// Creates a watch over the table; it shares `reviews` with a sweeper.
    pub async fn watch(&self, reviews: ReviewCache) -> OverdueWatch {
        let deps = OverdueWatchDeps {
            policy: &self.policy,
            controls: self.controls(),
            clock: Arc::clone(&self.clock) as SharedClock,
            metrics: self.metrics.clone(),
            reviews,
        };
        OverdueWatch::new(vec![self.product().await], deps)
    }

    /// Stores records as ingest does. Returns the number of records that were past all deadlines.
    pub async fn ingest(&mut self, records: &[SmsRecord]) -> u64 {
        let mut table = self.table().await;
        let read = ReadBatch {
            from: self.next,
            records,
            at: self.clock.now(),
        };
        let tagger = knowing(&self.root, &self.policy, &table).await;
        let batch = written(&table, &self.policy, &tagger, read).await;
        let (expired, next) = (batch.evidence.expired, batch.advances[0].next);
        table.commit(batch).await.unwrap();
        self.next = Some(next.0);
        expired
    }

    /// Creates a sweeper of everything.
    pub async fn sweeper(&self) -> Sweeper {
        self.sweeper_with(ReviewCache::default()).await
    }

    /// Creates a sweeper of everything that shares `reviews` with a watch.
    pub async fn sweeper_with(&self, reviews: ReviewCache) -> Sweeper {
        let parts = SweeperDeps {
            root: self.root.clone(),
            policy: Arc::clone(&self.policy),
            clock: Arc::clone(&self.clock) as SharedClock,
            metrics: self.metrics.clone(),
            settings: SweepSettings {
                bounds: PlanBounds::default(),
                memory: 1 << 20,
                clock_tolerance: Duration::from_secs(300),
                clock_settle: Duration::from_secs(600),
            },
            share: WorkShare::All,
            reviews,
        };
        Sweeper::open(parts, None).await.unwrap()
    }

    /// Sweeps until nothing is due. Returns the sum of the results.
    pub async fn sweep(&self) -> SweepReport {
        let mut sweeper = self.sweeper().await;
        let mut all = SweepReport::default();
        loop {
            let round = sweeper.round(None, usize::MAX).await;
            all.add(&round);
            if round.works == 0 && round.stale == 0 {
                return all;
            }
        }
    }

    /// Returns the signature of a commit that is made now.
    pub fn signature(&self) -> CommitIdentity {
        CommitIdentity {
            writer: Uuid::nil(),
            at: self.clock.now(),
            policy_version: self.policy.version.clone(),
        }
    }

    /// Places a hold on `scope` for a year.
    pub async fn hold(&self, scope: Scope) -> HoldId {
        let until = self.clock.now() + TimeDelta::days(365);
        let order = HoldOrder {
            case: "case".to_owned(),
            basis: "order".to_owned(),
            until,
            placed_by: None,
            scope,
        };
        place(&self.root, order, &self.signature())
            .await
            .unwrap()
            .id
    }

    /// Records a notice.
    pub async fn notify(&self, notice: Notice) -> NoticeOutcome {
        notify(&self.root, &self.policy, vec![notice], &self.signature())
            .await
            .unwrap()
            .remove(0)
    }

    /// Applies notices as a topic does: those that would make too many records due immediately are
    /// parked.
    pub async fn notify_by(
        &self,
        notices: Vec<Notice>,
        limits: NoticeLimits,
    ) -> Vec<ScreeningOutcome> {
        notify_screened(
            &self.root,
            &self.policy,
            notices,
            &self.signature(),
            &Screening::parking(limits),
        )
        .await
        .unwrap()
    }

    /// Records that the contract with a customer ended at that time.
    pub async fn contract_end(&self, tenant: &str, ended_at: DateTime<Utc>) -> NoticeOutcome {
        self.notify(Notice::ContractEnd {
            tenant: tenant.to_owned(),
            ended_at,
            reason: None,
            products: vec![],
        })
        .await
    }

    /// Records that a person withdrew consent at that time.
    pub async fn withdraw(&self, person: u32, withdrawn_at: DateTime<Utc>) -> NoticeOutcome {
        let subject = format!("phone:+{}", number(person)).parse().unwrap();
        self.notify(Notice::ConsentWithdrawal {
            subject,
            tenant: None,
            withdrawn_at,
            products: vec![],
        })
        .await
    }

    /// Releases a hold.
    pub async fn release(&self, id: &HoldId) {
        release(&self.root, id, &self.signature()).await.unwrap();
    }

    /// Returns all rows of the table: recipient, body, customer, status, segments, records.
    pub async fn rows(&self) -> Vec<Vec<Option<String>>> {
        let table = self.table().await;
        let index = ebbtide_table::SegmentIndex::load(&table).await.unwrap();
        let segments: Vec<_> = index.iter().cloned().collect();
        let columns = [
            "recipient",
            "body",
            "customer_id",
            "status",
            "segments",
            "records",
        ];
        let mut rows = table.read_columns(&segments, &columns, None).unwrap();
        let mut all = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.unwrap().rows;
            for row in 0..batch.num_rows() {
                let cell = |column: &ArrayRef| {
                    column
                        .is_valid(row)
                        .then(|| arrow::util::display::array_value_to_string(column, row).unwrap())
                };
                all.push(batch.columns().iter().map(cell).collect());
            }
        }
        all.sort();
        all
    }

    /// Returns true if the table has no segment.
    pub async fn rows_are_none(&self) -> bool {
        ebbtide_table::SegmentIndex::load(&self.table().await)
            .await
            .unwrap()
            .is_empty()
    }

    /// Checks that the counts in the table's evidence add up.
    pub async fn balances(&self) {
        let found = audit(&self.root, &sms()).await.unwrap();
        assert!(found.holds(), "{:?}", found.broken);
    }
}
