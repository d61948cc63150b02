//! Holds, contract ends, withdrawals, changes of policy, sweeps, compaction, ingest, the janitor
//! and crashes over a real table, in an order that a seed determines, checked against plain rows.
//!
//! The table is checked after every step between two stops, so that each commit is checked
//! separately. A seed always gives the same order, except for the names of files and holds, which
//! are random.

mod actor;
mod check;
mod draw;
mod model;
mod processes;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::{Builder, Handle};

use self::actor::{Actor, ActorReport, watch_steps};
use self::model::{DeadlineInputs, OrderedHold, RetentionStart, Rules, StoredFields, TableCheck};
use self::processes::{SharedState, SweepState, upkeep};
use crate::testing::{ANONYMIZE, World, read, sms};
use ebbtide_base::clock::Clock;
use ebbtide_base::ids::PolicyVersion;
use ebbtide_table::SegmentedTable;

/// The maximum time for which a process may pause: shorter than the log is kept.
const AWAY: TimeDelta = TimeDelta::days(15);

#[test]
fn no_order_of_events_loses_held_data_or_keeps_free_data() {
    run(0, 500);
}

#[test]
#[ignore = "ten thousand orders take many minutes: `make soak`"]
fn ten_thousand_orders_of_hold_sweep_ingest_and_crash() {
    run(500, 10_000);
}

fn run(from: u64, count: u64) {
    watch_steps();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (next, ended) = (AtomicU64::new(from), AtomicU64::new(0));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= from + count {
            return;
        }
        Interleaving::new(seed, runtime.handle().clone()).run();
        let ended = ended.fetch_add(1, Ordering::Relaxed) + 1;
        if ended.is_multiple_of(500) {
            eprintln!("{ended} of {count} orders from seed {from} on: nothing is wrong");
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
}

/// The kind of work of an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ActorKind {
    Ingest,
    Sweep(usize),
    Other(&'static str),
}

/// The state that an actor leaves: for a sweep, its policy and product.
type Done = Option<Box<SweepState>>;

/// An actor between two steps.
struct Running {
    actor: Actor<Done>,
    kind: ActorKind,
    at: &'static str,
    began: DateTime<Utc>,
    /// The time at which it reached the commit before which it stopped.
    signed: DateTime<Utc>,
}

/// The steps that were taken, printed if the test fails.
struct Trace {
    seed: u64,
    steps: Vec<String>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the order of seed {}:\n  {}",
                self.seed,
                self.steps.join("\n  ")
            );
        }
    }
}

struct Interleaving {
    trace: Trace,
    random: StdRng,
    /// The way in which records end, under every policy.
    end: &'static str,
    first: Rules,
    /// The rules of each later policy.
    policies: BTreeMap<PolicyVersion, Rules>,
    runtime: Handle,
    world: World,
    shared: SharedState,
    orders: Vec<OrderedHold>,
    running: Vec<Running>,
    /// The state that the two sweepers kept from earlier rounds, and since when.
    sweepers: [Option<(Box<SweepState>, DateTime<Utc>)>; 2],
    viewer: SegmentedTable,
    last: TableCheck,
    /// Replaced files, and the times of their replacement.
    replaced: Vec<(String, DateTime<Utc>)>,
    active: BTreeSet<String>,
    /// Files whose modification time was set to the simulated time.
    dated: HashSet<PathBuf>,
    /// The records of each segment. Files do not change.
    read: HashMap<Arc<str>, BTreeMap<i64, StoredFields>>,
}

