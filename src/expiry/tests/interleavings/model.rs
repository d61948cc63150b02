//! Plain rows, and what may become of them between two looks at the table.
//!
//! Promises to know nothing of segments, plans or commits: a record, its two deadlines, and the words of the holds.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveTime, Utc};

use crate::controls::{Control, Controls, HoldId, Scope};
use crate::expiry::testing::Sms;
use crate::store::ControlsVersion;

/// When a record's content is due, and when all of it: 7 and 30 days after the first instant of its day.
pub fn deadlines(record: &Sms) -> (DateTime<Utc>, DateTime<Utc>) {
    let day = record.sent_at.date_naive().and_time(NaiveTime::MIN).and_utc();
    (day + Days::new(7), day + Days::new(30))
}

/// A hold as it was ordered.
pub struct Ordered {
    pub case: String,
    pub scope: Scope,
    pub until: DateTime<Utc>,
}

impl Ordered {
    fn covers(&self, record: &Sms) -> bool {
        let scope = &self.scope;
        let subject = scope.subject.as_ref().is_none_or(|subject| subject.canonical() == record.recipient);
        let tenant = scope.tenant.as_ref().is_none_or(|tenant| *tenant == record.customer);
        let after = |range: &crate::controls::TimeRange| range.from.is_none_or(|from| from <= record.sent_at);
        let before = |range: &crate::controls::TimeRange| range.to.is_none_or(|to| record.sent_at < to);
        subject && tenant && scope.events.as_ref().is_none_or(|range| after(range) && before(range))
    }
}

/// What a look finds.
#[derive(Clone)]
pub struct Moment {
    pub at: DateTime<Utc>,
    /// Records that stand, by offset, and whether their content does.
    pub rows: BTreeMap<i64, bool>,
    /// The next offset of the table.
    pub next: i64,
    /// Records that a hold in force covers.
    pub held: BTreeSet<i64>,
}

/// The records that some hold covers: one that the table is under, that nobody began to release and whose end has not come.
pub fn held(
    topic: &[Sms],
    orders: &[Ordered],
    controls: (&Controls, ControlsVersion),
    at: DateTime<Utc>,
) -> BTreeSet<i64> {
    let (controls, under) = controls;
    let live = controls.iter().filter_map(|(version, control)| match control {
        Control::Hold(hold) if *version <= under => Some(hold),
        _ => None,
    });
    let released =
        |id: &HoldId| controls.iter().any(|(_, control)| matches!(control, Control::Release(by) if by.hold == *id));
    let live: Vec<&Ordered> = live
        .filter(|hold| !released(&hold.id))
        .filter_map(|hold| orders.iter().find(|order| order.case == hold.case))
        .filter(|order| at < order.until)
        .collect();
    let covered = topic.iter().enumerate().filter(|(_, record)| live.iter().any(|order| order.covers(record)));
    covered.map(|(offset, _)| i64::try_from(offset).unwrap()).collect()
}

/// Judges what happened between two looks; what was stored meanwhile arrived at `arrived`.
pub fn judge(topic: &[Sms], before: &Moment, after: &Moment, arrived: DateTime<Utc>) {
    let of = |offset: &i64| &topic[usize::try_from(*offset).unwrap()];
    for (offset, had) in &before.rows {
        let (content_due, all_due) = deadlines(of(offset));
        let held = before.held.contains(offset) && after.held.contains(offset);
        match after.rows.get(offset) {
            None => {
                assert!(!held, "record {offset} went although it is held");
                assert!(all_due <= after.at, "record {offset} went before {all_due}");
            }
            Some(has) if had != has => {
                assert!(*had, "the content of record {offset} came back");
                assert!(!held, "the content of record {offset} went although it is held");
                assert!(content_due <= after.at, "the content of record {offset} went before {content_due}");
            }
            Some(_) => {}
        }
    }
    assert!(before.next <= after.next, "the table went back from offset {} to {}", before.next, after.next);
    let new = |offset: &i64| (before.next..after.next).contains(offset);
    let back = after.rows.keys().find(|offset| !new(offset) && !before.rows.contains_key(offset));
    assert!(back.is_none(), "record {back:?} came back");
    for offset in before.next..after.next {
        let (content_due, all_due) = deadlines(of(&offset));
        let expected = (all_due > arrived).then_some(content_due > arrived);
        assert_eq!(after.rows.get(&offset).copied(), expected, "record {offset}, just stored");
    }
}

/// Judges the table behind sweeps that found nothing more to do: what is due and free is gone.
pub fn judge_dry(topic: &[Sms], now: &Moment) {
    for (offset, content) in now.rows.iter().filter(|(offset, _)| !now.held.contains(offset)) {
        let (content_due, all_due) = deadlines(&topic[usize::try_from(*offset).unwrap()]);
        assert!(now.at < all_due, "record {offset} is free, was due at {all_due}, and stays");
        assert!(
            !content || now.at < content_due,
            "the content of record {offset} is free, was due at {content_due}, and stays"
        );
    }
}
