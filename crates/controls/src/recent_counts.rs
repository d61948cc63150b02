//! The records that recent notices made due without confirmation by a person. They are summed up,
//! so that many small notices cannot make a whole table due.

use chrono::{DateTime, TimeDelta, Utc};

use super::control::Control;
use super::log::Controls;
use super::notice::RecordCounts;

/// The period for which the records that a notice made due are added to those of later notices.
const TOGETHER: TimeDelta = TimeDelta::hours(24);

impl Controls {
    /// Returns the records that the notices of the 24 hours before `now` made due when they were
    /// applied. Notices that a person confirmed and those that are parked do not count.
    #[must_use]
    pub fn made_due_recently(&self, now: DateTime<Utc>) -> RecordCounts {
        let from = now
            .checked_sub_signed(TOGETHER)
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mut sums = RecordCounts::new();
        for (_, control) in self.iter() {
            let (recorded_at, made_due) = match control {
                Control::ContractEnd(end) => (end.recorded_at, &end.made_due),
                Control::ConsentWithdrawal(withdrawal) => {
                    (withdrawal.recorded_at, &withdrawal.made_due)
                }
                Control::PastWithdrawal(past) => (past.recorded_at, &past.made_due),
                _ => continue,
            };
            if recorded_at > from {
                made_due
                    .iter()
                    .for_each(|(product, due)| *sums.entry(product.clone()).or_default() += due);
            }
        }
        sums
    }
}
