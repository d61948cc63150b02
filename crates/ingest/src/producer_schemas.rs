//! The schemas with which producers wrote: the products' own, those of the folder, those of the
//! registry.
//!
//! An unknown schema is distinguished from a registry that does not answer: the first is a fault of
//! the record, the second is not, and no record is lost because of it. A `get` never takes longer
//! than the configured timeout, and a registry that is down is requested at growing intervals. Must
//! never put a credential into an error, a log line or a metric.

mod failed_ids;
mod folder;
mod lookup;
mod registry;
mod registry_pause;
mod requests;
mod unknown_ids;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use ebbtide_base::clock::SharedClock;
use ebbtide_base::health::Health;
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::Metrics;
use ebbtide_config::SchemasConfig;
use ebbtide_policy::Policy;
use ebbtide_policy::schema::{SchemaError, WriterSchema};
use folder::ProducerSchemaFolder;
pub use lookup::{LookupDelay, RegistryUnavailable, SchemaLookup, SchemaRef};
pub use registry::RegistryFailure;
use requests::RegistrySource;

/// The minimum interval between two searches of the folder for a schema that it did not have.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(10);

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
pub struct ProducerSchemasDeps {
    /// Counts the fetches.
    pub metrics: Metrics,
    /// Shows while the registry does not answer.
    pub health: Arc<Health>,
    /// The time.
    pub clock: SharedClock,
}

/// Every source of writer schemas.
pub struct ProducerSchemas {
    around: ProducerSchemasDeps,
    known: RwLock<HashMap<SchemaRef, SchemaLookup>>,
    folder: Option<RwLock<ProducerSchemaFolder>>,
    registry: Option<RegistrySource>,
    /// The schemas that were reported in the log, each for a product.
    reported: Mutex<HashSet<(ProductKey, SchemaRef)>>,
}

impl ProducerSchemas {
    /// Sets up the sources and reads the folder. Sends no request to the registry. Errors on
    /// problems that only a person can fix.
    pub fn new(
        source: &SchemasConfig,
        policy: &Policy,
        around: ProducerSchemasDeps,
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
            Some(path) => Some(RwLock::new(ProducerSchemaFolder::read(
                path,
                around.clock.monotonic(),
            )?)),
            None => None,
        };
        let registry = match &source.registry {
            Some(config) => Some(RegistrySource::new(config)?),
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
            tracing::warn!(error = %error, "the changed folder of schemas cannot be used; the schemas read before stay in use");
        }
        folder.find(schema)
    }
}

#[cfg(test)]
mod tests;
