//! Controls in the log: they are written, read back, and refused if they are not understood.

use chrono::TimeDelta;
use serde_json::json;

use crate::testing::{of_subject, order, policy, signature, two_tables};
use crate::{Control, Controls, HoldId, Scope, ScopeError, Subject, TimeRange, place};
use ebbtide_table::testing::noon;
use ebbtide_table::{ControlLog, ControlsVersion};

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

#[test]
fn subject_is_canonical_and_shows_its_value_only_when_asked() {
    assert_eq!(
        subject("phone:+31 6 1234-5678"),
        subject("phone:0031612345678")
    );
    assert_eq!(
        subject("email: Ann@Example.org "),
        subject("email:ann@example.org")
    );
    assert_eq!(
        subject("channel:WhatsApp: 31612:7 ").canonical(),
        "whatsapp:31612:7"
    );
    let ann = subject("phone:+31612345678");
    assert_eq!(
        (ann.to_string(), format!("{ann:?}")),
        ("phone:…78".to_owned(), "phone:…78".to_owned())
    );
    assert_eq!(ann.revealed(), "phone:+31612345678");
    assert_eq!(subject("phone:12345").to_string(), "phone:…");
    assert!(subject("phone:0612345678").is_national() && !ann.is_national());
    for wrong in [
        "+31612345678",
        "phone:",
        "mail:a@b",
        "email:ann",
        "channel:whatsapp",
        "channel::7",
        "channel:line: ",
    ] {
        let message = wrong.parse::<Subject>().unwrap_err().to_string();
        assert!(
            !message.contains("31612345678@") && message.contains("write phone:"),
            "{wrong}: {message}"
        );
    }
}

#[test]
fn a_scope_without_a_condition_or_with_one_that_is_never_true_is_refused() {
    let range = |from, to| Scope {
        events: Some(TimeRange { from, to }),
        ..Scope::default()
    };
    assert_eq!(Scope::default().check(), Err(ScopeError::Everything));
    assert_eq!(range(None, None).check(), Err(ScopeError::Everything));
    assert_eq!(
        range(Some(noon()), Some(noon())).check(),
        Err(ScopeError::NoTime)
    );
    assert_eq!(range(None, Some(noon())).check(), Ok(()));
    assert_eq!(
        Scope {
            tenant: Some(" ".to_owned()),
            ..Scope::default()
        }
        .check(),
        Err(ScopeError::NoTenant)
    );
    assert_eq!(of_subject().check(), Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_read_back_as_it_was_placed() {
    let (_folder, root) = two_tables().await;
    let scope = Scope {
        tenant: Some("customer-1".to_owned()),
        products: vec!["sms".parse().unwrap()],
        events: Some(TimeRange {
            from: Some(noon()),
            to: None,
        }),
        ..of_subject()
    };
    let placed = place(&root, order(scope.clone()), &signature())
        .await
        .unwrap();
    let controls = Controls::load(&root, ControlsVersion(1)).await.unwrap();
    let holds = controls.in_force(noon());
    let hold = holds.iter().next().unwrap();
    assert_eq!(
        (&hold.id, &hold.scope, hold.placed_at),
        (&placed.id, &scope, noon())
    );
    assert_eq!(
        placed.id.to_string().parse::<HoldId>().as_ref(),
        Ok(&placed.id)
    );
    assert!(
        controls.in_force(noon() + TimeDelta::days(30)).is_empty(),
        "it ended"
    );
    assert!(
        !controls
            .in_force(noon() + TimeDelta::days(30) - TimeDelta::seconds(1))
            .is_empty()
    );
    assert!(
        controls
            .in_force(noon())
            .covering(&"voice".parse().unwrap())
            .is_empty()
    );
    assert!(
        Controls::load(&root, ControlsVersion(2)).await.is_err(),
        "the table knows more than the log"
    );
}

#[test]
fn the_form_of_a_control_in_the_log_stays() {
    let hold = json!({
        "format": 1, "kind": "hold", "id": "hold-00c0ffee", "case": "case-1", "basis": "order",
        "placed_at": "2026-09-21T14:13:20Z", "until": "2027-01-01T00:00:00Z",
        "scope": {"subject": {"kind": "phone", "canonical": "31612345678"}, "events": {"from": "2026-09-01T00:00:00Z"}}
    });
    let read = Control::parse(ControlsVersion(1), hold.clone()).unwrap();
    assert!(matches!(&read, Control::Hold(hold) if hold.scope.products.is_empty()));
    assert_eq!(read.to_value().unwrap(), hold);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_that_is_not_understood_stops_deletion_and_is_not_quoted() {
    let good = json!({
        "format": 1, "kind": "hold", "id": "hold-00c0ffee", "case": "c", "basis": "b",
        "placed_at": "2026-09-21T14:13:20Z", "until": "2027-01-01T00:00:00Z", "scope": {"tenant": "secret-tenant"}
    });
    let changed = |path: &str, value: serde_json::Value| {
        let mut control = good.clone();
        *control.pointer_mut(path).unwrap() = value;
        control
    };
    let mut widened = good.clone();
    widened["scope"]["city"] = "secret-city".into();
    let wrong = [
        changed("/kind", "suppression".into()),
        changed("/format", 2.into()),
        changed("/until", "secret-tenant".into()),
        widened,
        json!([]),
    ];
    for control in wrong {
        let (_folder, root) = two_tables().await;
        let log = ControlLog::open(&root);
        log.append(ControlsVersion(1), &good).await.unwrap();
        log.append(ControlsVersion(2), &control).await.unwrap();
        let message = Controls::load(&root, ControlsVersion(0))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("control 2 is unreadable: ") && !message.contains("secret"),
            "{message}"
        );
    }
}

#[test]
fn the_shipped_policy_is_there_for_these_tests() {
    assert!(policy().products.len() > 3);
}
