//! Plain rows, and what may become of them between two looks at the table.
//!
//! Promises to know nothing of segments, plans or commits: a record, its two deadlines, the words of the holds and the notices.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveTime, Utc};

use crate::controls::{Control, Controls, HoldId, Scope};
use crate::expiry::testing::{Sms, policy_text_of};
use crate::ids::PolicyVersion;
use crate::store::ControlsVersion;

/// What content counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The event.
    Event,
    /// The end of the contract.
    Contract,
    /// The event, or the withdrawal if that comes first: then it is due at once.
    Consent,
}

/// How long a policy keeps what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// What content counts from.
    pub counted: Counted,
    /// For how many days it stays from there on.
    pub content: u64,
    /// For how many days a number stays from the event on.
    pub number: u64,
}

impl Rules {
    /// Those of the first policy.
    pub fn first(counted: Counted) -> Rules {
        let content = match counted {
            Counted::Event => 7,
            Counted::Contract => 2,
            Counted::Consent => 20,
        };
        Rules { counted, content, number: 30 }
    }

    /// The policy that says so.
    pub fn text(self, version: &str, end: &str) -> String {
        let trigger = match self.counted {
            Counted::Event => "event",
            Counted::Contract => "contract_end",
            Counted::Consent => "consent_withdrawn",
        };
        let text = policy_text_of(end, &format!("keep: {} days, trigger: {trigger}", self.content));
        text.replace("version: test-1", &format!("version: {version}"))
            .replace("keep: 30 days, trigger: event", &format!("keep: {} days, trigger: event", self.number))
    }
}

/// What a table goes by: the policy, and what is known of triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub rules: Rules,
    ends: BTreeMap<String, DateTime<Utc>>,
    withdrawals: Vec<(String, DateTime<Utc>)>,
}

impl Told {
    /// Before any control.
    pub fn nothing(rules: Rules) -> Told {
        Told { rules, ends: BTreeMap::new(), withdrawals: Vec::new() }
    }

    /// By the controls up to one of them. `policies` are the rules of each policy by its version, `first` those before.
    pub fn by(
        controls: &Controls,
        until: ControlsVersion,
        (first, policies): (Rules, &BTreeMap<PolicyVersion, Rules>),
    ) -> Told {
        let mut told = Told::nothing(first);
        for (_, control) in controls.iter().filter(|(version, _)| *version <= until) {
            match control {
                Control::ContractEnd(end) => {
                    told.ends.insert(end.tenant.clone(), day(end.ended_at));
                }
                Control::ConsentWithdrawal(of) => {
                    told.withdrawals.push((of.subject.canonical().to_owned(), day(of.withdrawn_at)));
                }
                Control::PolicyActivation(activation) => told.rules = policies[&activation.version],
                _ => {}
            }
        }
        told
    }

    /// When a record's number is due.
    pub fn number_due(&self, record: &Sms) -> DateTime<Utc> {
        day(record.sent_at) + Days::new(self.rules.number)
    }

    /// When its content is due; `None` while that is open.
    pub fn content_due(&self, record: &Sms) -> Option<DateTime<Utc>> {
        let (of, keep) = (day(record.sent_at), Days::new(self.rules.content));
        match self.rules.counted {
            Counted::Event => Some(of + keep),
            Counted::Contract => self.ends.get(&record.customer).map(|end| *end + keep),
            Counted::Consent => {
                let withdrew = self.withdrawals.iter().filter(|(who, at)| *who == record.recipient && *at >= of);
                Some(withdrew.map(|(_, at)| *at).chain([of + keep]).min().unwrap())
            }
        }
    }
}

/// The first instant of the day.
fn day(at: DateTime<Utc>) -> DateTime<Utc> {
    at.date_naive().and_time(NaiveTime::MIN).and_utc()
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

/// What stands of a record: its number, its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub number: bool,
    pub content: bool,
}

/// What a look finds.
#[derive(Clone)]
pub struct Moment {
    pub at: DateTime<Utc>,
    /// Records that stand, by offset.
    pub rows: BTreeMap<i64, Standing>,
    /// The next offset of the table.
    pub next: i64,
    /// Records that a hold in force covers.
    pub held: BTreeSet<i64>,
    /// What the table knew of triggers, and after each notice that is recorded and not in force in it.
    pub told: Vec<Told>,
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
pub fn judge(topic: &[Sms], (before, after): (&Moment, &Moment), arrived: DateTime<Utc>) {
    let of = |offset: &i64| &topic[usize::try_from(*offset).unwrap()];
    // Whoever acts has seen all that the table knows, and perhaps more.
    let told = || before.told.iter().chain(&after.told);
    for (offset, had) in &before.rows {
        let record = of(offset);
        // A hold names the record by its number, where it stands.
        let held = had.number && before.held.contains(offset) && after.held.contains(offset);
        let number_came = || told().any(|told| told.number_due(record) <= after.at);
        let content_came = || told().any(|told| told.content_due(record).is_some_and(|due| due <= after.at));
        let has = after.rows.get(offset).copied().unwrap_or(Standing { number: false, content: false });
        assert!(had.number || !has.number, "the number of record {offset} came back");
        assert!(had.content || !has.content, "the content of record {offset} came back");
        if had.number && !has.number {
            assert!(!held, "the number of record {offset} went although it is held");
            assert!(number_came(), "the number of record {offset} went before it was due");
        }
        if had.content && !has.content {
            assert!(!held, "the content of record {offset} went although it is held");
            assert!(content_came(), "the content of record {offset} went before it was due");
        }
    }
    assert!(before.next <= after.next, "the table went back from offset {} to {}", before.next, after.next);
    let new = |offset: &i64| (before.next..after.next).contains(offset);
    let back = after.rows.keys().find(|offset| !new(offset) && !before.rows.contains_key(offset));
    assert!(back.is_none(), "record {back:?} came back");
    for offset in before.next..after.next {
        let record = of(&offset);
        let expected = |told: &Told| {
            let content = told.content_due(record).is_none_or(|due| due > arrived);
            let number = told.number_due(record) > arrived;
            (number || content).then_some(Standing { number, content })
        };
        let found = after.rows.get(&offset).copied();
        assert!(told().any(|told| expected(told) == found), "record {offset}, just stored, is {found:?}");
    }
}

/// Judges the table behind sweeps that found nothing more to do: what is due and free is gone.
pub fn judge_dry(topic: &[Sms], now: &Moment) {
    let told = now.told.last().unwrap();
    for (offset, has) in now.rows.iter().filter(|(offset, has)| !(has.number && now.held.contains(offset))) {
        let record = &topic[usize::try_from(*offset).unwrap()];
        assert!(
            !has.number || now.at < told.number_due(record),
            "the number of record {offset} is free, due, and stays"
        );
        // Whose number is gone cannot be known to have withdrawn, nor to be held.
        let nothing = Told::nothing(told.rules);
        let told = if told.rules.counted == Counted::Consent && !has.number { &nothing } else { told };
        let due = told.content_due(record);
        let held = now.held.contains(offset);
        assert!(
            held || !has.content || due.is_none_or(|due| now.at < due),
            "the content of record {offset} is free, was due at {due:?}, and stays"
        );
        let over = due.is_some_and(|due| due.max(told.number_due(record)) <= now.at);
        assert!(held || has.number || has.content || !over, "nothing of record {offset} is left, and it has not ended");
    }
}