impl Interleaving {
    fn new(seed: u64, runtime: Handle) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let end = if random.random_bool(0.5) {
            ANONYMIZE
        } else {
            "remove"
        };
        // Syncs cost nothing in memory, and power failures are not tested here.
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let counted = [
            RetentionStart::Event,
            RetentionStart::Contract,
            RetentionStart::Consent,
        ][random.random_range(0..3)];
        // Cells count people by their number, which must then be stored as long as all other data.
        let end = if counted == RetentionStart::Event {
            end
        } else {
            "remove"
        };
        let first = Rules::first(counted);
        let policy = read(&first.text("test-1", end));
        let world = World::of(folder, policy.policy.clone().unwrap());
        let shared = SharedState {
            root: world.root.clone(),
            policies: Arc::new(Mutex::new(vec![Arc::new(policy)])),
            clock: Arc::clone(&world.clock),
            topic: Arc::new(Mutex::new(Vec::new())),
        };
        let viewer =
            runtime.block_on(async { SegmentedTable::load(shared.table().await).await.unwrap() });
        let inputs = vec![DeadlineInputs::nothing(first)];
        let last = TableCheck {
            at: world.clock.now(),
            rows: BTreeMap::new(),
            next: 0,
            held: BTreeSet::new(),
            inputs,
        };
        let trace = Trace {
            seed,
            steps: vec![format!("records end as {end}, {first:?}")],
        };
        Self {
            trace,
            random,
            end,
            first,
            policies: BTreeMap::new(),
            runtime,
            world,
            shared,
            orders: Vec::new(),
            running: Vec::new(),
            sweepers: [None, None],
            viewer,
            last,
            replaced: Vec::new(),
            active: BTreeSet::new(),
            dated: HashSet::new(),
            read: HashMap::new(),
        }
    }

    fn run(mut self) {
        for _ in 0..self.random.random_range(15..35) {
            self.step();
        }
        self.end();
    }

    fn now(&self) -> DateTime<Utc> {
        self.world.clock.now()
    }

    fn step(&mut self) {
        let pick = self.random.random_range(0..100);
        if !self.running.is_empty() && pick < 50 {
            let which = self.random.random_range(0..self.running.len());
            return self.resume(which, pick >= 5);
        }
        if pick >= 88 {
            let time = match self.random.random_range(0..10) {
                0..4 => TimeDelta::minutes(self.random.random_range(1..600)),
                4..8 => TimeDelta::hours(self.random.random_range(10..100)),
                _ => TimeDelta::days(self.random.random_range(4..13)),
            };
            return self.pass(time);
        }
        if self.running.len() < 4 {
            self.begin();
        }
    }

    /// Starts the work of one more process.
    fn begin(&mut self) {
        let shared = self.shared.clone();
        match self.random.random_range(0..100) {
            0..35 => {
                self.produce();
                let most = self.random.random_range(1..12);
                self.start(ActorKind::Ingest, async move {
                    processes::ingest(shared, most).await;
                    None
                });
            }
            35..70 => {
                let which = self.random.random_range(0..2);
                let works = self.random.random_range(1..4);
                if self
                    .running
                    .iter()
                    .all(|running| running.kind != ActorKind::Sweep(which))
                {
                    let known = self.sweepers[which].take().map(|(known, _)| known);
                    self.start(ActorKind::Sweep(which), async move {
                        Some(processes::sweep(shared, known, works).await)
                    });
                }
            }
            70..75 => {
                let notice = self.notice();
                self.start(ActorKind::Other("notice"), async move {
                    processes::send_notice(shared, notice).await;
                    None
                });
            }
            75..79 => {
                let new = self.policy();
                self.start(ActorKind::Other("activation"), async move {
                    processes::take(shared, new).await;
                    None
                });
            }
            79..84 => {
                let order = self.order();
                self.start(ActorKind::Other("hold"), async move {
                    processes::hold(shared, order).await;
                    None
                });
            }
            84..88 => {
                let which = self.random.random_range(0..8);
                self.start(ActorKind::Other("release"), async move {
                    processes::free(shared, which).await;
                    None
                });
            }
            88..94 => {
                let works = self.random.random_range(1..4);
                self.start(ActorKind::Other("compact"), async move {
                    processes::compact(shared, works).await;
                    None
                });
            }
            94..97 => self.start(ActorKind::Other("settle"), async move {
                processes::finish(shared).await;
                None
            }),
            _ => self.keep(),
        }
    }

    /// Starts the janitor. A writer that paused for longer than the janitor waits, after the last
    /// check of its files, dies first.
    fn keep(&mut self) {
        self.date();
        let (old, shared) = (self.now() - upkeep().keep_orphans, self.shared.clone());
        self.bury(|running| running.at == "before-commit" && running.began <= old);
        self.start(ActorKind::Other("janitor"), async move {
            processes::upkeep_pass(shared).await;
            None
        });
        let within = self.now() - upkeep().readers_grace;
        let table = self.world.root.table_folder(&sms());
        for (path, at) in self.replaced.iter().filter(|(_, at)| *at > within) {
            assert!(
                table.join(path).exists(),
                "a file replaced at {at} is gone, and its readers' grace is not over"
            );
        }
        let lost = self.active.iter().find(|path| !table.join(path).exists());
        assert!(lost.is_none(), "the table lists {lost:?}, which is gone");
    }

    fn start(&mut self, kind: ActorKind, work: impl Future<Output = Done> + Send + 'static) {
        self.trace.steps.push(format!("{kind:?} begins"));
        let began = self.now();
        let (actor, said) = Actor::start(&self.runtime, work);
        self.running.push(Running {
            actor,
            kind,
            at: "start",
            began,
            signed: began,
        });
        self.heard(self.running.len() - 1, said);
    }

    /// Lets an actor continue, or die.
    fn resume(&mut self, which: usize, on: bool) {
        let running = &mut self.running[which];
        self.trace.steps.push(format!(
            "{:?} {} at {}",
            running.kind,
            if on { "goes on" } else { "dies" },
            running.at
        ));
        let said = running.actor.go(on);
        self.heard(which, said);
    }

    fn heard(&mut self, which: usize, said: ActorReport<Done>) {
        let now = self.now();
        let running = &mut self.running[which];
        let (began, signed) = (running.began, running.signed);
        match said {
            ActorReport::Stops(step) => {
                if step == "before-commit" && running.at != step {
                    running.signed = now;
                }
                running.at = step;
            }
            ActorReport::Done(known) => {
                if let (ActorKind::Sweep(which), Some(known)) = (running.kind, known) {
                    self.sweepers[which] = Some((known, now));
                }
                self.running.swap_remove(which);
            }
            ActorReport::Died => {
                self.running.swap_remove(which);
            }
            ActorReport::Failed => panic!("{:?} failed at {}", running.kind, running.at),
        }
        self.look(began, signed);
    }

    /// Lets the actors die for which `dead` returns true.
    fn bury(&mut self, dead: impl Fn(&Running) -> bool) {
        while let Some(which) = self.running.iter().position(&dead) {
            self.resume(which, false);
        }
    }

    fn pass(&mut self, time: TimeDelta) {
        self.trace
            .steps
            .push(format!("{} minutes pass", time.num_minutes()));
        self.date();
        self.world.pass(time);
        let old = self.now() - AWAY;
        self.bury(|running| running.began <= old);
        for sweeper in &mut self.sweepers {
            sweeper.take_if(|(_, since)| *since <= old);
        }
        self.look(self.now(), self.now());
    }

    fn let_all_end(&mut self) {
        while !self.running.is_empty() {
            self.resume(0, true);
        }
    }
}
