//! The schemas that producers wrote with: the products' own, those of the folder, those of the registry.
//!
//! Promises that an unknown schema is told from a registry that does not answer: the first is the record's fault, the
//! second nobody's, and no record is lost for it. A `get` never takes longer than the configured timeout, and a registry
//! that is down is asked ever more seldom. Must never put a credential into an error, a log line or a metric.

mod backoff;
mod folder;
mod registry;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tracing::{info, warn};

use crate::clock::SharedClock;
use crate::config::SchemasSource;
use crate::health::{Health, Part};
use crate::ids::ProductKey;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::schema::{SchemaError, WriterSchema};
use backoff::Backoff;
use folder::Folder;
pub use registry::Silence;
use registry::{Answer, Client};

/// How long the registry's word that an id has no schema, or none that can be used, is taken for true.
const USELESS_FOR: Duration = Duration::from_secs(60);
/// The most ids of which that is remembered. A flood of more is asked for again.
const MOST_USELESS: usize = 10_000;
/// The most often that the folder is looked through again for a schema that it did not have.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How a message names the schema that it was written with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaRef {
    /// By the registry's id.
    Id(u32),
    /// By the CRC-64-AVRO of the schema's parsing canonical form.
    Fingerprint(u64),
}

/// The registry gives no answer that can be relied on. Nobody's fault: wait, keep serving Kafka, and call again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema registry is unavailable: {why}")]
pub struct RegistryUnavailable {
    /// What is wrong with it.
    pub why: Silence,
    /// How long to wait: an earlier call asks nobody and gets this error again.
    pub retry_after: Duration,
}

/// Why the sources of schemas cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WritersError {
    /// The authorities' file cannot be read.
    #[error("the registry's authorities in {file:?} cannot be read: {why}")]
    Authorities {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The HTTP client cannot be built.
    #[error("the registry's client cannot be built: {0}")]
    Client(String),
    /// A credential holds a character that no HTTP header may hold.
    #[error("the registry's credential holds a control character; look for a line break in its file")]
    Credential,
    /// The folder, or a file in it, cannot be read.
    #[error("{path:?} cannot be read: {source}")]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file of the folder is no Avro schema.
    #[error("{file:?} is no Avro schema: {source}")]
    NotAvro {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: SchemaError,
    },
    /// Two files of the folder have one id and different schemas.
    #[error("{file:?} gives the id {id} to another schema than a file before it; give each id one schema")]
    TwoForOneId {
        /// The second file.
        file: PathBuf,
        /// The id.
        id: u32,
    },
}

/// Where what happens here is told, and the time.
#[derive(Clone)]
pub struct Around {
    /// Counts the fetches.
    pub metrics: Metrics,
    /// Told when the registry is silent, and when it is not any more.
    pub health: Arc<Health>,
    /// The time.
    pub clock: SharedClock,
}

/// Every source of writer schemas.
pub struct WriterSchemas {
    around: Around,
    known: RwLock<HashMap<SchemaRef, Arc<WriterSchema>>>,
    /// Stands for a schema that exists and cannot be used (no Avro, or leaning on others): Avro's `null`, as which no
    /// product's record can be read, so that its messages become `incompatible_schema` and nobody waits for them.
    unusable: Arc<WriterSchema>,
    folder: Option<RwLock<Folder>>,
    registry: Option<Registry>,
}

struct Registry {
    client: Client,
    timeout: Duration,
    /// One request at a time: callers of one id share its answer, and a silent registry is asked once, not once a lane.
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    backoff: Backoff,
    /// What to say of the ids that have no usable schema, and until when (monotonic).
    useless: HashMap<u32, (Option<Arc<WriterSchema>>, Duration)>,
}

impl WriterSchemas {
    /// Sets the sources up and reads the folder; asks the registry nothing yet. Errors on what only a person can mend.
    pub fn new(source: &SchemasSource, policy: &Policy, around: Around) -> Result<Self, WritersError> {
        let not_avro = |file: String| move |source| WritersError::NotAvro { file: PathBuf::from(file), source };
        let unusable = Arc::new(WriterSchema::parse("\"null\"").map_err(not_avro("null".to_owned()))?);
        let mut known = HashMap::new();
        for product in policy.products.values() {
            let Some(records) = &product.records else { continue };
            let own = WriterSchema::parse(records.schema.text()).map_err(not_avro(records.schema.name.clone()))?;
            known.insert(SchemaRef::Fingerprint(own.fingerprint()), Arc::new(own));
        }
        let folder = match &source.folder {
            Some(path) => Some(RwLock::new(Folder::read(path, around.clock.monotonic())?)),
            None => None,
        };
        let registry = match &source.registry {
            Some(config) => Some(Registry {
                client: Client::new(config)?,
                timeout: config.timeout,
                state: tokio::sync::Mutex::default(),
            }),
            None => None,
        };
        Ok(Self { around, known: RwLock::new(known), unusable, folder, registry })
    }

