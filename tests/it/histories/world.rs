//! One table, the instances that work on it, and those who give orders: carries out the steps of a
//! history.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::clock::{Clock, ManualClock};
use ebbtide_controls::{
    CommitIdentity, HoldOrder, Notice, NoticeOutcome, Scope, SharedControls, TimeRange, activate,
    notify, place, record_active, release,
};
use ebbtide_maintenance::examine;
use ebbtide_policy::{CheckedPolicy, Policy, SchemaSource, parse};
use ebbtide_query::audit;
use ebbtide_table::Root;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::instance::Instance;
use super::records::{Record, sms};
use super::writer::Stored;

/// A step of a history.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    /// Opens an empty table; `ahead` is the lead of each instance's clock in microseconds.
    Open {
        folder: PathBuf,
        policy: PathBuf,
        now: i64,
        ahead: Vec<i64>,
    },
    /// Instance `by` stores records from that offset of its partition.
    Ingest {
        by: usize,
        records: Vec<Record>,
        offset: i64,
    },
    /// The instances take turns: each turn has an instance and a number of steps. Then all sweep
    /// until nothing is left.
    Sweep { turns: Vec<(usize, usize)> },
    /// The sweeper of an instance ends, or the whole instance.
    Drop { by: usize, whole: bool },
    /// An instance compacts.
    Compact { by: usize },
    /// An instance sweeps by a wall clock that is wrong by `micros`.
    Wall { by: usize, micros: i64 },
    /// A hold is placed.
    Hold(Held),
    /// A hold is released.
    Release { id: String },
    /// A contract ends.
    ContractEnd {
        tenant: String,
        at: i64,
        reason: Option<String>,
    },
    /// Consent is withdrawn.
    Withdraw {
        subject: String,
        tenant: Option<String>,
        at: i64,
    },
    /// A policy replaces the active one.
    Activate { policy: PathBuf },
    /// Time passes.
    Pass { micros: i64 },
    /// The table is audited.
    Audit,
    /// The last history has ended.
    End { histories: u64 },
}

/// The order of a hold.
#[derive(Deserialize)]
pub struct Held {
    until: i64,
    subject: Option<String>,
    tenant: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
}

/// Returns an instant of a history.
pub fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap()
}

struct Beside(PathBuf);

impl SchemaSource for Beside {
    fn load(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.0.join(path)).map_err(|error| error.to_string())
    }
}

fn read(path: &Path) -> Result<CheckedPolicy, String> {
    let text = std::fs::read_to_string(path).unwrap();
    let checked = parse(
        "policy.yaml",
        &text,
        &Beside(path.parent().unwrap().to_owned()),
    );
    if checked.policy.is_some() {
        Ok(checked)
    } else {
        Err(format!("{:?}", checked.problems))
    }
}

/// A table and the instances that work on it.
pub struct World {
    root: Root,
    /// The policy that was activated last, or the first one.
    checked: CheckedPolicy,
    policy: Arc<Policy>,
    clock: Arc<ManualClock>,
    instances: Vec<Instance>,
}

impl World {
    /// Opens an empty root with the policy active, as the first start of an instance leaves it.
    /// Errors with the problems of the policy.
    pub async fn open(
        folder: &Path,
        policy: &Path,
        now: DateTime<Utc>,
        ahead: &[i64],
    ) -> Result<World, String> {
        let checked = read(policy)?;
        let policy = Arc::new(checked.policy.clone().unwrap());
        let root = Root::parse(folder.join("root").to_str().unwrap()).unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let instance = |(number, ahead): (usize, &i64)| {
            let instance = Instance::new(
                (&root, &policy),
                &clock,
                (number, TimeDelta::microseconds(*ahead)),
            );
            if number == 0 && *ahead == 0 {
                instance.alone()
            } else {
                instance
            }
        };
        let instances = ahead.iter().enumerate().map(instance).collect();
        let by = CommitIdentity {
            writer: Uuid::nil(),
            at: now,
            policy_version: policy.version.clone(),
        };
        let loaded = checked.clone().loaded().unwrap();
        record_active(&root, &SharedControls::new(root.clone()), &loaded, &by)
            .await
            .unwrap();
        Ok(World {
            root,
            checked,
            policy,
            clock,
            instances,
        })
    }

    /// Carries out a step, and returns its result.
    pub async fn carry_out(&mut self, step: Step) -> Value {
        match step {
            Step::Ingest {
                by,
                records,
                offset,
            } => self.ingest(by, &records, offset).await,
            Step::Sweep { turns } => {
                self.sweep(turns).await;
                json!({})
            }
            Step::Drop { by, whole: true } => {
                let policy = Arc::clone(&self.policy);
                self.instances[by].restart(&policy);
                json!({})
            }
            Step::Drop { by, whole: false } => {
                self.instances[by].forget();
                json!({})
            }
            Step::Compact { by } => self.compact(by).await,
            Step::Wall { by, micros } => {
                let round = self.instances[by]
                    .round_by_wrong_clock(TimeDelta::microseconds(micros))
                    .await;
                json!({ "commits": round.commits })
            }
            Step::Hold(held) => json!({ "id": self.hold(held).await }),
            Step::Release { id } => {
                release(&self.root, &id.parse().unwrap(), &self.signature())
                    .await
                    .unwrap();
                json!({})
            }
            Step::ContractEnd { tenant, at, reason } => {
                let ended_at = instant(at);
                self.notify(Notice::ContractEnd {
                    tenant,
                    ended_at,
                    reason,
                    products: Vec::new(),
                })
                .await
            }
            Step::Withdraw {
                subject,
                tenant,
                at,
            } => {
                let subject = format!("phone:+{subject}").parse().unwrap();
                let withdrawn_at = instant(at);
                self.notify(Notice::ConsentWithdrawal {
                    subject,
                    tenant,
                    withdrawn_at,
                    products: Vec::new(),
                })
                .await
            }
            Step::Activate { policy } => json!({ "refused": self.activate(&policy).await }),
            Step::Pass { micros } => {
                self.clock
                    .advance(Duration::from_micros(micros.try_into().unwrap()));
                json!({})
            }
            Step::Audit => json!({ "broken": self.broken().await }),
            Step::Open { .. } | Step::End { .. } => unreachable!("not a step of a table"),
        }
    }

