//! Test fixtures of this module: a small product over a real table, records of it, and a clock that
//! is moved by hand.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests use it"
)]

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use uuid::Uuid;

use super::{
    OverdueWatch, PlanBounds, ReviewCache, SweepReport, SweepSettings, Sweeper, SweeperDeps,
    SweptProduct, WorkShare,
};
use ebbtide_base::clock::{Clock, ManualClock, SharedClock};
use ebbtide_base::ids::{Offset, Partition, ProductKey, Topic, TopicPartition};
use ebbtide_base::metrics::Metrics;
use ebbtide_config::NoticeLimits;
use ebbtide_controls::{
    CommitIdentity, Controls, HoldId, HoldOrder, Notice, NoticeOutcome, ProductNotices, Scope,
    Screening, ScreeningOutcome, SharedControls, notify, notify_screened, place, release,
};
use ebbtide_policy::tag::{Arrivals, Tagger};
use ebbtide_policy::{CheckedPolicy, Policy, SchemaSource, parse};
use ebbtide_query::audit;
use ebbtide_table::{
    Evidence, IngestCommit, OffsetAdvance, PartitionEvidence, Root, SegmentWriter, Table, TableSpec,
};

/// The schema of its records.
pub const SCHEMA: &str = r#"{"type": "record", "name": "Sms", "fields": [
    {"name": "recipient", "type": ["null", "string"]},
    {"name": "body", "type": ["null", "string"]},
    {"name": "sent_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "customer_id", "type": ["null", "string"]},
    {"name": "status", "type": ["null", "string"]},
    {"name": "segments", "type": "int"}
]}"#;

struct OneSchema<'s>(&'s str);

impl SchemaSource for OneSchema<'_> {
    fn load(&self, _: &str) -> Result<String, String> {
        Ok(self.0.to_owned())
    }
}

/// Returns a policy in UTC: content is kept for 7 days, phone numbers and with them the record for
/// 30.
pub fn policy_text(end: &str) -> String {
    policy_text_of(end, "keep: 7 days, trigger: event")
}

/// Returns the same policy with another retention period and trigger of content.
pub fn policy_text_of(end: &str, content: &str) -> String {
    format!(
        "version: test-1\nzone: UTC\nbucket: day\ncategories:\n  phone_number: {{ term: pd:TelephoneNumber }}\n  \
         content: {{ term: pd:Communication }}\nproducts:\n  sms:\n    topics: [traffic.sms]\n    schema: sms.avsc\n    \
         event_time: sent_at\n    tenant: customer_id\n    subjects: {{ recipient: phone }}\n    \
         jurisdiction: {{ country_of: recipient }}\n    fields:\n      recipient: phone_number\n      body: content\n      \
         sent_at: phone_number\n      customer_id: none\n      status: none\n      segments: none\n    end: {end}\nrules:\n  \
         - {{ id: long, products: [sms], keep: 30 days, trigger: event, boundary: at_most, grace: 6 hours, \
         bases: [eu-gdpr:A6-1-b], purposes: [dpv:ServiceProvision], source: tests }}\n  \
         - {{ id: short, products: [sms], categories: [content], {content}, boundary: at_most, \
         grace: 6 hours, bases: [eu-gdpr:A6-1-b], purposes: [dpv:ServiceProvision], source: tests }}\n"
    )
}

/// Returns the same policy, parsed.
pub fn policy(end: &str) -> Policy {
    read(&policy_text(end)).policy.unwrap()
}

/// Parses a policy with the shared schema.
pub fn read(text: &str) -> CheckedPolicy {
    read_with(text, SCHEMA)
}

/// Parses a policy with another schema.
pub fn read_with(text: &str, schema: &str) -> CheckedPolicy {
    let checked = parse("policy.yaml", text, &OneSchema(schema));
    assert!(checked.policy.is_some(), "{:?}", checked.problems);
    checked
}

/// Parses the policy with another version and other rules, each with its id, what it matches and
/// how long it keeps.
pub fn with_rules(version: &str, rules: &[String]) -> CheckedPolicy {
    let text = policy_text("remove").replace("version: test-1", &format!("version: \"{version}\""));
    let rules: String = rules
        .iter()
        .map(|rule| format!("  - {{ {rule} }}\n"))
        .collect();
    parse(
        "policy.yaml",
        &format!("{}rules:\n{rules}", text.split_once("rules:\n").unwrap().0),
        &OneSchema(SCHEMA),
    )
}

/// The end of records as cells of at least three people.
pub const ANONYMIZE: &str =
    "{ anonymize: { k: 3, of: recipient, cell: [customer_id, status], sum: [segments] } }";

/// One record.
#[derive(Debug, Clone)]
pub struct SmsRecord {
    /// The recipient's number.
    pub recipient: String,
    /// The text.
    pub body: String,
    /// The time of sending.
    pub sent_at: DateTime<Utc>,
    /// The customer.
    pub customer: String,
    /// The delivery status.
    pub status: String,
}

