//! A model of plain rows, and the changes that are allowed between two checks of the table.
//!
//! It does not use segments, plans or commits: only a record, its two deadlines, and the contents
//! of the holds and the notices.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveTime, Utc};

use crate::testing::{SmsRecord, policy_text_of};
use ebbtide_base::ids::PolicyVersion;
use ebbtide_controls::{Control, Controls, HoldId, Scope};
use ebbtide_table::ControlsVersion;

/// The start of the retention period of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionStart {
    /// The event.
    Event,
    /// The end of the contract.
    Contract,
    /// The event, or a withdrawal before the deadline: then content is due immediately.
    Consent,
}

/// The retention periods of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The start of the retention period of content.
    pub counted: RetentionStart,
    /// The number of days for which content is kept from there on.
    pub content: u64,
    /// The number of days for which a number is kept from the event on.
    pub number: u64,
}

impl Rules {
    /// Returns the rules of the first policy.
    pub fn first(counted: RetentionStart) -> Rules {
        let content = match counted {
            RetentionStart::Event => 7,
            RetentionStart::Contract => 2,
            RetentionStart::Consent => 20,
        };
        Rules {
            counted,
            content,
            number: 30,
        }
    }

    /// Returns the text of the policy with these rules.
    pub fn text(self, version: &str, end: &str) -> String {
        let trigger = match self.counted {
            RetentionStart::Event => "event",
            RetentionStart::Contract => "contract_end",
            RetentionStart::Consent => "consent_withdrawn",
        };
        let text = policy_text_of(
            end,
            &format!("keep: {} days, trigger: {trigger}", self.content),
        );
        text.replace("version: test-1", &format!("version: {version}"))
            .replace(
                "keep: 30 days, trigger: event",
                &format!("keep: {} days, trigger: event", self.number),
            )
    }
}

/// The inputs of a table's deadlines: the policy, and the known triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineInputs {
    pub rules: Rules,
    ends: BTreeMap<String, DateTime<Utc>>,
    withdrawals: Vec<(String, DateTime<Utc>)>,
}

impl DeadlineInputs {
    /// Returns the state before any control.
    pub fn nothing(rules: Rules) -> DeadlineInputs {
        DeadlineInputs {
            rules,
            ends: BTreeMap::new(),
            withdrawals: Vec::new(),
        }
    }

    /// Returns the state after the controls up to `until`. `policies` has the rules of each policy
    /// by its version; `first` are the rules before them.
    pub fn by(
        controls: &Controls,
        until: ControlsVersion,
        (first, policies): (Rules, &BTreeMap<PolicyVersion, Rules>),
    ) -> DeadlineInputs {
        let mut inputs = DeadlineInputs::nothing(first);
        for (_, control) in controls.iter().filter(|(version, _)| *version <= until) {
            match control {
                Control::ContractEnd(end) => {
                    inputs.ends.insert(end.tenant.clone(), day(end.ended_at));
                }
                Control::ConsentWithdrawal(of) => {
                    inputs
                        .withdrawals
                        .push((of.subject.canonical().to_owned(), day(of.withdrawn_at)));
                }
                Control::PolicyActivation(activation) => {
                    inputs.rules = policies[&activation.version]
                }
                _ => {}
            }
        }
        inputs
    }

    /// Returns the deadline of a record's number.
    pub fn number_due(&self, record: &SmsRecord) -> DateTime<Utc> {
        day(record.sent_at) + Days::new(self.rules.number)
    }

    /// Returns the deadline of its content; `None` while that is open.
    pub fn content_due(&self, record: &SmsRecord) -> Option<DateTime<Utc>> {
        let (of, keep) = (day(record.sent_at), Days::new(self.rules.content));
        match self.rules.counted {
            RetentionStart::Event => Some(of + keep),
            RetentionStart::Contract => self.ends.get(&record.customer).map(|end| *end + keep),
            RetentionStart::Consent => {
                let withdrew = self
                    .withdrawals
                    .iter()
                    .filter(|(who, at)| *who == record.recipient && *at >= of);
                Some(
                    withdrew
                        .map(|(_, at)| *at)
                        .chain([of + keep])
                        .min()
                        .unwrap(),
                )
            }
        }
    }
}

/// Returns the first instant of the day.
fn day(at: DateTime<Utc>) -> DateTime<Utc> {
    at.date_naive().and_time(NaiveTime::MIN).and_utc()
}

/// A hold as it was ordered.
pub struct OrderedHold {
    pub case: String,
    pub scope: Scope,
    pub until: DateTime<Utc>,
}

impl OrderedHold {
    fn covers(&self, record: &SmsRecord) -> bool {
        let scope = &self.scope;
        let subject = scope
            .subject
            .as_ref()
            .is_none_or(|subject| subject.canonical() == record.recipient);
        let tenant = scope
            .tenant
            .as_ref()
            .is_none_or(|tenant| *tenant == record.customer);
        let after = |range: &ebbtide_controls::TimeRange| {
            range.from.is_none_or(|from| from <= record.sent_at)
        };
        let before =
            |range: &ebbtide_controls::TimeRange| range.to.is_none_or(|to| record.sent_at < to);
        subject
            && tenant
            && scope
                .events
                .as_ref()
                .is_none_or(|range| after(range) && before(range))
    }
}

/// The fields of a record that are still stored: its number, its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredFields {
    pub number: bool,
    pub content: bool,
}

