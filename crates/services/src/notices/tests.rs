use chrono::{DateTime, Utc};

use super::{NoticeDateError, notice_date, reading};
use ebbtide_controls::Notice;
use ebbtide_maintenance::testing::{policy_text_of, read, sms};
use ebbtide_policy::{Policy, Trigger};

const NOW: &str = "2026-11-26T12:00:00Z";

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn policy(bucket: &str, content: &str) -> Policy {
    let text =
        policy_text_of("remove", content).replace("bucket: day", &format!("bucket: {bucket}"));
    read(&text).policy.unwrap()
}

#[test]
fn a_date_means_its_whole_day_in_a_policy_of_hours_too() {
    let (consent, contract) = (Trigger::ConsentWithdrawn, Trigger::ContractEnd);
    for (bucket, trigger, day, wanted) in [
        ("day", consent, "2026-11-24", "2026-11-24T00:00:00Z"),
        ("hour", consent, "2026-11-24", "2026-11-24T23:59:59Z"),
        ("hour", consent, "2026-11-26", NOW),
        (
            "hour",
            consent,
            "2026-11-24T10:30:00+01:00",
            "2026-11-24T09:30:00Z",
        ),
        ("day", contract, "2026-11-24", "2026-11-24T00:00:00Z"),
        ("hour", contract, "2026-11-24", "2026-11-24T00:00:00Z"),
    ] {
        let policy = policy(bucket, "keep: 2 days, trigger: contract_end");
        assert_eq!(
            notice_date(&policy, day, trigger, instant(NOW)).unwrap(),
            instant(wanted),
            "{bucket} {trigger} {day}"
        );
    }
}

#[test]
fn a_contracts_last_day_counts_whole_where_the_period_is_a_minimum() {
    let mut policy = policy("hour", "keep: 2 days, trigger: contract_end");
    let asked =
        |policy: &Policy| notice_date(policy, "2026-11-24", Trigger::ContractEnd, instant(NOW));
    let rule = policy
        .rules
        .iter_mut()
        .find(|rule| rule.trigger == Trigger::ContractEnd)
        .unwrap();
    rule.boundary = ebbtide_policy::Boundary::AtLeast;
    assert_eq!(asked(&policy).unwrap(), instant("2026-11-24T23:59:59Z"));
    let mut ceiling = policy
        .rules
        .iter()
        .find(|rule| rule.trigger == Trigger::ContractEnd)
        .unwrap()
        .clone();
    ceiling.boundary = ebbtide_policy::Boundary::AtMost;
    policy.rules.push(ceiling);
    assert!(matches!(asked(&policy), Err(NoticeDateError::WholeDay(_))));
}

#[test]
fn the_effect_of_a_date_follows_the_rules_of_the_named_tenant() {
    let text = policy_text_of(
        "remove",
        "tenants: [acme], keep: 2 days, trigger: contract_end",
    );
    let policy = read(&text).policy.unwrap();
    let end = |tenant: &str, ended_at: &str| Notice::ContractEnd {
        tenant: tenant.to_owned(),
        ended_at: instant(ended_at),
        reason: None,
        products: vec![],
    };
    let read = |tenant, at| reading(&policy, &sms(), &end(tenant, at));
    assert_eq!(read("acme", NOW), "content counted from it");
    assert_eq!(read("rare", NOW), "nothing counts from it");
    assert_eq!(
        read("acme", "9999-12-31T00:00:00Z"),
        "content open: nothing is counted from that date"
    );
}

#[test]
fn withdrawal_concerns_no_product_that_stores_no_subject_of_its_kind() {
    let text = policy_text_of("remove", "keep: 2 days, trigger: consent_withdrawn");
    let policy = read(&text).policy.unwrap();
    let read = |subject: &str| {
        let (subject, withdrawn_at) = (subject.parse().unwrap(), instant(NOW));
        reading(
            &policy,
            &sms(),
            &Notice::ConsentWithdrawal {
                subject,
                tenant: None,
                withdrawn_at,
                products: vec![],
            },
        )
    };
    assert_eq!(read("phone:+31612345678"), "content counted from it");
    for subject in [
        "email:ann@example.org",
        "channel:whatsapp:31612345678",
        "email:bob@example.org",
    ] {
        assert!(
            read(subject).starts_with("stores nothing that shows whose"),
            "{subject}"
        );
    }
}
