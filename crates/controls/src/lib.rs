//! Controls: holds, contract ends, withdrawals of consent, activations of policies, and all other
//! changes of what writers may do.
//!
//! Invariants: a control is in force in every table that it covers once [`place`] or [`notify`]
//! returns, and a hold covers at least the rows that its scope names. The rows that a control
//! covers are determined without I/O. A thin service appends and commits controls, finishes
//! interrupted calls, and forgets controls that are over.

mod activate;
mod activation;
mod active;
mod active_policy;
mod append;
mod apply;
mod commit_identity;
mod control;
mod covering;
mod decide;
mod forget;
mod hold;
mod ingest_effect;
mod log;
mod notice;
mod notify;
mod parked;
mod parked_notice;
mod plausible;
mod policy_mismatch;
mod preview;
mod recent_counts;
mod service;
mod shared;
mod subject;
mod triggers;

pub use activate::{ActivateError, ActivatedPolicy, activate};
pub use activation::PolicyActivation;
pub use active::{InactivePolicyError, UsePolicyError, record_active, require_active};
pub use active_policy::{InactivePolicy, no_longer_active};
pub use apply::{
    ApplyControlsError, ControlsApplier, NotInForceError, settle, tables_and_controls,
};
pub use commit_identity::CommitIdentity;
pub use control::{Control, PastHold, Release};
pub use covering::{Holds, SegmentView, reading};
pub use decide::{DecideError, confirm, reject};
pub use forget::{FORGET_AFTER, ForgetReport, forget};
pub use hold::{Hold, HoldId, Scope, ScopeError, TimeRange};
pub use ingest_effect::{ControlsEffect, changes_ingest};
pub use log::{Controls, HoldState, LoggedHold};
pub use notice::{
    ConsentWithdrawal, ContractEnd, Notice, NoticeError, PastWithdrawal, RecordCounts,
};
pub use notify::{
    NoticeOutcome, NoticePreview, NotifyError, Screening, ScreeningOutcome, consider, notify,
    notify_screened,
};
pub use parked::{LoggedNotice, ParkedState};
pub use parked_notice::{
    NoticeDecision, ParkedDecision, ParkedNotice, PastParkedNotice, TriggerNotice,
};
pub use plausible::{ImplausibleDate, most_without_confirmation, screen_date};
pub use policy_mismatch::PolicyMismatchError;
pub use preview::{Preview, PreviewError, TableEffect};
pub use service::{
    HoldOrder, PlaceHoldError, PlacedHold, ReleaseHoldError, ReleasedHold, place, release,
};
pub use shared::SharedControls;
pub use subject::{IdentifierKind, Subject, SubjectError};
pub use triggers::{NoticeInForce, ProductNotices};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