/// The result of one check of the table.
#[derive(Clone)]
pub struct TableCheck {
    pub at: DateTime<Utc>,
    /// Stored records, by offset.
    pub rows: BTreeMap<i64, StoredFields>,
    /// The next offset of the table.
    pub next: i64,
    /// Records that a hold in force covers.
    pub held: BTreeSet<i64>,
    /// The state of policy and triggers that the table was under, and the state after each recorded
    /// control that is not yet in force in it.
    pub inputs: Vec<DeadlineInputs>,
}

/// Returns the records that some hold covers. A hold counts if the table is under it, its release
/// has not begun and it has not ended.
pub fn held(
    topic: &[SmsRecord],
    orders: &[OrderedHold],
    controls: (&Controls, ControlsVersion),
    at: DateTime<Utc>,
) -> BTreeSet<i64> {
    let (controls, under) = controls;
    let live = controls
        .iter()
        .filter_map(|(version, control)| match control {
            Control::Hold(hold) if *version <= under => Some(hold),
            _ => None,
        });
    let released = |id: &HoldId| {
        controls
            .iter()
            .any(|(_, control)| matches!(control, Control::Release(by) if by.hold == *id))
    };
    let live: Vec<&OrderedHold> = live
        .filter(|hold| !released(&hold.id))
        .filter_map(|hold| orders.iter().find(|order| order.case == hold.case))
        .filter(|order| at < order.until)
        .collect();
    let covered = topic
        .iter()
        .enumerate()
        .filter(|(_, record)| live.iter().any(|order| order.covers(record)));
    covered
        .map(|(offset, _)| i64::try_from(offset).unwrap())
        .collect()
}

/// Checks the changes between two checks of the table. Records that were stored meanwhile arrived
/// at `arrived`.
pub fn judge(
    topic: &[SmsRecord],
    (before, after): (&TableCheck, &TableCheck),
    arrived: DateTime<Utc>,
) {
    let of = |offset: &i64| &topic[usize::try_from(*offset).unwrap()];
    // An actor has read everything that the table knows, and perhaps more.
    let inputs = || before.inputs.iter().chain(&after.inputs);
    for (offset, had) in &before.rows {
        let record = of(offset);
        // A hold finds a record by its number, if that is still stored.
        let held = had.number && before.held.contains(offset) && after.held.contains(offset);
        let number_came = || inputs().any(|inputs| inputs.number_due(record) <= after.at);
        let content_came = || {
            inputs().any(|inputs| {
                inputs
                    .content_due(record)
                    .is_some_and(|due| due <= after.at)
            })
        };
        let has = after.rows.get(offset).copied().unwrap_or(StoredFields {
            number: false,
            content: false,
        });
        assert!(
            had.number || !has.number,
            "the number of record {offset} came back"
        );
        assert!(
            had.content || !has.content,
            "the content of record {offset} came back"
        );
        if had.number && !has.number {
            assert!(
                !held,
                "the number of record {offset} went although it is held"
            );
            assert!(
                number_came(),
                "the number of record {offset} went before it was due"
            );
        }
        if had.content && !has.content {
            assert!(
                !held,
                "the content of record {offset} went although it is held"
            );
            assert!(
                content_came(),
                "the content of record {offset} went before it was due"
            );
        }
    }
    assert!(
        before.next <= after.next,
        "the table went back from offset {} to {}",
        before.next,
        after.next
    );
    let new = |offset: &i64| (before.next..after.next).contains(offset);
    let back = after
        .rows
        .keys()
        .find(|offset| !new(offset) && !before.rows.contains_key(offset));
    assert!(back.is_none(), "record {back:?} came back");
    for offset in before.next..after.next {
        let record = of(&offset);
        let expected = |inputs: &DeadlineInputs| {
            let content = inputs.content_due(record).is_none_or(|due| due > arrived);
            let number = inputs.number_due(record) > arrived;
            (number || content).then_some(StoredFields { number, content })
        };
        let found = after.rows.get(&offset).copied();
        assert!(
            inputs().any(|inputs| expected(inputs) == found),
            "record {offset}, just stored, is {found:?}"
        );
    }
}

/// Checks the table after sweeps that found nothing more to do: data that is due and not held must
/// be deleted.
pub fn judge_dry(topic: &[SmsRecord], now: &TableCheck) {
    let inputs = now.inputs.last().unwrap();
    for (offset, has) in now
        .rows
        .iter()
        .filter(|(offset, has)| !(has.number && now.held.contains(offset)))
    {
        let record = &topic[usize::try_from(*offset).unwrap()];
        assert!(
            !has.number || now.at < inputs.number_due(record),
            "the number of record {offset} is free, due, and stays"
        );
        // Without the number of a record, neither a withdrawal nor a hold can be matched to it.
        let nothing = DeadlineInputs::nothing(inputs.rules);
        let inputs = if inputs.rules.counted == RetentionStart::Consent && !has.number {
            &nothing
        } else {
            inputs
        };
        let due = inputs.content_due(record);
        let held = now.held.contains(offset);
        assert!(
            held || !has.content || due.is_none_or(|due| now.at < due),
            "the content of record {offset} is free, was due at {due:?}, and stays"
        );
        let over = due.is_some_and(|due| due.max(inputs.number_due(record)) <= now.at);
        assert!(
            held || has.number || has.content || !over,
            "nothing of record {offset} is left, and it has not ended"
        );
    }
}
