//! The actions of a sweep. A new action is a new type and one more arm in [`SweepAction::kind`].

use std::fmt;

use super::expire::drop::DropColumns;
use super::expire::end::EndRecords;
use super::migrate::apply::MigratePolicy;
use super::segment_action::SegmentAction;
use super::triggers::apply::ApplyTriggers;

/// The action on segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweepAction {
    /// The columns of some categories are dropped.
    Drop(DropColumns),
    /// The records end in the way that the product's policy says.
    End(EndRecords),
    /// The tags and columns are brought up to date with the active policy.
    Migrate(MigratePolicy),
    /// The tags of rows whose trigger came are brought up to date.
    ApplyTriggers(ApplyTriggers),
}

impl SweepAction {
    /// Returns the action as what all actions have in common.
    #[must_use]
    pub fn kind(&self) -> &dyn SegmentAction {
        match self {
            SweepAction::Drop(action) => action,
            SweepAction::End(action) => action,
            SweepAction::Migrate(action) => action,
            SweepAction::ApplyTriggers(action) => action,
        }
    }
}

impl fmt::Display for SweepAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind().describe())
    }
}
