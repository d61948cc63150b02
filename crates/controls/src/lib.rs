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
mod append;
mod apply;
mod control;
mod covering;
mod forget;
mod hold;
mod log;
mod notice;
mod notify;
mod parked;
mod plausible;
mod policy_mismatch;
mod preview;
mod recent_counts;
mod service;
mod shared;
mod subject;
mod triggers;

pub use activate::{ActivateError, ActivatedPolicy, activate};
pub use activation::{InactivePolicy, PolicyActivation, no_longer_active};
pub use active::{InactivePolicyError, UsePolicyError, record_active, require_active};
pub use apply::{
    ApplyControlsError, ControlsApplier, NotInForceError, settle, tables_and_controls,
};
pub use control::{Control, PastHold, Release};
pub use covering::{Holds, SegmentView, reading};
pub use forget::{FORGET_AFTER, ForgetReport, forget};
pub use hold::{Hold, HoldId, Scope, ScopeError, TimeRange};
pub use log::{Controls, ControlsEffect, HoldState, LoggedHold, changes_ingest};
pub use notice::{ConsentWithdrawal, ContractEnd, Notice, NoticeError, PastWithdrawal};
pub use notify::{
    NoticeOutcome, NoticePreview, NotifyError, Screening, ScreeningOutcome, consider, notify,
    notify_screened,
};
pub use parked::{
    DecideError, LoggedNotice, NoticeDecision, ParkedDecision, ParkedNotice, ParkedState,
    PastParkedNotice, TriggerNotice, confirm, reject,
};
pub use plausible::{ImplausibleDate, most_without_confirmation, screen_date};
pub use policy_mismatch::PolicyMismatchError;
pub use preview::{Preview, PreviewError, TableEffect};
pub use recent_counts::RecordCounts;
pub use service::{
    CommitIdentity, HoldOrder, PlaceHoldError, PlacedHold, ReleaseHoldError, ReleasedHold, place,
    release,
};
pub use shared::SharedControls;
pub use subject::{IdentifierKind, Subject, SubjectError};
pub use triggers::{NoticeInForce, ProductNotices};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