    fn signature(&self) -> CommitIdentity {
        CommitIdentity {
            writer: Uuid::nil(),
            at: self.clock.now(),
            policy_version: self.policy.version.clone(),
        }
    }

    async fn ingest(&mut self, by: usize, records: &[Record], offset: i64) -> Value {
        let current = self.instances[by].is_of(&self.policy);
        match self.instances[by].ingest(records, offset).await {
            Stored::Yes(expired) => {
                assert!(current, "it stored under a policy that is not active");
                json!({ "expired": expired })
            }
            Stored::PolicyMoved => {
                assert!(!current, "it was refused under the active policy");
                let policy = Arc::clone(&self.policy);
                self.instances[by].restart(&policy);
                json!({ "refused": true })
            }
        }
    }

    /// Runs one round of an instance; returns true if it had anything to do. An instance of an
    /// earlier policy does nothing and is restarted with the active one.
    async fn round(&mut self, by: usize, steps: usize) -> bool {
        let round = self.instances[by].round(steps).await;
        if !self.instances[by].is_of(&self.policy) {
            assert_eq!(
                (round.commits, round.failed),
                (0, 1),
                "it swept under a policy that is not active"
            );
            let policy = Arc::clone(&self.policy);
            self.instances[by].restart(&policy);
            return true;
        }
        assert_eq!((round.failed, round.clock), (0, None));
        round.works > 0 || round.stale > 0
    }

    /// Sweeps in turns, and then until nothing is due for any instance.
    async fn sweep(&mut self, turns: Vec<(usize, usize)>) {
        for (by, steps) in turns {
            self.round(by, steps).await;
        }
        let mut idle = 0;
        for by in (0..self.instances.len()).cycle() {
            idle = if self.round(by, usize::MAX).await {
                0
            } else {
                idle + 1
            };
            if idle > self.instances.len() {
                return;
            }
        }
    }

    async fn compact(&mut self, by: usize) -> Value {
        let did = self.instances[by].compact().await;
        if self.instances[by].is_of(&self.policy) {
            assert_eq!((did.failed, did.lost, did.clock), (0, 0, None));
        } else {
            assert_eq!(
                did.merges, 0,
                "it compacted under a policy that is not active"
            );
        }
        json!({ "merges": did.merges })
    }

    async fn hold(&self, held: Held) -> String {
        let range = TimeRange {
            from: held.from.map(instant),
            to: held.to.map(instant),
        };
        let scope = Scope {
            subject: held
                .subject
                .map(|number| format!("phone:+{number}").parse().unwrap()),
            tenant: held.tenant,
            products: Vec::new(),
            events: held.from.map(|_| range),
        };
        let (case, basis) = ("case".to_owned(), "order".to_owned());
        let order = HoldOrder {
            case,
            basis,
            until: instant(held.until),
            placed_by: None,
            scope,
        };
        place(&self.root, order, &self.signature())
            .await
            .unwrap()
            .id
            .to_string()
    }

    async fn notify(&self, notice: Notice) -> Value {
        let mut outcomes = notify(&self.root, &self.policy, vec![notice], &self.signature())
            .await
            .unwrap();
        json!({ "noted": match outcomes.remove(0) {
            NoticeOutcome::Taken { known: false, .. } => "taken",
            NoticeOutcome::Taken { known: true, .. } => "known",
            NoticeOutcome::Refused(_) => "refused",
        }})
    }

    /// Activates a policy as the command does; otherwise returns the reasons why not.
    async fn activate(&mut self, path: &Path) -> Vec<String> {
        let new = match read(path) {
            Ok(new) => new,
            Err(wrong) => return vec![wrong],
        };
        let policy = Arc::new(new.policy.clone().unwrap());
        let diff = match examine(&self.root, &self.policy, &policy).await {
            Ok(diff) => diff,
            Err(error) => return vec![error.to_string()],
        };
        if !diff.refused.is_empty() {
            return diff
                .refused
                .iter()
                .map(|refused| refused.what.clone())
                .collect();
        }
        let by = CommitIdentity {
            policy_version: policy.version.clone(),
            ..self.signature()
        };
        activate(&self.root, &self.checked, &new, &by)
            .await
            .unwrap();
        (self.checked, self.policy) = (new, policy);
        Vec::new()
    }

    /// Returns what the audit of the table finds broken.
    async fn broken(&self) -> Vec<String> {
        let found = audit(&self.root, &sms()).await.unwrap();
        found
            .broken
            .iter()
            .map(|broken| format!("{broken:?}"))
            .collect()
    }
}
