//! All controls of a root in memory, read from the control log and updated by reading its new
//! entries.
//!
//! Invariants: a control that this version does not understand is an error and is never skipped. A
//! log that ends before the version that a table has is an error too.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use super::control::{Control, PastHold, Release};
use super::covering::Holds;
use super::hold::{Hold, HoldId};
use ebbtide_policy::Policy;
use ebbtide_table::{ControlLog, ControlsVersion, Root, StoreError};

/// All controls up to one version.
#[derive(Debug, Clone, Default)]
pub struct Controls {
    controls: Vec<(ControlsVersion, Control)>,
    /// The policies that were ever active, parsed at the first use: parsing a policy costs as much
    /// as checking it.
    pub(super) policies: OnceLock<Vec<Arc<Policy>>>,
}

/// The state of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// It is in force.
    InForce,
    /// It has ended.
    Ended,
    /// It was released.
    Released {
        /// The time of the release.
        at: DateTime<Utc>,
        /// The version of the control that released it.
        by: ControlsVersion,
    },
}

/// A hold of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedHold<'a> {
    /// The version of its control.
    pub version: ControlsVersion,
    /// The hold, or its remainder once its scope is forgotten.
    pub hold: Result<&'a Hold, &'a PastHold>,
    /// The state of the hold.
    pub state: HoldState,
}

impl Controls {
    /// Reads all controls. `known` is the version of the controls of the caller's table, read
    /// before this call. Errors if the log ends before that version, because it has then lost a
    /// control.
    pub async fn load(root: &Root, known: ControlsVersion) -> Result<Controls, StoreError> {
        let mut controls = Controls::default();
        controls.refresh(root, known).await?;
        Ok(controls)
    }

    /// Reads the controls that were appended since the last read. `known` and errors as for
    /// [`Controls::load`].
    pub async fn refresh(&mut self, root: &Root, known: ControlsVersion) -> Result<(), StoreError> {
        if let Some(more) = self.more(root, known).await? {
            *self = more;
        }
        Ok(())
    }

    /// Returns these controls with those that were appended since the last read; `None` if there
    /// are none.
    pub(super) async fn more(
        &self,
        root: &Root,
        known: ControlsVersion,
    ) -> Result<Option<Controls>, StoreError> {
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
        if version < known {
            Err(lost(version, known))
        } else {
            Ok(more)
        }
    }

    fn push(&mut self, version: ControlsVersion, control: Control) {
        if control.activation().is_some() {
            self.policies = OnceLock::new();
        }
        self.controls.push((version, control));
    }

    /// Replaces a control in memory.
    pub(super) fn replace(&mut self, version: ControlsVersion, by: Control) {
        if let Some((_, control)) = self.controls.iter_mut().find(|(of, _)| *of == version) {
            *control = by;
        }
    }

    /// Returns controls with the versions from 1 on, oldest first.
    #[cfg(test)]
    pub(super) fn from_controls(controls: impl IntoIterator<Item = Control>) -> Controls {
        Controls {
            controls: (1..).map(ControlsVersion).zip(controls).collect(),
            policies: OnceLock::new(),
        }
    }

    /// Returns the newest version.
    #[must_use]
    pub fn version(&self) -> ControlsVersion {
        self.controls
            .last()
            .map(|(version, _)| *version)
            .unwrap_or_default()
    }

    /// Returns every control with its version, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(ControlsVersion, Control)> {
        self.controls.iter()
    }

    /// Returns the holds that are in force at `now`: placed, not released, not ended.
    #[must_use]
    pub fn in_force(&self, now: DateTime<Utc>) -> Holds {
        let live = self
            .holds(now)
            .into_iter()
            .filter(|known| known.state == HoldState::InForce);
        Holds::new(live.filter_map(|known| known.hold.ok().cloned()).collect())
    }

    /// Returns every hold that was ever placed, in the order of placement.
    #[must_use]
    pub fn holds(&self, now: DateTime<Utc>) -> Vec<LoggedHold<'_>> {
        let holds = self.controls.iter().filter_map(|(version, control)| {
            let (id, hold) = match control {
                Control::Hold(hold) => (&hold.id, Ok(hold)),
                Control::PastHold(past) => (&past.id, Err(past)),
                _ => return None,
            };
            let state = match self.release_of(id) {
                Some((by, release)) => HoldState::Released {
                    at: release.released_at,
                    by,
                },
                None if hold.is_ok_and(|hold| hold.lasts(now)) => HoldState::InForce,
                None => HoldState::Ended,
            };
            Some(LoggedHold {
                version: *version,
                hold,
                state,
            })
        });
        holds.collect()
    }

    /// Returns the control that released a hold, if there is one.
    fn release_of(&self, id: &HoldId) -> Option<(ControlsVersion, &Release)> {
        self.controls
            .iter()
            .find_map(|(version, control)| match control {
                Control::Release(release) if release.hold == *id => Some((*version, release)),
                _ => None,
            })
    }
}

/// Returns the error for a log that ends at `newest` although a table or an earlier read has seen
/// control `known`.
fn lost(newest: ControlsVersion, known: ControlsVersion) -> StoreError {
    let version = u64::try_from(newest.next().0).unwrap_or(0);
    StoreError::ControlsUnreadable {
        version,
        what: format!("it is missing, and a table has seen control {}", known.0),
    }
}

impl LoggedHold<'_> {
    /// Returns the name of the hold.
    #[must_use]
    pub fn id(&self) -> &HoldId {
        self.hold.map_or_else(|past| &past.id, |hold| &hold.id)
    }
}
