//! The problems that keep this process from being ready, and the times at which they began. The
//! tasks set them, and `/readyz` shows them.
//!
//! A problem stays until the task that reported it clears it. A reason must never contain a secret
//! or a record's value.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::clock::SharedClock;
use crate::ids::{ProductKey, Topic, TopicPartition};

/// A part of an instance that can have a problem.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// The process has not begun to read yet, or has stopped reading for good.
    Process,
    /// The Kafka brokers.
    Broker,
    /// The schema registry.
    Registry,
    /// The table of one product.
    Table(ProductKey),
    /// One topic that is read.
    Topic(Topic),
    /// One topic partition.
    Partition(TopicPartition),
    /// The wall clock.
    Clock,
    /// Files of one folder that should be deleted: a product's table, or `_controls`, `_uploads`,
    /// `_quarantine`.
    Files(String),
    /// The dead letters of one product.
    Letters(ProductKey),
    /// One lane, by its number.
    Lane(usize),
    /// The reader of notices.
    Notices,
}

impl Component {
    /// Returns the part's name in `/readyz`: `broker`, `table/sms`, `partition/traffic.sms/3`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Component::Process => "process".to_owned(),
            Component::Broker => "broker".to_owned(),
            Component::Registry => "registry".to_owned(),
            Component::Table(product) => format!("table/{product}"),
            Component::Topic(topic) => format!("topic/{topic}"),
            Component::Partition(partition) => format!("partition/{partition}"),
            Component::Clock => "clock".to_owned(),
            Component::Files(folder) => format!("files/{folder}"),
            Component::Letters(product) => format!("letters/{product}"),
            Component::Lane(number) => format!("lane/{number}"),
            Component::Notices => "notices".to_owned(),
        }
    }
}

/// The problem of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthProblem {
    /// The part's name ([`Component::name`]).
    pub part: String,
    /// The reason, in one sentence without a full stop.
    pub reason: String,
    /// The time at which the problem began.
    pub since: DateTime<Utc>,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True if no part has a problem.
    pub ready: bool,
    /// The problems, in the order of the parts.
    pub troubles: Vec<HealthProblem>,
}

/// The current problems.
pub struct Health {
    clock: SharedClock,
    troubles: Mutex<BTreeMap<Component, (String, DateTime<Utc>)>>,
}

impl Health {
    /// Creates the health of a process that is starting: not ready until [`Health::over`] is called
    /// for [`Component::Process`].
    #[must_use]
    pub fn starting(clock: SharedClock) -> Self {
        let health = Self {
            clock,
            troubles: Mutex::default(),
        };
        health.trouble(Component::Process, "starting");
        health
    }

    /// Reports a problem of `part`. Returns true if there was none before, so that the caller logs
    /// it once. A new reason replaces the old one, and the time of the beginning is kept.
    pub fn trouble(&self, part: Component, reason: impl Into<String>) -> bool {
        let now = self.clock.now();
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        let trouble = troubles.entry(part).or_insert_with(|| {
            is_new = true;
            (String::new(), now)
        });
        trouble.0 = reason.into();
        is_new
    }

    /// Clears the problem of `part`. Returns true if there was one.
    pub fn over(&self, part: &Component) -> bool {
        self.troubles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(part)
            .is_some()
    }

    /// Returns the current problems.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(part, (reason, since)): (&Component, &(String, DateTime<Utc>))| HealthProblem {
            part: part.name(),
            reason: reason.clone(),
            since: *since,
        };
        Readiness {
            ready: troubles.is_empty(),
            troubles: troubles.iter().map(one).collect(),
        }
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health")
            .field("readiness", &self.readiness())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_process_is_ready_only_once_it_has_started_and_nothing_is_in_trouble() {
        let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
        let health = Health::starting(clock.clone());
        assert!(!health.readiness().ready);
        assert!(health.over(&Component::Process));
        assert!(health.readiness().ready);

        assert!(health.trouble(Component::Registry, "refused"));
        clock.advance(Duration::from_secs(5));
        assert!(
            !health.trouble(Component::Registry, "timed out"),
            "the trouble is still the same"
        );
        let now = health.readiness();
        assert!(!now.ready);
        assert_eq!(now.troubles[0].reason, "timed out");
        assert_eq!(now.troubles[0].since, DateTime::UNIX_EPOCH);

        assert!(health.over(&Component::Registry));
        assert!(!health.over(&Component::Registry));
        assert!(health.readiness().ready);
    }
}