/// Returns the number of that person.
pub fn number(person: u32) -> String {
    format!("316{:08}", 10_000_000 + person)
}

/// Returns `count` records of one customer at `at`, each of another person.
pub fn texts(at: DateTime<Utc>, count: u32) -> Vec<SmsRecord> {
    let one = |person| SmsRecord {
        recipient: number(person),
        body: format!("what {person} reads"),
        sent_at: at,
        customer: "acme".to_owned(),
        status: if person % 2 == 0 {
            "delivered"
        } else {
            "failed"
        }
        .to_owned(),
    };
    (0..count).map(one).collect()
}

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

/// Records that a writer read from the one partition.
pub struct ReadBatch<'r> {
    /// The table's next offset; `None` if it had none.
    pub from: Option<i64>,
    /// The records from that offset on.
    pub records: &'r [SmsRecord],
    /// The time at which they arrived.
    pub at: DateTime<Utc>,
}

/// Returns the one partition.
pub fn source() -> TopicPartition {
    TopicPartition {
        topic: Topic::new("traffic.sms").unwrap(),
        partition: Partition(0),
    }
}

/// Tags and writes the records that were read, as ingest does, and returns the commit to make.
pub async fn written(
    table: &Table,
    policy: &Policy,
    tagger: &Tagger,
    read: ReadBatch<'_>,
) -> IngestCommit {
    let source = source();
    let from = read.from.unwrap_or(0);
    let next = from + i64::try_from(read.records.len()).unwrap();
    let offsets: Vec<i64> = (from..next).collect();
    let arrivals = Arrivals {
        source: &source,
        offsets: &offsets,
        at: read.at,
    };
    let tagged = tagger
        .tag(&batch(read.records), &arrivals, TimeDelta::hours(1))
        .unwrap();
    let (mut segments, mut stored) = (Vec::new(), 0);
    for group in tagged.groups {
        let mut writer = SegmentWriter::of_group(table.spec(), &group, &policy.version).unwrap();
        writer.write(&group.rows).unwrap();
        stored += group.rows.num_rows() as u64;
        segments.push(table.put(writer.finish().unwrap()).await.unwrap());
    }
    let mut evidence = Evidence::ingest(Uuid::nil(), read.at, policy.version.clone());
    (evidence.read, evidence.stored) = (read.records.len() as u64, stored);
    evidence.expired = evidence.read - stored;
    let (was, next, records) = (read.from.map(Offset), Offset(next), evidence.read);
    evidence.partitions = vec![PartitionEvidence {
        partition: source.clone(),
        from: was,
        next,
        records,
    }];
    let advances = vec![OffsetAdvance {
        partition: source,
        from: was,
        next,
        topic: None,
    }];
    IngestCommit {
        segments,
        advances,
        controls: table.controls(),
        evidence,
    }
}

/// Returns a tagger that uses the controls of a table.
pub async fn knowing(root: &Root, policy: &Policy, table: &Table) -> Tagger {
    let mut tagger = Tagger::new(policy, &sms()).unwrap();
    let controls = Controls::load(root, table.controls()).await.unwrap();
    tagger
        .know(ProductNotices::of(&controls, &sms(), tagger.calendar()).triggers(tagger.records()));
    tagger
}

/// Returns the one product.
pub fn sms() -> ProductKey {
    "sms".parse().unwrap()
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

    /// Opens the table as a product of which a sweep knows nothing yet.
    pub async fn product(&self) -> SweptProduct {
        SweptProduct::open(&self.root, &self.policy, Some(&sms()))
            .await
            .unwrap()
            .remove(0)
    }

    /// Creates a watch over the table; `board` reports the held segments to it.
    pub async fn watch(&self, board: ReviewCache) -> OverdueWatch {
        let by = (self.policy.as_ref(), self.controls());
        let clock = Arc::clone(&self.clock) as SharedClock;
        OverdueWatch::of(
            vec![self.product().await],
            by,
            clock,
            self.metrics.clone(),
            board,
        )
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

    /// Creates a sweeper of everything that reports the held segments to `board`.
    pub async fn sweeper_with(&self, board: ReviewCache) -> Sweeper {
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
            board,
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

fn batch(records: &[SmsRecord]) -> RecordBatch {
    let text = |of: fn(&SmsRecord) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(records.iter().map(of)))
    };
    let at = TimestampMicrosecondArray::from_iter_values(
        records.iter().map(|sms| sms.sent_at.timestamp_micros()),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("recipient", text(|sms| &sms.recipient)),
        ("body", text(|sms| &sms.body)),
        ("sent_at", Arc::new(at.with_timezone("UTC"))),
        ("customer_id", text(|sms| &sms.customer)),
        ("status", text(|sms| &sms.status)),
        (
            "segments",
            Arc::new(Int32Array::from_iter_values((0..records.len()).map(|_| 1))),
        ),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    RecordBatch::try_new(
        Arc::new(ArrowSchema::new(fields)),
        columns.into_iter().map(|(_, column)| column).collect(),
    )
    .unwrap()
}
