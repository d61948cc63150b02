//! The random inputs of an interleaving: records, notices, holds, policies.
//!
//! An input that the model needs is recorded for it before any actor gets the input.

use std::sync::Arc;

use chrono::TimeDelta;
use rand::Rng;

use super::Interleaving;
use super::model::{OrderedHold, RetentionStart, Rules};
use crate::testing::{ANONYMIZE, SmsRecord, number, read};
use ebbtide_base::clock::Clock;
use ebbtide_controls::{HoldOrder, Notice, Scope, TimeRange};
use ebbtide_policy::CheckedPolicy;

impl Interleaving {
    /// Produces records, on time or late.
    pub(super) fn produce(&mut self) {
        let mut topic = self.shared.topic.lock().unwrap();
        let now = self.world.clock.now();
        let late = self.random.random_bool(0.3);
        let ago = TimeDelta::minutes(
            self.random
                .random_range(0..if late { 40 * 24 * 60 } else { 60 }),
        );
        for _ in 0..self.random.random_range(2..9) {
            let person = self.random.random_range(0..6);
            let customer = if self.random.random_bool(0.7) {
                "acme"
            } else {
                "rare"
            }
            .to_owned();
            let status = if self.random.random_bool(0.6) {
                "delivered"
            } else {
                "failed"
            }
            .to_owned();
            let body = format!("what {person} reads");
            topic.push(SmsRecord {
                recipient: number(person),
                body,
                sent_at: now - ago,
                customer,
                status,
            });
        }
    }

    /// Returns the end of a contract, sometimes with a reason that allows a later end, or a
    /// withdrawal.
    pub(super) fn notice(&mut self) -> Notice {
        let ago = TimeDelta::hours(self.random.random_range(0..30 * 24));
        if self
            .random
            .random_bool(if self.counts_consent() { 1.0 } else { 0.2 })
        {
            let subject = format!("phone:+{}", number(self.random.random_range(0..6)))
                .parse()
                .unwrap();
            return Notice::ConsentWithdrawal {
                subject,
                tenant: None,
                withdrawn_at: self.now() - ago,
                products: vec![],
            };
        }
        let tenant = if self.random.random_bool(0.3) {
            "acme"
        } else {
            "rare"
        }
        .to_owned();
        let ahead = TimeDelta::hours(self.random.random_range(0..20 * 24));
        let reason = self
            .random
            .random_bool(0.5)
            .then(|| format!("reason {}", self.trace.steps.len()));
        Notice::ContractEnd {
            tenant,
            ended_at: self.now() - ago + ahead,
            reason,
            products: vec![],
        }
    }

    /// Returns true if some policy counts from withdrawals.
    fn counts_consent(&self) -> bool {
        self.policies
            .values()
            .chain([&self.first])
            .any(|rules| rules.counted == RetentionStart::Consent)
    }

    /// Returns a new policy with other retention periods and, if records do not become cells,
    /// sometimes another trigger.
    pub(super) fn policy(&mut self) -> Arc<CheckedPolicy> {
        let cells = self.end == ANONYMIZE;
        let counted = match self.random.random_range(0..6) {
            0 if !cells => RetentionStart::Event,
            1 if !cells => RetentionStart::Contract,
            2 if !cells => RetentionStart::Consent,
            _ => {
                self.policies
                    .values()
                    .next_back()
                    .unwrap_or(&self.first)
                    .counted
            }
        };
        let content = match counted {
            RetentionStart::Event => [3, 7, 12],
            RetentionStart::Contract => [1, 2, 9],
            RetentionStart::Consent => [10, 20, 24],
        };
        let number = if cells { [20, 30, 35] } else { [10, 30, 35] };
        let which = (
            self.random.random_range(0..3),
            self.random.random_range(0..3),
        );
        let rules = Rules {
            counted,
            content: content[which.0],
            number: number[which.1],
        };
        let version = format!("test-{}", self.policies.len() + 2);
        let new = Arc::new(read(&rules.text(&version, self.end)));
        self.trace.steps.push(format!("{version}: {rules:?}"));
        self.policies.insert(version.parse().unwrap(), rules);
        self.shared.policies.lock().unwrap().push(Arc::clone(&new));
        new
    }

    pub(super) fn order(&mut self) -> HoldOrder {
        let case = format!("case-{}", self.orders.len());
        let until = self.now() + TimeDelta::days(self.random.random_range(1..50));
        let mut scope = Scope::default();
        let what = self.random.random_range(0..5);
        if what != 1 && what != 2 {
            scope.subject = Some(
                format!("phone:+{}", number(self.random.random_range(0..6)))
                    .parse()
                    .unwrap(),
            );
        }
        if what == 1 || what == 3 {
            scope.tenant = Some("rare".to_owned());
        }
        if what == 2 || what == 4 {
            let from = self.now() - TimeDelta::hours(self.random.random_range(0..400));
            let to = from + TimeDelta::hours(self.random.random_range(1..100));
            scope.events = Some(TimeRange {
                from: Some(from),
                to: Some(to),
            });
        }
        self.orders.push(OrderedHold {
            case: case.clone(),
            scope: scope.clone(),
            until,
        });
        HoldOrder {
            case,
            basis: "order".to_owned(),
            until,
            placed_by: None,
            scope,
        }
    }
}
