//! Notices on real tables: each is recorded once, is in force everywhere, and is forgotten when no
//! record that it concerns can arrive.

use chrono::TimeDelta;
use serde_json::json;

use crate::testing::{HELD, bytes_under, naming, policy, signature, two_tables, versions};
use crate::{
    CommitIdentity, Control, Controls, Notice, NoticeError, NoticeOutcome, ProductNotices,
    Screening, ScreeningOutcome, forget, notify, notify_screened, settle,
};
use ebbtide_base::ids::{BucketUnit, ProductKey};
use ebbtide_config::NoticeLimits;
use ebbtide_policy::Calendar;
use ebbtide_table::testing::{batch, noon, spec};
use ebbtide_table::{CommitError, ControlLog, ControlsVersion, Root, Table};

fn end(tenant: &str, days: i64, products: &[&str]) -> Notice {
    Notice::ContractEnd {
        tenant: tenant.to_owned(),
        ended_at: noon() + TimeDelta::days(days),
        reason: None,
        products: products
            .iter()
            .map(|product| product.parse().unwrap())
            .collect(),
    }
}

fn withdrawal(days: i64) -> Notice {
    let subject = format!("phone:+{HELD}").parse().unwrap();
    Notice::ConsentWithdrawal {
        subject,
        tenant: None,
        withdrawn_at: noon() + TimeDelta::days(days),
        products: vec![],
    }
}

async fn sent(root: &Root, notices: Vec<Notice>) -> Vec<NoticeOutcome> {
    notify(root, &policy(), notices, &signature())
        .await
        .unwrap()
}

