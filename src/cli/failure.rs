//! The reason why a command has no result: the text of an error and the exit code for it.
//!
//! The services return typed errors. Here is decided which of them the caller can fix.

use std::fmt::{self, Display};

use super::CommandOutput;
use super::context::CliContextError;
use super::exit_codes::{CLOCK_NOT_TRUSTED, PROBLEM, WRONG_USE};
use super::root_args::LocateRootError;
use super::stdin::StdinError;
use super::time_arg::ParseTimeError;
use ebbtide_controls::{ActivateError, DecideError, PlaceHoldError, ScopeError, SubjectError};
use ebbtide_query::ViewError;
use ebbtide_services::clock::ClockError;
use ebbtide_services::commit_clock::CommitClockError;
use ebbtide_services::compact::RunCompactionError;
use ebbtide_services::history::HistoryError;
use ebbtide_services::holds::{HoldRequestError, ReleaseError, RepairError};
use ebbtide_services::maintenance_setup::MaintenanceSetupError;
use ebbtide_services::notices::{NoticeDateError, ParkedNoticeError, RecordNoticeError};
use ebbtide_services::partitions::PartitionError;
use ebbtide_services::policy::{ExplainPolicyError, PolicyChangeError, PolicyTextError};
use ebbtide_services::policy_file::ReadPolicyError;
use ebbtide_services::residue::ResidueError;
use ebbtide_services::sweep::RunSweepError;
use ebbtide_services::why::WhyError;
use ebbtide_table::StoreError;

/// The reason why a command has no result.
#[derive(Debug)]
pub(super) struct CommandFailure {
    text: String,
    code: u8,
}

impl CommandFailure {
    /// Creates the failure of a wrong use, which the caller can fix.
    pub(super) fn usage(error: impl Display) -> Self {
        Self::new(error, WRONG_USE)
    }

    /// Creates the failure of a command that was used right.
    pub(super) fn failed(error: impl Display) -> Self {
        Self::new(error, PROBLEM)
    }

    fn new(error: impl Display, code: u8) -> Self {
        Self {
            text: error.to_string(),
            code,
        }
    }

    /// Creates a wrong use if `is_use` is true, otherwise a failure.
    fn either(error: impl Display, is_use: bool) -> Self {
        Self::new(error, if is_use { WRONG_USE } else { PROBLEM })
    }

    /// Returns the outcome of the command.
    pub(super) fn outcome(self) -> CommandOutput {
        CommandOutput {
            err: format!("error: {self}\n"),
            code: self.code,
            ..CommandOutput::default()
        }
    }
}

impl Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for CommandFailure {}

impl From<LocateRootError> for CommandFailure {
    fn from(error: LocateRootError) -> Self {
        Self::usage(error)
    }
}

impl From<CliContextError> for CommandFailure {
    fn from(error: CliContextError) -> Self {
        let is_use = !matches!(error, CliContextError::Controls(_));
        Self::either(error, is_use)
    }
}

impl From<ParseTimeError> for CommandFailure {
    fn from(error: ParseTimeError) -> Self {
        Self::usage(error)
    }
}

impl From<ReadPolicyError> for CommandFailure {
    fn from(error: ReadPolicyError) -> Self {
        Self::usage(error)
    }
}

impl From<StoreError> for CommandFailure {
    fn from(error: StoreError) -> Self {
        Self::failed(error)
    }
}

impl From<CommitClockError> for CommandFailure {
    fn from(error: CommitClockError) -> Self {
        match error {
            CommitClockError::Untrusted { .. } => Self::new(error, CLOCK_NOT_TRUSTED),
            error => Self::failed(error),
        }
    }
}

impl From<ViewError> for CommandFailure {
    fn from(error: ViewError) -> Self {
        let is_use = matches!(error, ViewError::NoBucket { .. });
        Self::either(error, is_use)
    }
}

impl From<HistoryError> for CommandFailure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::View(error) => error.into(),
            error => Self::usage(error),
        }
    }
}

impl From<WhyError> for CommandFailure {
    fn from(error: WhyError) -> Self {
        match error {
            WhyError::View(error) => error.into(),
            WhyError::Controls(error) => error.into(),
        }
    }
}

impl From<ExplainPolicyError> for CommandFailure {
    fn from(error: ExplainPolicyError) -> Self {
        let is_use = !matches!(error, ExplainPolicyError::Faulty(_));
        Self::either(error, is_use)
    }
}

impl From<PolicyTextError> for CommandFailure {
    fn from(error: PolicyTextError) -> Self {
        Self::failed(error)
    }
}

