//! The message of a notice: one JSON object. Pure.
//!
//! A message that is not of the documented form is a fault, which quotes nothing. Unknown fields
//! are ignored: senders may add their own.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use ebbtide_base::ids::ProductKey;
use ebbtide_base::record::Fault;
use ebbtide_controls::{IdentifierKind, Notice};

/// The kind of notice in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// Contracts that ended.
    Contract,
    /// People who withdrew consent.
    Consent,
}

#[derive(Deserialize)]
struct Contract {
    tenant: String,
    ended_at: DateTime<Utc>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    products: Vec<ProductKey>,
}

#[derive(Deserialize)]
struct Consent {
    subject: String,
    kind: IdentifierKind,
    #[serde(default)]
    tenant: Option<String>,
    withdrawn_at: DateTime<Utc>,
    #[serde(default)]
    products: Vec<ProductKey>,
}

/// Parses a message as a notice. Errors with its fault if it is not one.
pub fn parse(kind: NoticeKind, payload: Option<&[u8]>) -> Result<Notice, Fault> {
    let payload = payload.ok_or(Fault::Tombstone)?;
    if payload.is_empty() {
        return Err(Fault::Empty);
    }
    let sorted = |mut products: Vec<ProductKey>| {
        products.sort();
        products.dedup();
        products
    };
    match kind {
        NoticeKind::Contract => {
            let Contract {
                tenant,
                ended_at,
                reason,
                products,
            } = serde_json::from_slice(payload).map_err(|_| Fault::BadNotice)?;
            Ok(Notice::ContractEnd {
                tenant,
                ended_at,
                reason,
                products: sorted(products),
            })
        }
        NoticeKind::Consent => {
            let Consent {
                subject,
                kind,
                tenant,
                withdrawn_at,
                products,
            } = serde_json::from_slice(payload).map_err(|_| Fault::BadNotice)?;
            let subject = format!("{kind}:{subject}")
                .parse()
                .map_err(|_| Fault::BadNotice)?;
            Ok(Notice::ConsentWithdrawal {
                subject,
                tenant,
                withdrawn_at,
                products: sorted(products),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_documented_message_is_a_notice_and_additional_fields_are_ignored() {
        let text = br#"{"tenant": "t-1", "ended_at": "2026-11-24T10:00:00+01:00", "event_id": 7}"#;
        let ended_at = "2026-11-24T09:00:00Z".parse().unwrap();
        let (tenant, reason, products) = ("t-1".to_owned(), None, Vec::new());
        assert_eq!(
            parse(NoticeKind::Contract, Some(text)),
            Ok(Notice::ContractEnd {
                tenant,
                ended_at,
                reason,
                products
            })
        );
        let text = br#"{"subject": "WhatsApp:31612", "kind": "channel", "withdrawn_at": "2026-11-24T09:00:00Z", "products": ["sms"]}"#;
        let (subject, withdrawn_at) = ("channel:whatsapp:31612".parse().unwrap(), ended_at);
        let products = vec!["sms".parse().unwrap()];
        assert_eq!(
            parse(NoticeKind::Consent, Some(text)),
            Ok(Notice::ConsentWithdrawal {
                subject,
                tenant: None,
                withdrawn_at,
                products
            })
        );
    }

    #[test]
    fn an_invalid_notice_is_a_fault() {
        assert_eq!(parse(NoticeKind::Contract, None), Err(Fault::Tombstone));
        assert_eq!(parse(NoticeKind::Contract, Some(b"")), Err(Fault::Empty));
        for text in [
            "{}",
            "[]",
            r#"{"tenant": "t"}"#,
            r#"{"tenant": "t", "ended_at": "yesterday"}"#,
            r#"{"tenant": "t", "ended_at": "2026-11-24"}"#,
            r#"{"tenant": 1, "ended_at": "2026-11-24T09:00:00Z"}"#,
        ] {
            assert_eq!(
                parse(NoticeKind::Contract, Some(text.as_bytes())),
                Err(Fault::BadNotice),
                "{text}"
            );
        }
        for subject in [
            r#""kind": "phone", "subject": """#,
            r#""kind": "fax", "subject": "1""#,
            r#""subject": "1""#,
        ] {
            let text = format!(r#"{{{subject}, "withdrawn_at": "2026-11-24T09:00:00Z"}}"#);
            assert_eq!(
                parse(NoticeKind::Consent, Some(text.as_bytes())),
                Err(Fault::BadNotice),
                "{text}"
            );
        }
    }
}