fn taken(version: i64, known: bool) -> NoticeOutcome {
    NoticeOutcome::Taken {
        version: ControlsVersion(version),
        known,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_notices_take_one_commit_a_table_and_repeated_ones_none() {
    let (_folder, root) = two_tables().await;
    let mut writer = Table::open(&root, spec()).await.unwrap();
    let unaware = batch(&writer, 0, None, 10).await;
    let all = vec![
        end("a", 1, &[]),
        end("b", 2, &["voice"]),
        withdrawal(-1),
        end("a", 1, &[]),
    ];
    assert_eq!(
        sent(&root, all.clone()).await,
        [
            taken(1, false),
            taken(2, false),
            taken(3, false),
            taken(1, true)
        ]
    );
    assert!(matches!(
        writer.commit(unaware).await,
        Err(CommitError::ControlsMoved)
    ));
    assert_eq!(versions(&root).await, [3, 3]);
    let before = writer.version();
    assert_eq!(
        sent(&root, all).await,
        [
            taken(1, true),
            taken(2, true),
            taken(3, true),
            taken(1, true)
        ]
    );
    writer.refresh().await.unwrap();
    // There was only one commit.
    assert_eq!((writer.version(), before), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_end_needs_a_reason_wherever_the_earlier_one_counts() {
    let (_folder, root) = two_tables().await;
    assert_eq!(
        sent(&root, vec![end("a", 5, &["sms"]), end("a", 3, &["voice"])])
            .await
            .len(),
        2
    );
    let lengthens = |days| {
        NoticeOutcome::Refused(NoticeError::Lengthens {
            known: noon() + TimeDelta::days(days),
        })
    };
    // Later than both; later than one of them; about another product; sooner than both.
    assert_eq!(sent(&root, vec![end("a", 6, &[])]).await, [lengthens(5)]);
    assert_eq!(sent(&root, vec![end("a", 4, &[])]).await, [lengthens(3)]);
    assert_eq!(
        sent(&root, vec![end("a", 9, &["email"])]).await,
        [taken(3, false)]
    );
    assert_eq!(sent(&root, vec![end("a", 2, &[])]).await, [taken(4, false)]);
    assert_eq!(
        sent(&root, vec![end("a", 4, &["sms"])]).await,
        [lengthens(2)]
    );
    let Notice::ContractEnd {
        tenant,
        ended_at,
        products,
        ..
    } = end("a", 4, &["sms"])
    else {
        panic!()
    };
    let renewed = Notice::ContractEnd {
        tenant,
        ended_at,
        products,
        reason: Some("renewed".to_owned()),
    };
    assert_eq!(sent(&root, vec![renewed]).await, [taken(5, false)]);
    // The newest counts in each product.
    let controls = Controls::load(&root, ControlsVersion(5)).await.unwrap();
    let calendar = Calendar::new(chrono_tz::Tz::UTC, BucketUnit::Day);
    for (product, days) in [("sms", 4), ("voice", 2), ("email", 2)] {
        let product: ProductKey = product.parse().unwrap();
        let buckets = ProductNotices::of(&controls, &product, &calendar).buckets();
        assert_eq!(
            buckets,
            [calendar.bucket_of(noon() + TimeDelta::days(days)).unwrap()],
            "{product}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn implausible_notice_leaves_no_trace() {
    let (_folder, root) = two_tables().await;
    let refused = |error| vec![NoticeOutcome::Refused(error)];
    assert_eq!(
        sent(&root, vec![end(" ", 1, &[])]).await,
        refused(NoticeError::NoTenant)
    );
    let future = noon() + TimeDelta::days(1);
    assert_eq!(
        sent(&root, vec![withdrawal(1)]).await,
        refused(NoticeError::Future(future))
    );
    // The longest window of the shipped policy is twelve months.
    assert_eq!(
        sent(&root, vec![withdrawal(-400)]).await,
        refused(NoticeError::Over)
    );
    let mut without = policy();
    without.rules.retain(|rule| rule.id.as_str() != "marketing");
    let outcomes = notify(&root, &without, vec![withdrawal(-1)], &signature())
        .await
        .unwrap();
    assert_eq!(outcomes, refused(NoticeError::NoRule));
    assert!(!root.controls_folder().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn implausible_dates_are_refused_unless_a_person_confirms_them() {
    let (_folder, root) = two_tables().await;
    let screened = Screening::parking(NoticeLimits::default());
    let of = |at: &str| Notice::ContractEnd {
        tenant: "a".to_owned(),
        ended_at: at.parse().unwrap(),
        reason: None,
        products: vec![],
    };
    let dates = [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1899-12-30T00:00:00Z",
        "2099-12-31T00:00:00Z",
    ];
    for at in dates
        .into_iter()
        .chain(["9999-12-31T23:59:59Z", "1998-05-01T00:00:00Z"])
    {
        let outcomes = notify_screened(&root, &policy(), vec![of(at)], &signature(), &screened)
            .await
            .unwrap();
        assert!(
            matches!(
                outcomes[..],
                [ScreeningOutcome::Passed(NoticeOutcome::Refused(
                    NoticeError::Implausible(_)
                ))]
            ),
            "{at}: {outcomes:?}"
        );
    }
    let subject = format!("phone:+{HELD}").parse().unwrap();
    let withdrawn_at = "1970-01-01T00:00:00Z".parse().unwrap();
    let withdrawal = Notice::ConsentWithdrawal {
        subject,
        tenant: None,
        withdrawn_at,
        products: vec![],
    };
    let refused = notify_screened(&root, &policy(), vec![withdrawal], &signature(), &screened)
        .await
        .unwrap();
    assert!(
        matches!(
            refused[..],
            [ScreeningOutcome::Passed(NoticeOutcome::Refused(
                NoticeError::Implausible(_)
            ))]
        ),
        "{refused:?}"
    );
    assert!(!root.controls_folder().exists());
    // A plausible old date is accepted, and a confirmed one stays known.
    let old = of("2003-06-30T00:00:00Z");
    assert_eq!(
        notify_screened(&root, &policy(), vec![old], &signature(), &screened)
            .await
            .unwrap(),
        [ScreeningOutcome::Passed(taken(1, false))]
    );
    assert_eq!(
        sent(&root, vec![of("1970-01-01T00:00:00Z")]).await,
        [taken(2, false)]
    );
    let again = notify_screened(
        &root,
        &policy(),
        vec![of("1970-01-01T00:00:00Z")],
        &signature(),
        &screened,
    )
    .await
    .unwrap();
    assert_eq!(again, [ScreeningOutcome::Passed(taken(2, true))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawal_is_forgotten_once_no_record_of_it_can_arrive() {
    let (_folder, root) = two_tables().await;
    sent(&root, vec![withdrawal(-1), end("a", 1, &[])]).await;
    assert_eq!(naming(&root).len(), 1);
    // Twelve months of 31 days, and three days more.
    let over = noon() + TimeDelta::days(12 * 31 + 3 - 1);
    assert_eq!(
        forget(&root, over - TimeDelta::seconds(1)).await.unwrap(),
        0
    );
    assert_eq!(forget(&root, over).await.unwrap(), 1);
    assert!(naming(&root).is_empty() && !bytes_under(&root).is_empty());
    assert_eq!(forget(&root, over).await.unwrap(), 0);
    // The remainder replaces the withdrawal, and a contract's end stays.
    let controls = Controls::load(&root, ControlsVersion(2)).await.unwrap();
    let kinds: Vec<&str> = controls
        .iter()
        .map(|(_, control)| control.operation())
        .collect();
    assert_eq!(kinds, ["consent_withdrawn", "contract_end"]);
    let later = CommitIdentity {
        at: over,
        ..signature()
    };
    let again = notify(&root, &policy(), vec![withdrawal(-1)], &later)
        .await
        .unwrap();
    assert_eq!(again, [NoticeOutcome::Refused(NoticeError::Over)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_notice_is_put_in_force_by_the_next_process() {
    let (_folder, root) = two_tables().await;
    let control = json!({"format": 1, "kind": "contract_end", "tenant": "a", "ended_at": noon(), "recorded_at": noon()});
    ControlLog::open(&root)
        .append(ControlsVersion(1), &control)
        .await
        .unwrap();
    assert_eq!(versions(&root).await, [0, 0]);
    assert_eq!(sent(&root, vec![end("a", 0, &[])]).await, [taken(1, true)]);
    assert_eq!(versions(&root).await, [1, 1]);
    ControlLog::open(&root)
        .append(ControlsVersion(2), &control)
        .await
        .unwrap();
    assert_eq!(settle(&root, &signature()).await.unwrap().len(), 2);
}

#[test]
fn the_form_of_a_notice_in_the_log_stays() {
    let forms = [
        json!({"format": 1, "kind": "contract_end", "tenant": "a", "ended_at": "2026-11-24T00:00:00Z",
            "recorded_at": "2026-11-25T00:00:00Z", "reason": "renewed", "products": ["sms"]}),
        json!({"format": 1, "kind": "consent_withdrawal", "subject": {"kind": "phone", "canonical": "31612345678"},
            "tenant": "a", "withdrawn_at": "2026-11-24T00:00:00Z", "recorded_at": "2026-11-25T00:00:00Z",
            "until": "2027-11-24T00:00:00Z"}),
        json!({"format": 1, "kind": "past_withdrawal", "recorded_at": "2026-11-25T00:00:00Z"}),
        json!({"format": 1, "kind": "parked_notice", "parked_at": "2026-11-25T00:00:00Z", "product": "sms", "due": 7,
            "records": 9, "notice": {"contract_end": {"tenant": "a", "ended_at": "2026-11-24T00:00:00Z",
            "recorded_at": "2026-11-25T00:00:00Z"}}}),
        json!({"format": 1, "kind": "notice_decision", "parked": 4, "decision": "rejected",
            "decided_at": "2026-11-25T00:00:00Z", "reason": "a test export"}),
        json!({"format": 1, "kind": "contract_end", "tenant": "a", "ended_at": "2026-11-24T00:00:00Z",
            "recorded_at": "2026-11-25T00:00:00Z", "made_due": {"sms": 7, "voice": 2}}),
        json!({"format": 1, "kind": "consent_withdrawal", "subject": {"kind": "phone", "canonical": "31612345678"},
            "withdrawn_at": "2026-11-24T00:00:00Z", "recorded_at": "2026-11-25T00:00:00Z",
            "until": "2027-11-24T00:00:00Z", "made_due": {"sms": 7}}),
        json!({"format": 1, "kind": "past_withdrawal", "recorded_at": "2026-11-25T00:00:00Z", "made_due": {"sms": 7}}),
        json!({"format": 1, "kind": "parked_notice", "parked_at": "2026-11-25T00:00:00Z", "product": "sms", "due": 7,
            "records": 9, "before": 3, "notice": {"contract_end": {"tenant": "a", "ended_at": "2026-11-24T00:00:00Z",
            "recorded_at": "2026-11-25T00:00:00Z"}}}),
        json!({"format": 1, "kind": "past_parked_notice", "parked_at": "2026-11-25T00:00:00Z", "product": "sms"}),
    ];
    for form in forms {
        let control = Control::parse(ControlsVersion(1), form.clone()).unwrap();
        assert_eq!(control.to_value().unwrap(), form);
        let mut unknown = form;
        unknown["more"] = json!(1);
        assert!(Control::parse(ControlsVersion(1), unknown).is_err());
    }
}
