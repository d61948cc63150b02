//! The holds that a sweep uses.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};

use crate::review::HoldsMark;
use ebbtide_controls::{Controls, Holds};
use ebbtide_table::ControlsVersion;

/// The holds that a sweep uses.
#[derive(Debug, Clone)]
pub struct SweepHolds {
    /// The holds in force.
    pub holds: Holds,
    /// The version of the controls that the table is under.
    pub version: ControlsVersion,
    /// A hash of the ids of the holds.
    pub(crate) mark: HoldsMark,
}

impl SweepHolds {
    /// Returns the holds of `controls` that are in force at `now`. `version` is the version that
    /// the table is under.
    #[must_use]
    pub fn at(controls: &Controls, now: DateTime<Utc>, version: ControlsVersion) -> SweepHolds {
        let holds = controls.in_force(now);
        let mut hasher = DefaultHasher::new();
        holds
            .iter()
            .for_each(|hold| hold.id.as_str().hash(&mut hasher));
        SweepHolds {
            holds,
            version,
            mark: HoldsMark(hasher.finish()),
        }
    }
}
