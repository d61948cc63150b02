//! Runs the demo from beginning to end: configuration, broker, producers, Ebbtide itself, the
//! display, the months after the traffic, and the audit. The demo ends without user input, and
//! reports records that are not accounted for and data that was not deleted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::broker::Broker;
use super::error::DemoError;
use super::months_run::{MonthsInput, MonthsReport, pass};
use super::producer::{Producers, ProducersDeps, SentRecords, TrafficRate, passed};
use super::screen::Screen;
use super::shipped::{POLICY, SCHEMAS, ShippedSchemas, lay_out, schema_id};
use super::snapshot::{DemoPhase, DemoSample, SnapshotBuilder, TableStatus};
use super::summary::{DemoReport, ProductResult, VALUES};
use super::tables::look;
use super::traffic::{Framing, PlantedPeople, Traffic, TrafficSettings, TrafficSource};
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::Health;
use ebbtide_base::ids::{ProductKey, Topic};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::{Config, ConfigInputs};
use ebbtide_policy::{LoadedPolicy, Policy};
use ebbtide_query::audit;
use ebbtide_services::instance::{Instance, InstanceError};
use ebbtide_table::Root;

/// The interval at which the tables are read.
const LOOK: Duration = Duration::from_secs(2);
/// The maximum time to commit the records that arrived, after the last one has arrived.
const FINISH: Duration = Duration::from_secs(120);

/// More corrupt records than in real traffic, so that a minute shows some of each kind.
const HABITS: TrafficSettings = TrafficSettings {
    flaws_per_million: 1_500,
    late: true,
    spread: TimeDelta::zero(),
};

/// The options that the user can set.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The rate and the duration of the traffic.
    pub pace: TrafficRate,
    /// The duration of the months after the traffic, if the work does not take longer.
    pub months: Duration,
    /// The folder for all files of the demo. It must be empty or not exist.
    pub folder: PathBuf,
    /// The seed of the traffic.
    pub seed: u64,
}

/// Runs the demo. If `stop` becomes true, the demo ends early and in order.
pub async fn run(
    options: DemoOptions,
    clock: SharedClock,
    screen: &mut dyn Screen,
    stop: watch::Receiver<bool>,
) -> Result<DemoReport, DemoError> {
    let LoadedPolicy { policy, text } = shipped_policy()?;
    let broker = Broker::start(topics(&policy))?;
    let config = configuration(&options, broker.servers())?;
    let root = Root::parse(&config.root)?;
    let metrics = Metrics::new()?;
    let sent = Arc::new(SentRecords::default());
    let traffic = Traffic::new(options.seed, HABITS, &sources(&policy))?;
    let (end_app, app_ends) = watch::channel(false);
    let app = Instance {
        config: Arc::new(config),
        policy: Arc::clone(&policy),
        text,
        clock: Arc::clone(&clock),
        metrics: metrics.clone(),
        health: Arc::new(Health::starting(Arc::clone(&clock))),
    };
    let mut show = DisplayState {
        boards: SnapshotBuilder::new(
            options.pace.length,
            policy
                .products
                .keys()
                .filter(|key| has_records(&policy, key))
                .cloned()
                .collect(),
        ),
        pace: options.pace,
        clock: Arc::clone(&clock),
        start: clock.monotonic(),
        sent: Arc::clone(&sent),
        metrics: metrics.clone(),
        tables: watch_tables(root.clone(), Arc::clone(&clock)),
        screen,
        stop,
        ended: false,
        app: tokio::spawn(app.run(app_ends)),
    };
    let (end_day, day_ends) = watch::channel(false);
    let planted = sources(&policy)
        .into_iter()
        .find(|source| source.product.as_str() == "sms");
    let planted = planted.map(|sms| PlantedPeople::new(options.seed, sms));
    let deps = ProducersDeps {
        clock: Arc::clone(&clock),
        sent: Arc::clone(&sent),
        metrics: metrics.clone(),
    };
    let producers = Producers::new(traffic, planted, broker.servers(), deps)?;
    let mut day = tokio::spawn(producers.run(options.pace, day_ends));
    show.until(DemoPhase::Arriving, |_| day.is_finished())
        .await?;
    // This fails if the day is over already, because its receiver is dropped.
    let _ = end_day.send(true);
    (&mut day).await.map_err(|_| DemoError::Bug)??;
    let give_up = clock.monotonic() + FINISH;
    show.until(DemoPhase::Finishing, |show| {
        show.all_passed() || show.clock.monotonic() > give_up
    })
    .await?;
    let _ = end_app.send(true);
    let DisplayState {
        app,
        screen,
        stop,
        ended,
        tables,
        ..
    } = show;
    // Stop reading the tables: a read would be interrupted when the demo ends.
    drop(tables);
    app.await.map_err(|_| DemoError::Bug)??;
    let planted = write_down(&options, &sent)?;
    let scene = MonthsInput {
        root: root.clone(),
        policy: Arc::clone(&policy),
        clock,
        metrics,
        length: options.months,
        planted,
    };
    // A user who ended the traffic early does not want to wait for the months.
    let passed = if ended {
        None
    } else {
        pass(scene, screen, || *stop.borrow()).await?
    };
    summary(&options, &root, &policy, &sent, passed).await
}

/// Writes the planted values to the file that the summary names. The file is beside the root,
/// because the search under the root must not find it.
fn write_down(options: &DemoOptions, sent: &SentRecords) -> Result<Vec<String>, DemoError> {
    let (file, planted) = (options.folder.join(VALUES), sent.planted());
    std::fs::write(&file, planted.join("\n") + "\n")
        .map_err(|why| DemoError::Values { file, why })?;
    Ok(planted)
}

