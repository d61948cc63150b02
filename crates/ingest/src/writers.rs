//! The schemas with which producers wrote: the products' own, those of the folder, those of the
//! registry.
//!
//! An unknown schema is distinguished from a registry that does not answer: the first is a fault of
//! the record, the second is not, and no record is lost because of it. A `get` never takes longer
//! than the configured timeout, and a registry that is down is requested at growing intervals. Must
//! never put a credential into an error, a log line or a metric.

mod backoff;
mod failed_ids;
mod folder;
mod registry;
mod unknown_ids;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tracing::{info, warn};

use backoff::RegistryBackoff;
use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::{Component, Health};
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::Metrics;
use ebbtide_config::SchemasConfig;
use ebbtide_policy::Policy;
use ebbtide_policy::schema::{SchemaError, WriterSchema};
use failed_ids::FailedIds;
use folder::WriterSchemaFolder;
pub use registry::RegistryFailure;
use registry::{ReferencedSchemas, RegistryAnswer, RegistryClient};
use unknown_ids::{UnknownIdAction, UnknownIds, UnreportedIds};

/// The minimum interval between two searches of the folder for a schema that it did not have.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The name by which a message refers to its writer schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaRef {
    /// The registry's id.
    Id(u32),
    /// The CRC-64-AVRO of the schema's parsing canonical form.
    Fingerprint(u64),
}

impl fmt::Display for SchemaRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaRef::Id(id) => write!(f, "id {id}"),
            SchemaRef::Fingerprint(fingerprint) => write!(f, "fingerprint {fingerprint:016x}"),
        }
    }
}

/// The outcome of the look-up of a schema that a message names.
#[derive(Debug, Clone)]
pub enum SchemaLookup {
    /// The schema.
    Schema(Arc<WriterSchema>),
    /// The schema cannot be used; the reason, in words.
    Unusable(Arc<str>),
    /// No source has the schema, or some schema that it refers to; the missing part, in words.
    Unknown(Arc<str>),
}

/// The reason why a look-up has no outcome yet. No record is at fault: wait, keep serving Kafka,
/// and call again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupDelay {
    /// The registry does not answer: records of schemas that are not known yet wait.
    #[error(transparent)]
    Registry(#[from] RegistryUnavailable),
    /// The registry does not know the schema yet: only records of this schema wait.
    #[error("the schema registry does not know a schema yet")]
    NotYet {
        /// The wait: an earlier call sends no request and gets this error again.
        retry_after: Duration,
    },
}

impl LookupDelay {
    /// Returns the time after which to look again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        match self {
            LookupDelay::Registry(RegistryUnavailable { retry_after, .. })
            | LookupDelay::NotYet { retry_after } => *retry_after,
        }
    }
}

/// The registry gives no reliable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema registry is unavailable: {why}")]
pub struct RegistryUnavailable {
    /// The reason.
    pub why: RegistryFailure,
    /// The wait: an earlier call sends no request and gets this error again.
    pub retry_after: Duration,
}

/// The reason why the sources of schemas cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpSchemasError {
    /// The authorities' file cannot be read.
    #[error("the registry's authorities in {file:?} cannot be read: {why}")]
    Authorities {
        /// The file.
        file: PathBuf,
        /// The error.
        why: String,
    },
    /// The HTTP client cannot be built.
    #[error("the registry's client cannot be built: {0}")]
    Client(String),
    /// A credential contains a character that is illegal in an HTTP header.
    #[error(
        "the registry's credential holds a control character; look for a line break in its file"
    )]
    Credential,
    /// The folder, or a file in it, cannot be read.
    #[error("{path:?} cannot be read: {source}")]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The reason that the system reports.
        source: std::io::Error,
    },
    /// A file of the folder is not an Avro schema.
    #[error("{file:?} is no Avro schema: {source}")]
    NotAvro {
        /// The file.
        file: PathBuf,
        /// The error.
        source: SchemaError,
    },
    /// Two files of the folder have one id and different schemas.
    #[error(
        "{file:?} gives the id {id} to another schema than a file before it; give each id one schema"
    )]
    TwoForOneId {
        /// The second file.
        file: PathBuf,
        /// The id.
        id: u32,
    },
}

