//! All controls of a root in memory: read from the control log, kept up to date by reading what is new.
//!
//! Promises that a control it does not understand is an error and never passed over, and that a log shorter than what a
//! table knows is one too.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use super::control::{Control, PastHold, Release};
use super::covering::Holds;
use super::hold::{Hold, HoldId};
use super::shared::SharedControls;
use crate::ids::PolicyVersion;
use crate::policy::Policy;
use crate::store::{ControlLog, ControlsVersion, Root, StoreError};

/// All controls up to one version.
#[derive(Debug, Clone, Default)]
pub struct Controls {
    controls: Vec<(ControlsVersion, Control)>,
    /// The policies that were ever active, once somebody asked: to understand a policy costs as much as to check it.
    pub(super) policies: OnceLock<Vec<Arc<Policy>>>,
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// It is in force.
    InForce,
    /// Its end has come.
    Ended,
    /// It was released.
    Released {
        /// When.
        at: DateTime<Utc>,
        /// By which control.
        by: ControlsVersion,
    },
}

/// A hold that the log tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHold<'a> {
    /// The version of its control.
    pub version: ControlsVersion,
    /// The hold; without what it covered, once that is forgotten.
    pub hold: Result<&'a Hold, &'a PastHold>,
    /// Where it stands.
    pub state: HoldState,
}

impl Controls {
    /// Reads all controls. `known` is the version that the caller's table is at, read before this call: a log that ends
    /// before it has lost an order.
    pub async fn load(root: &Root, known: ControlsVersion) -> Result<Controls, StoreError> {
        let mut controls = Controls::default();
        controls.refresh(root, known).await?;
        Ok(controls)
    }

    /// Reads what was appended since.
    pub async fn refresh(&mut self, root: &Root, known: ControlsVersion) -> Result<(), StoreError> {
        if let Some(more) = self.more(root, known).await? {
            *self = more;
        }
        Ok(())
    }

    /// The same with what was appended since; `None` where that is nothing.
    pub(super) async fn more(&self, root: &Root, known: ControlsVersion) -> Result<Option<Controls>, StoreError> {
        let log = ControlLog::open(root);
        let newest = log.newest().await?;
        if newest < self.version() {
            return Err(lost(newest, self.version()));
        }
        let more = match newest > self.version() {
            true => {
                let mut more = self.clone();
                for (version, value) in log.load_from(self.version().next()).await? {
                    more.push(version, Control::parse(version, value)?);
                }
                Some(more)
            }
            false => None,
        };
        let version = more.as_ref().map_or(self.version(), Controls::version);
        if version < known { Err(lost(version, known)) } else { Ok(more) }
    }

    fn push(&mut self, version: ControlsVersion, control: Control) {
        if control.activation().is_some() {
            self.policies = OnceLock::new();
        }
        self.controls.push((version, control));
    }

    /// Goes by another control in the place of one that it read.
    pub(super) fn replace(&mut self, version: ControlsVersion, by: Control) {
        if let Some((_, control)) = self.controls.iter_mut().find(|(of, _)| *of == version) {
            *control = by;
        }
    }

    /// Controls as they were read, oldest first and from version 1 on.
    #[cfg(test)]
    pub(super) fn of(controls: impl IntoIterator<Item = Control>) -> Controls {
        Controls { controls: (1..).map(ControlsVersion).zip(controls).collect(), policies: OnceLock::new() }
    }

    /// The newest version.
    #[must_use]
    pub fn version(&self) -> ControlsVersion {
        self.controls.last().map(|(version, _)| *version).unwrap_or_default()
    }

    /// Every control with its version, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(ControlsVersion, Control)> {
        self.controls.iter()
    }

    /// The holds that are in force at `now`: placed, not released, not ended.
    #[must_use]
    pub fn in_force(&self, now: DateTime<Utc>) -> Holds {
        let live = self.holds(now).into_iter().filter(|known| known.state == HoldState::InForce);
        Holds::new(live.filter_map(|known| known.hold.ok().cloned()).collect())
    }

    /// Every hold that there ever was, in the order they were placed.
    #[must_use]
    pub fn holds(&self, now: DateTime<Utc>) -> Vec<KnownHold<'_>> {
        let holds = self.controls.iter().filter_map(|(version, control)| {
            let (id, hold) = match control {
                Control::Hold(hold) => (&hold.id, Ok(hold)),
                Control::PastHold(past) => (&past.id, Err(past)),
                _ => return None,
            };
            let state = match self.release_of(id) {
                Some((by, release)) => HoldState::Released { at: release.released_at, by },
                None if hold.is_ok_and(|hold| hold.lasts(now)) => HoldState::InForce,
                None => HoldState::Ended,
            };
            Some(KnownHold { version: *version, hold, state })
        });
        holds.collect()
    }

    /// The control that released a hold, if one did.
    fn release_of(&self, id: &HoldId) -> Option<(ControlsVersion, &Release)> {
        self.controls.iter().find_map(|(version, control)| match control {
            Control::Release(release) if release.hold == *id => Some((*version, release)),
            _ => None,
        })
    }
}

/// The log ends at `newest`, and somebody has seen control `known`.
fn lost(newest: ControlsVersion, known: ControlsVersion) -> StoreError {
    let version = u64::try_from(newest.next().0).unwrap_or(0);
    StoreError::ControlsUnreadable { version, what: format!("it is missing, and a table knows {}", known.0) }
}

impl KnownHold<'_> {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &HoldId {
        self.hold.map_or_else(|past| &past.id, |hold| &hold.id)
    }
}

/// What controls that came since a batch was made mean for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// Ingest does nothing otherwise under them: it stands under them as it is.
    Stands,
    /// It must be made anew.
    Anew,
    /// Another policy is active: nothing may be made under the one that it was made under.
    Policy(PolicyVersion),
}

/// What the controls after `since` up to the newest mean for a batch that was made under `policy`. Errors if it cannot be told.
pub async fn changes_ingest(
    controls: &SharedControls,
    (since, known): (ControlsVersion, ControlsVersion),
    policy: &PolicyVersion,
) -> Result<Since, StoreError> {
    let controls = controls.newest(known).await?;
    if let Some((_, active)) = controls.active()
        && active.version != *policy
    {
        return Ok(Since::Policy(active.version.clone()));
    }
    let changed = controls.iter().filter(|(version, _)| *version > since).any(|(_, control)| control.changes_ingest());
    Ok(if changed { Since::Anew } else { Since::Stands })
}