impl From<PolicyChangeError> for CommandFailure {
    fn from(error: PolicyChangeError) -> Self {
        let is_use = match &error {
            PolicyChangeError::Unreadable(_)
            | PolicyChangeError::NoPolicy
            | PolicyChangeError::Faulty { .. }
            | PolicyChangeError::Activate(
                ActivateError::Used(_) | ActivateError::Faulty | ActivateError::Stored(_),
            ) => true,
            PolicyChangeError::Record(error) => error.is_other_policy(),
            _ => false,
        };
        match error {
            PolicyChangeError::Clock(error) => error.into(),
            error => Self::either(error, is_use),
        }
    }
}

impl From<StdinError> for CommandFailure {
    fn from(error: StdinError) -> Self {
        Self::usage(error)
    }
}

impl From<SubjectError> for CommandFailure {
    fn from(error: SubjectError) -> Self {
        Self::usage(error)
    }
}

impl From<ClockError> for CommandFailure {
    fn from(error: ClockError) -> Self {
        match error {
            ClockError::NoRoot(_) => Self::usage(error),
            ClockError::Look(error) => error.into(),
            ClockError::Store(error) => error.into(),
        }
    }
}

impl From<MaintenanceSetupError> for CommandFailure {
    fn from(error: MaintenanceSetupError) -> Self {
        let is_use = match &error {
            MaintenanceSetupError::Active(error) => error.is_other_policy(),
            MaintenanceSetupError::Unfit(_) => false,
            _ => true,
        };
        Self::either(error, is_use)
    }
}

impl From<PartitionError> for CommandFailure {
    fn from(error: PartitionError) -> Self {
        match error {
            PartitionError::Setup(error) => error.into(),
            PartitionError::Clock(error) => error.into(),
            PartitionError::Topic(_) | PartitionError::Properties(_) => Self::usage(error),
            error => Self::failed(error),
        }
    }
}

impl From<RunSweepError> for CommandFailure {
    fn from(error: RunSweepError) -> Self {
        match error {
            RunSweepError::Setup(error) => error.into(),
            RunSweepError::Future => Self::usage(error),
            error => Self::failed(error),
        }
    }
}

impl From<RunCompactionError> for CommandFailure {
    fn from(error: RunCompactionError) -> Self {
        match error {
            RunCompactionError::Setup(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

impl From<ResidueError> for CommandFailure {
    fn from(error: ResidueError) -> Self {
        Self::usage(error)
    }
}

impl From<HoldRequestError> for CommandFailure {
    fn from(error: HoldRequestError) -> Self {
        let is_use = match &error {
            HoldRequestError::Empty(_)
            | HoldRequestError::Product { .. }
            | HoldRequestError::NoSubject { .. }
            | HoldRequestError::Place(
                PlaceHoldError::Over(_)
                | PlaceHoldError::Scope(
                    ScopeError::Everything | ScopeError::NoTime | ScopeError::NoTenant,
                ),
            ) => true,
            HoldRequestError::Place(_)
            | HoldRequestError::Store(_)
            | HoldRequestError::Clock(_) => false,
        };
        match error {
            HoldRequestError::Clock(error) => error.into(),
            error => Self::either(error, is_use),
        }
    }
}

impl From<ReleaseError> for CommandFailure {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Clock(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

impl From<RepairError> for CommandFailure {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::NotForgotten { .. } => Self::new(error, CLOCK_NOT_TRUSTED),
            RepairError::Clock(error) => error.into(),
            error => Self::failed(error),
        }
    }
}

impl From<NoticeDateError> for CommandFailure {
    fn from(error: NoticeDateError) -> Self {
        Self::usage(error)
    }
}

impl From<RecordNoticeError> for CommandFailure {
    fn from(error: RecordNoticeError) -> Self {
        let is_use = match &error {
            RecordNoticeError::Active(error) => error.is_other_policy(),
            RecordNoticeError::Notify(_)
            | RecordNoticeError::Preview(_)
            | RecordNoticeError::Store(_) => false,
            _ => true,
        };
        match error {
            RecordNoticeError::Clock(error) => error.into(),
            error => Self::either(error, is_use),
        }
    }
}

impl From<ParkedNoticeError> for CommandFailure {
    fn from(error: ParkedNoticeError) -> Self {
        match error {
            ParkedNoticeError::Clock(error) => error.into(),
            ParkedNoticeError::Decide(DecideError::Notify(_) | DecideError::Log(_)) => {
                Self::failed(error)
            }
            ParkedNoticeError::Decide(_) => Self::usage(error),
            error => Self::failed(error),
        }
    }
}