/// The receivers of the reports, and the clock.
#[derive(Clone)]
pub struct WriterDeps {
    /// Counts the fetches.
    pub metrics: Metrics,
    /// Shows while the registry does not answer.
    pub health: Arc<Health>,
    /// The time.
    pub clock: SharedClock,
}

/// Every source of writer schemas.
pub struct WriterSchemas {
    around: WriterDeps,
    known: RwLock<HashMap<SchemaRef, SchemaLookup>>,
    folder: Option<RwLock<WriterSchemaFolder>>,
    registry: Option<Registry>,
    /// The schemas that were reported in the log, each for a product.
    reported: Mutex<HashSet<(ProductKey, SchemaRef)>>,
}

struct Registry {
    client: RegistryClient,
    timeout: Duration,
    /// The longest time that records wait for an id that the registry does not know.
    unknown_wait: Duration,
    /// The ids that the registry failed for. While there are any, the registry is reported as
    /// unavailable.
    failed: Mutex<FailedIds>,
    /// Allows one request at a time: callers of one id share its answer, and a silent registry is
    /// requested once instead of once per lane.
    state: tokio::sync::Mutex<State>,
}

struct State {
    backoff: RegistryBackoff,
    unknown: HashMap<ProductKey, UnknownIds>,
    referenced: ReferencedSchemas,
}

impl WriterSchemas {
    /// Sets up the sources and reads the folder. Sends no request to the registry. Errors on
    /// problems that only a person can fix.
    pub fn new(
        source: &SchemasConfig,
        policy: &Policy,
        around: WriterDeps,
    ) -> Result<Self, SetUpSchemasError> {
        let not_avro = |file: String| {
            move |source| SetUpSchemasError::NotAvro {
                file: PathBuf::from(file),
                source,
            }
        };
        let mut known = HashMap::new();
        for product in policy.products.values() {
            let Some(records) = &product.records else {
                continue;
            };
            let own = WriterSchema::parse(records.schema.text())
                .map_err(not_avro(records.schema.name.clone()))?;
            known.insert(
                SchemaRef::Fingerprint(own.fingerprint()),
                SchemaLookup::Schema(Arc::new(own)),
            );
        }
        let folder = match &source.folder {
            Some(path) => Some(RwLock::new(WriterSchemaFolder::read(
                path,
                around.clock.monotonic(),
            )?)),
            None => None,
        };
        let registry = match &source.registry {
            Some(config) => Some(Registry {
                client: RegistryClient::new(config)?,
                timeout: config.timeout,
                unknown_wait: config.unknown_schema_wait,
                failed: Mutex::default(),
                state: tokio::sync::Mutex::new(State {
                    backoff: RegistryBackoff::default(),
                    unknown: HashMap::new(),
                    referenced: ReferencedSchemas::default(),
                }),
            }),
            None => None,
        };
        Ok(Self {
            around,
            known: RwLock::new(known),
            folder,
            registry,
            reported: Mutex::default(),
        })
    }

    /// Looks up schemas that messages of `product` name, one after another. A look-up without an
    /// outcome does not stop those after it. Reports unknown schemas in the log.
    pub async fn look_up(
        &self,
        product: &ProductKey,
        schemas: Vec<SchemaRef>,
    ) -> Vec<(SchemaRef, Result<SchemaLookup, LookupDelay>)> {
        let mut found = Vec::with_capacity(schemas.len());
        for schema in schemas {
            let outcome = self.get(product, schema).await;
            let busy = matches!(&outcome, Err(LookupDelay::Registry(error)) if error.why == RegistryFailure::Busy);
            found.push((schema, outcome));
            if busy {
                break;
            }
        }
        self.report_unknown();
        found
    }

    /// Looks up the schema that a message of `product` names. Errors if there is no outcome yet,
    /// after the configured timeout at the latest.
    pub async fn get(
        &self,
        product: &ProductKey,
        schema: SchemaRef,
    ) -> Result<SchemaLookup, LookupDelay> {
        match (self.known(schema), schema, &self.registry) {
            (Some(known), ..) => Ok(known),
            (None, SchemaRef::Id(id), Some(registry)) => self.ask(registry, product, id).await,
            (None, ..) => Ok(SchemaLookup::Unknown(schema.to_string().into())),
        }
    }

