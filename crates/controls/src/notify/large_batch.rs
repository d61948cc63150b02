//! Counts the records that a batch of notices would make due immediately.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{NoticeState, Screening};
use crate::control::Control;
use crate::notice::NoticeError;
use crate::notice::RecordCounts;
use crate::parked_notice::TriggerNotice;
use crate::preview::{Preview, PreviewError, TableEffect};
use ebbtide_config::NoticeLimits;
use ebbtide_policy::Policy;
use ebbtide_table::Root;

/// The notices of a batch that would make too many records due immediately, together with those
/// before them that pass.
pub(super) struct LargeBatch {
    /// `None` if there are no limits: nothing is counted then.
    counting: Option<(Box<Preview>, NoticeLimits)>,
    /// The notices that pass.
    passed: Vec<Control>,
    /// The notices that were counted, by their index in the batch, with the first table in which
    /// they would make too many records due.
    seen: HashMap<usize, Option<TableEffect>>,
    /// The records that the passing notices make due.
    made_due: RecordCounts,
    /// The part of them that no control records yet.
    unrecorded: RecordCounts,
}

/// The notices of a batch, as they were found before any of them is recorded.
pub(super) struct CheckedNotices {
    /// The state of each.
    pub(super) states: Vec<Result<NoticeState, NoticeError>>,
    /// The records that earlier notices made due in the 24 hours before.
    pub(super) recent: RecordCounts,
    /// The time of the check.
    pub(super) now: DateTime<Utc>,
}

impl LargeBatch {
    pub(super) async fn of(
        root: &Root,
        policy: &Policy,
        notices: CheckedNotices,
        screening: &Screening,
    ) -> Result<LargeBatch, PreviewError> {
        let CheckedNotices {
            states,
            recent,
            now,
        } = notices;
        let new = states
            .into_iter()
            .enumerate()
            .filter_map(|(place, state)| match state {
                Ok(NoticeState::New(new)) => Some((place, new.control())),
                _ => None,
            });
        let new: Vec<(usize, Control)> = new.collect();
        let limits = screening
            .limits
            .filter(|limits| limits.max_share < 1.0 && !new.is_empty());
        let counting = match limits {
            Some(limits) => Some((Box::new(Preview::open(root, policy, recent).await?), limits)),
            None => None,
        };
        let mut large = LargeBatch {
            counting,
            passed: Vec::new(),
            seen: HashMap::new(),
            made_due: RecordCounts::new(),
            unrecorded: RecordCounts::new(),
        };
        large.search(&new, now).await?;
        Ok(large)
    }

    /// Counts notices together. Counts them in halves only if that is too much: most batches need
    /// one count.
    async fn search(
        &mut self,
        notices: &[(usize, Control)],
        now: DateTime<Utc>,
    ) -> Result<(), PreviewError> {
        let mut open = vec![notices];
        while let Some(some) = open.pop() {
            let Some((preview, limits)) = &mut self.counting else {
                return Ok(());
            };
            let together: Vec<&Control> = self
                .passed
                .iter()
                .chain(some.iter().map(|(_, control)| control))
                .collect();
            let effects = preview.due(&together, now, limits).await?;
            let too_much = effects
                .iter()
                .find(|effect| effect.is_too_much(limits))
                .cloned();
            match (too_much, some) {
                (None, some) => {
                    self.seen
                        .extend(some.iter().map(|(place, _)| (*place, None)));
                    self.passed
                        .extend(some.iter().map(|(_, control)| control.clone()));
                    self.record(&effects);
                }
                (Some(effect), [(place, _)]) => {
                    self.seen.insert(*place, Some(effect));
                }
                (Some(_), some) => {
                    let (first, second) = some.split_at(some.len() / 2);
                    open.extend([second, first]);
                }
            }
        }
        Ok(())
    }

    /// Adds the records that all passing notices make due.
    fn record(&mut self, effects: &[TableEffect]) {
        for effect in effects.iter().filter(|effect| effect.due > 0) {
            let before = self
                .made_due
                .insert(effect.product.clone(), effect.due)
                .unwrap_or_default();
            *self.unrecorded.entry(effect.product.clone()).or_default() +=
                effect.due.saturating_sub(before);
        }
    }

    /// Takes the records that the next control must record: together, the controls of a batch
    /// record all of them.
    pub(super) fn take_made_due(&mut self) -> RecordCounts {
        std::mem::take(&mut self.unrecorded)
    }

    /// Returns the first table in which the notice at that index would make too many records due.
    pub(super) async fn of_one(
        &mut self,
        place: usize,
        notice: &TriggerNotice,
        now: DateTime<Utc>,
    ) -> Result<Option<TableEffect>, PreviewError> {
        if !self.seen.contains_key(&place) {
            // It may pass only because a notice before it was applied.
            self.search(&[(place, notice.control())], now).await?;
        }
        Ok(self.seen.get(&place).cloned().flatten())
    }
}
