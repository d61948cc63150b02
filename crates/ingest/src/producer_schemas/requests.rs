//! Requests to the registry: one at a time, none while it is paused, and none for an id that waits.
//! Reports a registry that does not answer, and ids that it does not know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use super::failed_ids::FailedIds;
use super::lookup::{LookupDelay, RegistryUnavailable, SchemaLookup, SchemaRef};
use super::registry::{ReferencedSchemas, RegistryAnswer, RegistryClient, RegistryFailure};
use super::registry_pause::{LEAST, RegistryPause};
use super::unknown_ids::{UnknownIdAction, UnknownIds, UnreportedIds};
use super::{ProducerSchemas, SetUpSchemasError};
use ebbtide_base::health::Component;
use ebbtide_base::ids::ProductKey;
use ebbtide_config::RegistryConfig;

/// The registry, and the state of the requests to it.
pub struct RegistrySource {
    client: RegistryClient,
    timeout: Duration,
    /// The longest time that records wait for an id that the registry does not know.
    unknown_wait: Duration,
    /// The ids that the registry failed for. While there are any, the registry is reported as
    /// unavailable.
    pub(super) failed: Mutex<FailedIds>,
    /// Allows one request at a time: callers of one id share its answer, and a silent registry is
    /// requested once instead of once per lane.
    state: tokio::sync::Mutex<RegistryState>,
}

#[derive(Default)]
struct RegistryState {
    pause: RegistryPause,
    unknown: HashMap<ProductKey, UnknownIds>,
    referenced: ReferencedSchemas,
}

impl RegistrySource {
    /// Creates the source of the registry's schemas. Sends no request.
    pub fn new(config: &RegistryConfig) -> Result<Self, SetUpSchemasError> {
        Ok(Self {
            client: RegistryClient::new(config)?,
            timeout: config.timeout,
            unknown_wait: config.unknown_schema_wait,
            failed: Mutex::default(),
            state: tokio::sync::Mutex::default(),
        })
    }
}

impl ProducerSchemas {
    /// Requests an id from the registry, unless a request is not allowed now.
    pub(super) async fn ask(
        &self,
        registry: &RegistrySource,
        product: &ProductKey,
        id: u32,
    ) -> Result<SchemaLookup, LookupDelay> {
        let clock = &self.around.clock;
        let begun = clock.monotonic();
        let Ok(mut state) = tokio::time::timeout(registry.timeout, registry.state.lock()).await
        else {
            return Err(RegistryUnavailable {
                why: RegistryFailure::Busy,
                retry_after: LEAST,
            }
            .into());
        };
        // The previous holder of the lock may have requested the same id.
        if let Some(found) = self.cached(SchemaRef::Id(id)) {
            return Ok(found);
        }
        let now = clock.monotonic();
        if let Some(outcome) = state.without_request(registry, product, id, now) {
            return outcome;
        }
        let left = registry.timeout.saturating_sub(now.saturating_sub(begun));
        let answer = registry.client.fetch(id, &mut state.referenced, left).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err((why, wanted)) => {
                let registry_wait = state.pause.failed(why.clone(), wanted, clock.monotonic());
                return Err(self.failed(registry, id, why, registry_wait).into());
            }
        };
        state.pause.succeeded();
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
                return self.not_found(&mut state, product, id, format!("id {id}"));
            }
            RegistryAnswer::Missing { subject, version } => {
                let why = format!(
                    "id {id} refers to version {version} of the subject {subject:?}, which is missing"
                );
                return self.not_found(&mut state, product, id, why);
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
        registry: &RegistrySource,
        id: u32,
        why: RegistryFailure,
        wait: Duration,
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
        let retry_after = failed.failed(id, why.clone(), wait, self.around.clock.monotonic());
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
    pub(super) fn settled(&self, registry: &RegistrySource, id: u32) {
        let mut failed = registry
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed.forget(id);
        self.report_settled(&failed);
    }

    pub(super) fn report_settled(&self, failed: &FailedIds) {
        if failed.is_empty() && self.around.health.over(&Component::Registry) {
            info!("no record waits for the schema registry any more");
        }
    }

    fn not_found(
        &self,
        state: &mut RegistryState,
        product: &ProductKey,
        id: u32,
        why: String,
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
    pub(super) fn report_unknown(&self) {
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

impl RegistryState {
    /// Returns the outcome of the look-up of an id that may not be requested now; `None` if it may.
    fn without_request(
        &self,
        registry: &RegistrySource,
        product: &ProductKey,
        id: u32,
        now: Duration,
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
        let closed = [self.pause.closed(now), own].into_iter().flatten();
        let (why, retry_after) = closed.max_by_key(|(_, wait)| *wait)?;
        Some(Err(RegistryUnavailable { why, retry_after }.into()))
    }
}
