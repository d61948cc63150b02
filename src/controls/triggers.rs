//! What the notices in force say of one product: for the tagger, and for whoever brings stored tags up to date. Pure.
//!
//! Promises that of a tenant's several notices the newest counts, and of a person's several withdrawals each. Never covers rows
//! that a notice's words do not name: where a product stores no tenant or no such subject, nobody's rows can be told.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::control::Control;
use super::log::Controls;
use super::subject::Subject;
use crate::ids::{Bucket, ProductKey};
use crate::policy::{self, Calendar, Class, Records, Trigger, Triggered};
use crate::store::{ControlsVersion, Predicate};
use crate::tag::{SubjectForm, SubjectValue, Triggers};

/// The notices in force that concern one product.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    notices: Vec<InForce>,
    newest: ControlsVersion,
    /// When the newest of each kind and bucket came.
    recorded: HashMap<(Trigger, Bucket), DateTime<Utc>>,
}

/// A notice in force.
#[derive(Debug, Clone)]
pub struct InForce {
    /// The version of its control.
    pub version: ControlsVersion,
    /// When it came.
    pub recorded_at: DateTime<Utc>,
    /// The bucket in which the trigger came, or will.
    pub bucket: Bucket,
    /// What came.
    of: Of,
}

#[derive(Debug, Clone)]
enum Of {
    End { tenant: String },
    Withdrawal { subject: Subject, tenant: Option<String> },
}

impl Notices {
    /// The notices of `controls` that concern a product.
    #[must_use]
    pub fn of(controls: &Controls, product: &ProductKey, calendar: &Calendar) -> Notices {
        let (mut notices, mut newest): (Vec<InForce>, _) = (Vec::new(), ControlsVersion(0));
        let mut ends: HashMap<String, ControlsVersion> = HashMap::new();
        for (version, control) in controls.iter().filter(|(_, control)| control.covers(product)) {
            if let Control::ContractEnd(end) = control {
                ends.insert(end.tenant.clone(), *version);
            }
            if matches!(control, Control::ContractEnd(_) | Control::ConsentWithdrawal(_)) {
                newest = *version;
                notices.extend(InForce::of(*version, control, calendar));
            }
        }
        // Of a tenant's several ends the newest counts.
        notices.retain(|notice| match &notice.of {
            Of::End { tenant } => ends.get(tenant) == Some(&notice.version),
            Of::Withdrawal { .. } => true,
        });
        let mut recorded: HashMap<(Trigger, Bucket), DateTime<Utc>> = HashMap::new();
        for notice in &notices {
            let at = recorded.entry((notice.trigger(), notice.bucket)).or_insert(notice.recorded_at);
            *at = (*at).max(notice.recorded_at);
        }
        Notices { notices, newest, recorded }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }

    /// The version of the newest of them.
    #[must_use]
    pub fn newest(&self) -> ControlsVersion {
        self.newest
    }

    /// The buckets in which triggers came, in order, none twice.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let buckets: BTreeSet<Bucket> = self.notices.iter().map(|notice| notice.bucket).collect();
        buckets.into_iter().collect()
    }

    /// The same as the tagger looks it up.
    #[must_use]
    pub fn triggers(&self, records: &Records) -> Triggers {
        let mut triggers = Triggers::default();
        for notice in &self.notices {
            match &notice.of {
                Of::End { tenant } => triggers.end(tenant, notice.bucket),
                Of::Withdrawal { subject, tenant } => {
                    for named in named(records, subject) {
                        let canonical = SubjectForm::of(records, named).named(subject.named());
                        triggers.withdraw(&named.column, &canonical, tenant.as_deref(), notice.bucket);
                    }
                }
            }
        }
        triggers
    }

    /// The notices after `since`.
    pub fn after(&self, since: ControlsVersion) -> impl Iterator<Item = &InForce> {
        self.notices.iter().filter(move |notice| notice.version > since)
    }

    /// When the newest notice came that a trigger of that kind came in `bucket`.
    #[must_use]
    pub fn recorded(&self, trigger: Trigger, bucket: Bucket) -> Option<DateTime<Utc>> {
        self.recorded.get(&(trigger, bucket)).copied()
    }
}

impl InForce {
    /// Returns the notice of a control. `None` if it is another kind of control, or if its date is outside any
    /// calendar, so that no deadline can be counted from it.
    #[must_use]
    pub fn of(version: ControlsVersion, control: &Control, calendar: &Calendar) -> Option<InForce> {
        let (at, recorded_at, of) = match control {
            Control::ContractEnd(end) => (end.ended_at, end.recorded_at, Of::End { tenant: end.tenant.clone() }),
            Control::ConsentWithdrawal(withdrawal) => {
                let (subject, tenant) = (withdrawal.subject.clone(), withdrawal.tenant.clone());
                (withdrawal.withdrawn_at, withdrawal.recorded_at, Of::Withdrawal { subject, tenant })
            }
            _ => return None,
        };
        Some(InForce { version, recorded_at, bucket: calendar.bucket_of(at)?, of })
    }

    /// What came.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        match self.of {
            Of::End { .. } => Trigger::ContractEnd,
            Of::Withdrawal { .. } => Trigger::ConsentWithdrawn,
        }
    }

    /// What is known of a row that it is about.
    #[must_use]
    pub fn triggered(&self) -> Triggered {
        match self.of {
            Of::End { .. } => Triggered { contract_end: Some(self.bucket), withdrawn: None },
            Of::Withdrawal { .. } => Triggered { contract_end: None, withdrawn: Some(self.bucket) },
        }
    }

    /// The rows that it is about; `None` where a product's rows cannot be told.
    #[must_use]
    pub fn rows(&self, records: &Records) -> Option<Predicate> {
        let is = |column: &str, value: &str| Predicate::Is { column: column.to_owned(), value: value.to_owned() };
        let of_tenant = |tenant: &str| stored(records, records.tenant.as_deref()?).map(|column| is(column, tenant));
        match &self.of {
            Of::End { tenant } => of_tenant(tenant),
            Of::Withdrawal { subject, tenant } => {
                let names = |of: &policy::Subject| Predicate::Names {
                    column: of.column.clone(),
                    subject: SubjectValue::new(records, of, subject.named()),
                };
                let named: Vec<_> = named(records, subject).map(names).collect();
                let named = (!named.is_empty()).then_some(Predicate::Any(named))?;
                match tenant {
                    None => Some(named),
                    Some(tenant) => Some(Predicate::All(vec![named, of_tenant(tenant)?])),
                }
            }
        }
    }
}

impl Subject {
    /// Returns true if records of a product store a column that may name this subject.
    #[must_use]
    pub fn is_stored_in(&self, records: &Records) -> bool {
        named(records, self).next().is_some()
    }
}

/// The stored columns that may name a subject.
fn named<'r>(records: &'r Records, subject: &'r Subject) -> impl Iterator<Item = &'r policy::Subject> {
    let named = records.subjects.iter().filter(|of| subject.kind.is_of(&of.kind));
    named.filter(|of| stored(records, &of.column).is_some())
}

/// The column, if the policy has it stored.
fn stored<'c>(records: &Records, column: &'c str) -> Option<&'c str> {
    matches!(records.fields.get(column), Some(Class::Personal(_) | Class::NotPersonal)).then_some(column)
}
