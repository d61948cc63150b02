//! Appends a control to the control log by the loop of all commits.
//!
//! Invariants: a control is never appended twice. After an error the log is read again, to find out
//! if the control was appended.

use super::control::{Control, same};
use super::log::Controls;
use ebbtide_table::{
    AppendError, CommitFailure, ControlLog, ControlsVersion, EntryPut, Root, StoreError,
    Transaction, commit,
};

/// A control to append, as far as the controls before it allow it.
pub(super) trait ControlDraft: Send + Sync {
    /// The reason why it is not appended.
    type Error: From<CommitFailure> + From<StoreError> + Send;

    /// Returns the control of the log that is the same, if there is one.
    fn find(&self, controls: &Controls) -> Option<(ControlsVersion, Control)>;

    /// Returns the control to append after `controls`, or refuses it.
    fn draft(&self, controls: &Controls) -> Result<Control, Self::Error>;
}

/// Appends a control after all others, unless it is in the log already, and returns its version.
pub(super) async fn append(
    root: &Root,
    controls: &mut Controls,
    control: &Control,
) -> Result<ControlsVersion, StoreError> {
    let (version, _) = append_draft(root, controls, control).await?;
    Ok(version)
}

/// A control that may follow any others, once.
impl ControlDraft for Control {
    type Error = StoreError;

    fn find(&self, controls: &Controls) -> Option<(ControlsVersion, Control)> {
        controls
            .iter()
            .find(|(_, other)| same(self, other))
            .cloned()
    }

    fn draft(&self, _: &Controls) -> Result<Control, StoreError> {
        Ok(self.clone())
    }
}

/// Appends a control after all others, unless the log has it already, and returns it with its
/// version. `controls` are read on only if another control was faster or the store failed.
pub(super) async fn append_draft<D: ControlDraft>(
    root: &Root,
    controls: &mut Controls,
    draft: &D,
) -> Result<(ControlsVersion, Control), D::Error> {
    let mut appending = ControlTransaction {
        root,
        log: ControlLog::open(root),
        controls,
        draft,
        is_read: true,
    };
    commit(&mut appending).await
}

struct ControlTransaction<'a, D> {
    root: &'a Root,
    log: ControlLog,
    controls: &'a mut Controls,
    draft: &'a D,
    /// True if the caller has read the controls just before.
    is_read: bool,
}

impl<D: ControlDraft> Transaction for ControlTransaction<'_, D> {
    type Entry = Control;
    type Done = (ControlsVersion, Control);
    type Error = D::Error;

    async fn read(&mut self) -> Result<u64, StoreError> {
        if !std::mem::take(&mut self.is_read) {
            self.controls.refresh(self.root, ControlsVersion(0)).await?;
        }
        Ok(u64::try_from(self.controls.version().next().0).unwrap_or(0))
    }

    async fn recognise(&mut self, _: Option<u64>) -> Result<Option<Self::Done>, D::Error> {
        Ok(self.draft.find(self.controls))
    }

    async fn propose(&mut self) -> Result<Control, D::Error> {
        self.draft.draft(self.controls)
    }

    async fn put(&mut self, _: u64, control: Control) -> EntryPut<Self::Done> {
        let value = match control.to_value() {
            Ok(value) => value,
            Err(error) => return EntryPut::Failed(error),
        };
        let next = self.controls.version().next();
        match self.log.append(next, &value).await {
            Ok(version) => EntryPut::Done((version, control)),
            Err(AppendError::Lost) => EntryPut::ReadOn,
            Err(AppendError::Store(error)) => EntryPut::Failed(error),
        }
    }
}
