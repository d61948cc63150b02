//! The notices in force that concern one product, for the tagger and for the update of stored tags.
//! Pure.
//!
//! Invariants: of several contract ends of a tenant only the newest counts; of several withdrawals
//! of a person each counts. Only rows that a notice names are covered: if a product stores no
//! tenant or no such subject, its rows cannot be identified.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::control::Control;
use super::log::Controls;
use super::subject::Subject;
use ebbtide_base::ids::{Bucket, ProductKey};
use ebbtide_policy::tag::{SubjectForm, SubjectValue, Triggers};
use ebbtide_policy::{Calendar, ColumnClass, RecordTriggers, Records, Trigger};
use ebbtide_table::{ControlsVersion, Predicate};

/// The notices in force that concern one product.
#[derive(Debug, Clone, Default)]
pub struct ProductNotices {
    notices: Vec<NoticeInForce>,
    newest: ControlsVersion,
    /// The time at which the newest notice of each trigger and bucket was received.
    recorded: HashMap<(Trigger, Bucket), DateTime<Utc>>,
}

/// A notice in force.
#[derive(Debug, Clone)]
pub struct NoticeInForce {
    /// The version of its control.
    pub version: ControlsVersion,
    /// The time at which it was received.
    pub recorded_at: DateTime<Utc>,
    /// The bucket in which the trigger occurred, or will occur.
    pub bucket: Bucket,
    /// The content of the notice.
    of: NoticeTarget,
}

#[derive(Debug, Clone)]
enum NoticeTarget {
    End {
        tenant: String,
    },
    Withdrawal {
        subject: Subject,
        tenant: Option<String>,
    },
}

impl ProductNotices {
    /// Returns the notices of `controls` that concern a product.
    #[must_use]
    pub fn of(controls: &Controls, product: &ProductKey, calendar: &Calendar) -> ProductNotices {
        let (mut notices, mut newest): (Vec<NoticeInForce>, _) = (Vec::new(), ControlsVersion(0));
        let mut ends: HashMap<String, ControlsVersion> = HashMap::new();
        for (version, control) in controls
            .iter()
            .filter(|(_, control)| control.covers(product))
        {
            if let Control::ContractEnd(end) = control {
                ends.insert(end.tenant.clone(), *version);
            }
            if matches!(
                control,
                Control::ContractEnd(_) | Control::ConsentWithdrawal(_)
            ) {
                newest = *version;
                notices.extend(NoticeInForce::from_control(*version, control, calendar));
            }
        }
        // Of several contract ends of a tenant only the newest counts.
        notices.retain(|notice| match &notice.of {
            NoticeTarget::End { tenant } => ends.get(tenant) == Some(&notice.version),
            NoticeTarget::Withdrawal { .. } => true,
        });
        let mut recorded: HashMap<(Trigger, Bucket), DateTime<Utc>> = HashMap::new();
        for notice in &notices {
            let at = recorded
                .entry((notice.trigger(), notice.bucket))
                .or_insert(notice.recorded_at);
            *at = (*at).max(notice.recorded_at);
        }
        ProductNotices {
            notices,
            newest,
            recorded,
        }
    }

    /// Returns true if there are no notices.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }

    /// Returns the version of the newest notice.
    #[must_use]
    pub fn newest(&self) -> ControlsVersion {
        self.newest
    }