    /// Returns the outcome of a look-up that needs no request to the registry; `None` if it needs
    /// one.
    pub fn known(&self, schema: SchemaRef) -> Option<SchemaLookup> {
        let known = match self.cached(schema) {
            found @ Some(SchemaLookup::Schema(_)) => found,
            // A file of the folder replaces a schema of the registry that cannot be used.
            unusable => self
                .in_folder(schema)
                .map(SchemaLookup::Schema)
                .or(unusable),
        };
        match (known, schema, &self.registry) {
            (Some(known), SchemaRef::Id(id), Some(registry)) => {
                self.settled(registry, id);
                Some(known)
            }
            (None, SchemaRef::Id(_), Some(_)) => None,
            (known, ..) => known.or_else(|| Some(SchemaLookup::Unknown(schema.to_string().into()))),
        }
    }

    /// Ends the report of an unavailable registry if no record waits for it any more, and reports
    /// unknown schemas that were not reported yet. To be called every few seconds.
    pub fn tend(&self) {
        if let Some(registry) = &self.registry {
            let mut failed = registry
                .failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            failed.forget_abandoned(self.around.clock.monotonic());
            self.report_settled(&failed);
        }
        self.report_unknown();
    }

    /// Returns true for the first call with these arguments: each schema is reported once for all
    /// lanes.
    pub fn is_first_report(&self, product: &ProductKey, schema: SchemaRef) -> bool {
        self.reported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((product.clone(), schema))
    }

