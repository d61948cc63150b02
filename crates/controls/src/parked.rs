//! The parked notices of a root, as the controls have them.

use chrono::{DateTime, Utc};

use super::control::Control;
use super::log::Controls;
use super::parked_notice::{NoticeDecision, ParkedDecision, ParkedNotice, TriggerNotice};
use ebbtide_table::ControlsVersion;

/// The state of a parked notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedState {
    /// It waits for a person.
    Waiting,
    /// It was decided.
    Decided(ParkedDecision),
    /// It needs no decision: every record that it could concern is past its window.
    Over,
}

/// A parked notice of the log.
#[derive(Debug, Clone, Copy)]
pub struct LoggedNotice<'a> {
    /// The version of its control: its number in commands.
    pub version: ControlsVersion,
    /// The notice.
    pub notice: &'a ParkedNotice,
    /// The state of the notice.
    pub state: ParkedState,
    /// The decision, if there is one.
    pub decision: Option<&'a NoticeDecision>,
}

impl Controls {
    /// Returns every parked notice whose content is known, in the order in which they were parked.
    #[must_use]
    pub fn parked(&self, now: DateTime<Utc>) -> Vec<LoggedNotice<'_>> {
        let parked = self.iter().filter_map(|(version, control)| match control {
            Control::ParkedNotice(notice) => Some((*version, notice)),
            _ => None,
        });
        let known = parked.map(|(version, notice)| {
            let decision = self.decision_of(version);
            let over =
                matches!(&notice.notice, TriggerNotice::ConsentWithdrawal(withdrawal) if withdrawal.until <= now);
            let state = match decision {
                Some(decision) => ParkedState::Decided(decision.decision),
                None if over => ParkedState::Over,
                None => ParkedState::Waiting,
            };
            LoggedNotice { version, notice, state, decision }
        });
        known.collect()
    }

    /// Returns the first decision about a parked notice.
    pub(super) fn decision_of(&self, parked: ControlsVersion) -> Option<&NoticeDecision> {
        self.iter().find_map(|(_, control)| match control {
            Control::NoticeDecision(decision) if decision.parked == parked.0 => Some(decision),
            _ => None,
        })
    }
}