/// The state that is needed to show the demo while it runs.
struct DisplayState<'s> {
    boards: SnapshotBuilder,
    pace: TrafficRate,
    clock: SharedClock,
    start: Duration,
    sent: Arc<SentRecords>,
    metrics: Metrics,
    tables: watch::Receiver<BTreeMap<ProductKey, TableStatus>>,
    screen: &'s mut dyn Screen,
    stop: watch::Receiver<bool>,
    ended: bool,
    app: JoinHandle<Result<(), InstanceError>>,
}

impl DisplayState<'_> {
    /// Shows boards until `done` returns true or the user wants to end. Errors if Ebbtide ends
    /// before that.
    async fn until(
        &mut self,
        stage: DemoPhase,
        done: impl Fn(&Self) -> bool,
    ) -> Result<(), DemoError> {
        let mut beat = tokio::time::interval(self.screen.every());
        while !done(self) {
            beat.tick().await;
            if self.app.is_finished() {
                (&mut self.app).await.map_err(|_| DemoError::Bug)??;
                return Err(DemoError::Bug);
            }
            let elapsed = self.clock.monotonic().saturating_sub(self.start);
            let tables = self.tables.borrow().clone();
            let sample = DemoSample {
                stage,
                elapsed,
                sent: self.sent.by_product(),
                tables: &tables,
            };
            let board = self
                .boards
                .board(&sample, self.pace.hour(elapsed), &self.metrics);
            let ended = self.screen.show(&board).map_err(DemoError::Screen)?;
            if stage == DemoPhase::Arriving && (ended || *self.stop.borrow()) {
                self.ended = true;
                return Ok(());
            }
        }
        Ok(())
    }

    fn all_passed(&self) -> bool {
        self.sent
            .by_product()
            .iter()
            .all(|(product, &sent)| passed(&self.metrics, product) >= sent)
    }
}

fn shipped_policy() -> Result<LoadedPolicy, DemoError> {
    let checked = ebbtide_policy::parse("policy.yaml", POLICY, &ShippedSchemas);
    let problems = checked.problems.clone();
    checked.loaded().ok_or(DemoError::Files(problems))
}

fn has_records(policy: &Policy, product: &ProductKey) -> bool {
    policy
        .products
        .get(product)
        .is_some_and(|product| product.records.is_some())
}

/// Returns every topic with its number of partitions: more for the products with the most traffic.
fn topics(policy: &Policy) -> Vec<(String, i32)> {
    let busy = |product: &str| {
        matches!(
            product,
            "sms" | "voice" | "conversations" | "email" | "push"
        )
    };
    let of_products = policy.products.values().flat_map(|product| {
        let partitions = if busy(product.key.as_str()) { 4 } else { 1 };
        let topics = product.records.iter().flat_map(|records| &records.topics);
        topics.map(move |topic| (topic.to_string(), partitions))
    });
    of_products
        .chain([("ebbtide.dead-letters".to_owned(), 1)])
        .collect()
}

fn sources(policy: &Policy) -> Vec<TrafficSource> {
    let source = |(name, schema): &(&str, &str)| {
        let product = ProductKey::new(name).ok()?;
        let topic: Topic = policy
            .products
            .get(&product)?
            .records
            .as_ref()?
            .topics
            .first()?
            .clone();
        let framing = schema_id(name).map_or(Framing::SingleObject, Framing::Confluent);
        Some(TrafficSource {
            product,
            topic,
            schema: (*schema).to_owned(),
            framing,
        })
    };
    SCHEMAS.iter().filter_map(source).collect()
}

fn configuration(options: &DemoOptions, servers: &str) -> Result<Config, DemoError> {
    let laid_out = lay_out(&options.folder, servers);
    let text = laid_out.map_err(|why| DemoError::Folder {
        folder: options.folder.clone(),
        why,
    })?;
    // The environment is not used: a variable for a real deployment must not point the demo to that
    // deployment.
    let around = ConfigInputs {
        folder: options.folder.join("config"),
        ..ConfigInputs::default()
    };
    let checked = Config::parse("ebbtide.yaml", &text, &around);
    checked.config.ok_or(DemoError::Files(checked.problems))
}

/// Reads the tables at a fixed interval until the receiver is dropped.
fn watch_tables(
    root: Root,
    clock: SharedClock,
) -> watch::Receiver<BTreeMap<ProductKey, TableStatus>> {
    let (sender, receiver) = watch::channel(BTreeMap::new());
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(LOOK);
        while !sender.is_closed() {
            beat.tick().await;
            // A table that is being created cannot be read. The next read will succeed.
            if let Ok(tables) = look(&root, clock.now()).await {
                sender.send_replace(tables);
            }
        }
    });
    receiver
}

async fn summary(
    options: &DemoOptions,
    root: &Root,
    policy: &Policy,
    sent: &SentRecords,
    passed: Option<MonthsReport>,
) -> Result<DemoReport, DemoError> {
    let sent = sent.by_product();
    let mut products = Vec::new();
    for product in policy
        .products
        .keys()
        .filter(|key| has_records(policy, key))
    {
        let audit = audit(root, product).await?;
        products.push(ProductResult {
            product: product.clone(),
            sent: sent.get(product).copied().unwrap_or(0),
            audit,
        });
    }
    Ok(DemoReport {
        folder: options.folder.clone(),
        products,
        passed,
    })
}

#[cfg(test)]
mod tests;