    fn cached(&self, schema: SchemaRef) -> Option<SchemaLookup> {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&schema)
            .cloned()
    }

    fn keep(&self, schema: SchemaRef, found: SchemaLookup) {
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(schema, found);
    }

    /// Returns the folder's schema. If the folder did not have it some time ago, the folder is
    /// searched again.
    fn in_folder(&self, schema: SchemaRef) -> Option<Arc<WriterSchema>> {
        let folder = self.folder.as_ref()?;
        let now = self.around.clock.monotonic();
        let look = folder
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(schema, now);
        match look {
            folder::FolderLookup::Found(found) => {
                self.keep(schema, SchemaLookup::Schema(found.clone()));
                return Some(found);
            }
            folder::FolderLookup::Not => return None,
            folder::FolderLookup::Stale => {}
        }
        let mut folder = folder.write().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = folder.look_again(now) {
            warn!(error = %error, "the folder of schemas has changed for the worse; what was read before stays");
        }
        folder.find(schema)
    }

    async fn ask(
        &self,
        registry: &Registry,
        product: &ProductKey,
        id: u32,
    ) -> Result<SchemaLookup, LookupDelay> {
        let clock = &self.around.clock;
        let begun = clock.monotonic();
        let Ok(mut state) = tokio::time::timeout(registry.timeout, registry.state.lock()).await
        else {
            return Err(RegistryUnavailable {
                why: RegistryFailure::Busy,
                retry_after: backoff::LEAST,
            }
            .into());
        };
        // The previous holder of the lock may have requested the same id.
        if let Some(found) = self.cached(SchemaRef::Id(id)) {
            return Ok(found);
        }
        let now = clock.monotonic();
        if let Some(outcome) = state.without_request(registry, product, (id, now)) {
            return outcome;
        }
        let left = registry.timeout.saturating_sub(now.saturating_sub(begun));
        let answer = registry.client.fetch(id, &mut state.referenced, left).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err((why, wanted)) => {
                let registry_wait = state.backoff.failed(why.clone(), wanted, clock.monotonic());
                return Err(self.failed(registry, id, (why, registry_wait)).into());
            }
        };
        state.backoff.succeeded();
        self.settled(registry, id);
        let outcome = match &answer {
            RegistryAnswer::Schema(_) => "found",
            RegistryAnswer::Unusable(_) => "unreadable",
            RegistryAnswer::Unknown | RegistryAnswer::Missing { .. } => "unknown",
        };
        self.around
            .metrics
            .schema_fetches
            .with_label_values(&[outcome])
            .inc();
        let found = match answer {
            RegistryAnswer::Schema(found) => SchemaLookup::Schema(Arc::new(found)),
            RegistryAnswer::Unusable(why) => SchemaLookup::Unusable(why.into()),
            RegistryAnswer::Unknown => {
                return self.not_found(&mut state, product, (id, format!("id {id}")));
            }
            RegistryAnswer::Missing { subject, version } => {
                let why = format!(
                    "id {id} refers to version {version} of the subject {subject:?}, which is missing"
                );
                return self.not_found(&mut state, product, (id, why));
            }
        };
        state
            .unknown
            .values_mut()
            .for_each(|unknown| unknown.found(id));
        self.keep(SchemaRef::Id(id), found.clone());
        Ok(found)
    }

    /// Records that the request for `id` failed.
    fn failed(
        &self,
        registry: &Registry,
        id: u32,
        (why, wait): (RegistryFailure, Duration),
    ) -> RegistryUnavailable {
        self.around
            .metrics
            .schema_fetches
            .with_label_values(&["unavailable"])
            .inc();
        let mut failed = registry
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let retry_after = failed.failed(id, (why.clone(), wait), self.around.clock.monotonic());
        if self
            .around
            .health
            .trouble(Component::Registry, why.to_string())
        {
            warn!(registry.why = %why, schema.id = id, "the schema registry is unavailable; records that need it wait");
        }
        RegistryUnavailable { why, retry_after }
    }

    /// Records that the look-up of `id` does not wait for the registry any more.
    fn settled(&self, registry: &Registry, id: u32) {
        let mut failed = registry
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed.forget(id);
        self.report_settled(&failed);
    }

    fn report_settled(&self, failed: &FailedIds) {
        if failed.is_empty() && self.around.health.over(&Component::Registry) {
            info!("no record waits for the schema registry any more");
        }
    }

    fn not_found(
        &self,
        state: &mut State,
        product: &ProductKey,
        (id, why): (u32, String),
    ) -> Result<SchemaLookup, LookupDelay> {
        let wait = self
            .registry
            .as_ref()
            .map_or(Duration::ZERO, |registry| registry.unknown_wait);
        let unknown = state
            .unknown
            .entry(product.clone())
            .or_insert_with(|| UnknownIds::new(wait));
        let why: Arc<str> = why.into();
        match unknown.not_found(id, Arc::clone(&why), self.around.clock.monotonic()) {
            UnknownIdAction::Wait(retry_after) => Err(LookupDelay::NotYet { retry_after }),
            UnknownIdAction::Ask | UnknownIdAction::Unknown => Ok(SchemaLookup::Unknown(why)),
        }
    }

    /// Reports unknown schemas in the log, with their number: at most one line of each kind for a
    /// product at a time. Skipped while a request runs.
    fn report_unknown(&self) {
        let Some(mut state) = self
            .registry
            .as_ref()
            .and_then(|registry| registry.state.try_lock().ok())
        else {
            return;
        };
        let now = self.around.clock.monotonic();
        for (product, unknown) in &mut state.unknown {
            let report = unknown.take_report(now);
            if let UnreportedIds {
                ids,
                first: Some(first),
            } = report.waiting
            {
                info!(
                    product.key = %product,
                    schemas = ids,
                    %first,
                    "the registry does not know a schema yet; its records wait"
                );
            }
            if let UnreportedIds {
                ids,
                first: Some(first),
            } = report.given_up
            {
                warn!(
                    product.key = %product,
                    schemas = ids,
                    %first,
                    "the registry does not know a schema; its records go to the dead letters"
                );
            }
        }
    }
}

impl State {
    /// Returns the outcome of the look-up of an id that may not be requested now; `None` if it may.
    fn without_request(
        &self,
        registry: &Registry,
        product: &ProductKey,
        (id, now): (u32, Duration),
    ) -> Option<Result<SchemaLookup, LookupDelay>> {
        let unknown = self.unknown.get(product);
        match unknown.map_or(UnknownIdAction::Ask, |unknown| unknown.before(id, now)) {
            UnknownIdAction::Ask => {}
            UnknownIdAction::Wait(retry_after) => {
                return Some(Err(LookupDelay::NotYet { retry_after }));
            }
            UnknownIdAction::Unknown => {
                let reason = unknown.and_then(|unknown| unknown.reason(id));
                return Some(Ok(SchemaLookup::Unknown(
                    reason.unwrap_or_else(|| format!("id {id}").into()),
                )));
            }
        }
        let own = registry
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed(id, now);
        let closed = [self.backoff.closed(now), own].into_iter().flatten();
        let (why, retry_after) = closed.max_by_key(|(_, wait)| *wait)?;
        Some(Err(RegistryUnavailable { why, retry_after }.into()))
    }
}

#[cfg(test)]
mod tests;
