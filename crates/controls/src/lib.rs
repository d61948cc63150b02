//! Controls: holds, contract ends, withdrawals of consent, activations of policies, and all other changes of what
//! writers may do.
//!
//! Invariants: a control is in force in every table that it covers once [`place`] or [`notify`] returns, and a hold
//! covers at least the rows that its scope names. The rows that a control covers are determined without I/O. A thin
//! service appends and commits controls, finishes interrupted calls, and forgets controls that are over.

mod activate;
mod activation;
mod active;
mod control;
mod covering;
mod forget;
mod hold;
mod log;
mod notice;
mod notify;
mod parked;
mod plausible;
mod preview;
mod recent;
mod service;
mod settle;
mod shared;
mod stored;
mod subject;
mod triggers;

pub use activate::{ActivateError, Activated, activate};
pub use activation::{NotActive, PolicyActivation, no_longer_active};
pub use active::{ActiveError, NotActiveHere, record_active, require_active};
pub use control::{Control, PastHold, Release};
pub use covering::{Holds, SegmentView, reading};
pub use forget::{FORGET_AFTER, ForgetReport, forget};
pub use hold::{Hold, HoldId, Scope, ScopeError, TimeRange};
pub use log::{Controls, HoldState, KnownHold, Since, changes_ingest};
pub use notice::{ConsentWithdrawal, ContractEnd, Notice, NoticeError, PastWithdrawal};
pub use notify::{Considered, Noted, NotifyError, Screened, Screening, consider, notify, notify_screened};
pub use parked::{
    DecideError, Decision, KnownParked, NoticeDecision, ParkedNotice, ParkedState, PastParkedNotice, TriggerNotice,
    confirm, reject,
};
pub use plausible::{Implausible, most_at_once, screen_date};
pub use preview::{Preview, PreviewError, TableEffect};
pub use recent::RecordCounts;
pub use service::{Order, PlaceError, Placed, ReleaseError, Released, Signature, place, release};
pub use settle::{NotInForce, SettleError, Settler, settle, standing};
pub use shared::SharedControls;
pub use stored::StoredOtherwise;
pub use subject::{IdentifierKind, Subject, SubjectError};
pub use triggers::{InForce, Notices};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