    /// The schema that a message of `product` names. `Ok(None)`: nobody knows it, which is the record's fault. `Err`:
    /// the registry is silent, which is nobody's; it comes after the configured timeout at the latest.
    pub async fn get(
        &self,
        product: &ProductKey,
        schema: SchemaRef,
    ) -> Result<Option<Arc<WriterSchema>>, RegistryUnavailable> {
        if let Some(found) = self.cached(schema).or_else(|| self.in_folder(schema)) {
            return Ok(Some(found));
        }
        match (schema, &self.registry) {
            (SchemaRef::Id(id), Some(registry)) => self.ask(registry, product, id).await,
            _ => Ok(None),
        }
    }

    fn cached(&self, schema: SchemaRef) -> Option<Arc<WriterSchema>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&schema).cloned()
    }

    fn keep(&self, schema: SchemaRef, found: &Arc<WriterSchema>) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(schema, found.clone());
    }

    /// The folder's schema, looked for again where it was not there some time ago.
    fn in_folder(&self, schema: SchemaRef) -> Option<Arc<WriterSchema>> {
        let folder = self.folder.as_ref()?;
        let now = self.around.clock.monotonic();
        let look = folder.read().unwrap_or_else(PoisonError::into_inner).get(schema, now);
        match look {
            folder::Look::Found(found) => {
                self.keep(schema, &found);
                return Some(found);
            }
            folder::Look::Not => return None,
            folder::Look::Stale => {}
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
    ) -> Result<Option<Arc<WriterSchema>>, RegistryUnavailable> {
        let clock = &self.around.clock;
        let begun = clock.monotonic();
        let Ok(mut state) = tokio::time::timeout(registry.timeout, registry.state.lock()).await else {
            return Err(RegistryUnavailable { why: Silence::Busy, retry_after: backoff::LEAST });
        };
        // Whoever held the lock may have asked for this very id.
        if let Some(found) = self.cached(SchemaRef::Id(id)) {
            return Ok(Some(found));
        }
        let now = clock.monotonic();
        if let Some((word, _)) = state.useless.get(&id).filter(|(_, until)| now < *until) {
            return Ok(word.clone());
        }
        if let Some((why, retry_after)) = state.backoff.closed(now) {
            return Err(RegistryUnavailable { why, retry_after });
        }
        let left = registry.timeout.saturating_sub(now.saturating_sub(begun));
        let answer = registry.client.fetch(id, left).await;
        let now = clock.monotonic();
        let count = |outcome| self.around.metrics.schema_fetches.with_label_values(&[outcome]).inc();
        let answer = match answer {
            Ok(answer) => answer,
            Err((why, wanted)) => {
                count("unavailable");
                let retry_after = state.backoff.failed(why.clone(), wanted, now);
                if self.around.health.trouble(Part::Registry, why.to_string()) {
                    warn!(registry.why = %why, "the schema registry is unavailable; records that need it wait");
                }
                return Err(RegistryUnavailable { why, retry_after });
            }
        };
        state.backoff.succeeded();
        if self.around.health.over(&Part::Registry) {
            info!("the schema registry answers again");
        }
        let word = match answer {
            Answer::Schema(found) => {
                count("found");
                let found = Arc::new(found);
                self.keep(SchemaRef::Id(id), &found);
                return Ok(Some(found));
            }
            Answer::Unusable(why) => {
                count("unreadable");
                warn!(product.key = %product, schema.id = id, schema.why = why, "the registry's schema cannot be used");
                Some(self.unusable.clone())
            }
            Answer::Unknown => {
                count("unknown");
                warn!(product.key = %product, schema.id = id, "the registry knows no schema of this id");
                None
            }
        };
        state.note_useless(id, word.clone(), now);
        Ok(word)
    }
}

impl State {
    /// Remembers that `id` has no usable schema, in bounded memory: a flood of ids must not fill it.
    fn note_useless(&mut self, id: u32, word: Option<Arc<WriterSchema>>, now: Duration) {
        if self.useless.len() >= MOST_USELESS {
            self.useless.retain(|_, (_, until)| now < *until);
        }
        if self.useless.len() >= MOST_USELESS {
            self.useless.clear();
        }
        self.useless.insert(id, (word, now + USELESS_FOR));
    }
}

#[cfg(test)]
mod tests;