    /// Returns the buckets in which triggers occurred, in order and without duplicates.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let buckets: BTreeSet<Bucket> = self.notices.iter().map(|notice| notice.bucket).collect();
        buckets.into_iter().collect()
    }

    /// Returns the notices in the form in which the tagger looks them up.
    #[must_use]
    pub fn triggers(&self, records: &Records) -> Triggers {
        let mut triggers = Triggers::default();
        for notice in &self.notices {
            match &notice.of {
                NoticeTarget::End { tenant } => triggers.end(tenant, notice.bucket),
                NoticeTarget::Withdrawal { subject, tenant } => {
                    for named in named(records, subject) {
                        let canonical = SubjectForm::of(records, named).named(subject.named());
                        triggers.withdraw(
                            &named.column,
                            &canonical,
                            tenant.as_deref(),
                            notice.bucket,
                        );
                    }
                }
            }
        }
        triggers
    }

    /// Returns the notices after `since`.
    pub fn after(&self, since: ControlsVersion) -> impl Iterator<Item = &NoticeInForce> {
        self.notices
            .iter()
            .filter(move |notice| notice.version > since)
    }

    /// Returns the time at which the newest notice of that trigger in `bucket` was received.
    #[must_use]
    pub fn recorded(&self, trigger: Trigger, bucket: Bucket) -> Option<DateTime<Utc>> {
        self.recorded.get(&(trigger, bucket)).copied()
    }
}

impl NoticeInForce {
    /// Returns the notice of a control. `None` if it is another kind of control, or if its date is
    /// outside any calendar, so that no deadline can be counted from it.
    #[must_use]
    pub fn from_control(
        version: ControlsVersion,
        control: &Control,
        calendar: &Calendar,
    ) -> Option<NoticeInForce> {
        let (at, recorded_at, of) = match control {
            Control::ContractEnd(end) => (
                end.ended_at,
                end.recorded_at,
                NoticeTarget::End {
                    tenant: end.tenant.clone(),
                },
            ),
            Control::ConsentWithdrawal(withdrawal) => {
                let (subject, tenant) = (withdrawal.subject.clone(), withdrawal.tenant.clone());
                (
                    withdrawal.withdrawn_at,
                    withdrawal.recorded_at,
                    NoticeTarget::Withdrawal { subject, tenant },
                )
            }
            _ => return None,
        };
        Some(NoticeInForce {
            version,
            recorded_at,
            bucket: calendar.bucket_of(at)?,
            of,
        })
    }

    /// Returns the trigger of the notice.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        match self.of {
            NoticeTarget::End { .. } => Trigger::ContractEnd,
            NoticeTarget::Withdrawal { .. } => Trigger::ConsentWithdrawn,
        }
    }

    /// Returns the triggers that are known of a row to which the notice applies.
    #[must_use]
    pub fn triggered(&self) -> RecordTriggers {
        match self.of {
            NoticeTarget::End { .. } => RecordTriggers {
                contract_end: Some(self.bucket),
                withdrawn: None,
            },
            NoticeTarget::Withdrawal { .. } => RecordTriggers {
                contract_end: None,
                withdrawn: Some(self.bucket),
            },
        }
    }

    /// Returns the rows to which the notice applies; `None` if the product's rows cannot be
    /// identified.
    #[must_use]
    pub fn rows(&self, records: &Records) -> Option<Predicate> {
        let is = |column: &str, value: &str| Predicate::Is {
            column: column.to_owned(),
            value: value.to_owned(),
        };
        let of_tenant = |tenant: &str| {
            stored(records, records.tenant.as_deref()?).map(|column| is(column, tenant))
        };
        match &self.of {
            NoticeTarget::End { tenant } => of_tenant(tenant),
            NoticeTarget::Withdrawal { subject, tenant } => {
                let names = |of: &ebbtide_policy::SubjectColumn| Predicate::Names {
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

/// Returns the stored columns that may name a subject.
fn named<'r>(
    records: &'r Records,
    subject: &'r Subject,
) -> impl Iterator<Item = &'r ebbtide_policy::SubjectColumn> {
    let named = records
        .subjects
        .iter()
        .filter(|of| subject.kind.is_of(&of.kind));
    named.filter(|of| stored(records, &of.column).is_some())
}

/// Returns the column, if the policy stores it.
fn stored<'c>(records: &Records, column: &'c str) -> Option<&'c str> {
    matches!(
        records.fields.get(column),
        Some(ColumnClass::Personal(_) | ColumnClass::NotPersonal)
    )
    .then_some(column)
}
