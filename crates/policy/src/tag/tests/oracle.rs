//! The expected result of tagging, computed one record at a time without regard to speed.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, TimeDelta, Timelike, Utc};

use super::world::{SmsRow, sms};
use crate::tag::{TaggedBatch, Triggers, country_of};
use crate::{
    Calendar, ColumnClass, Jurisdiction, Platform, Policy, RecordTriggers, Resolver, SubjectKind,
};
use ebbtide_base::ids::{Bucket, Category, Country, Deadline, ProfileId};
use ebbtide_base::record::Fault;

/// A stored record: its columns as text, `None` for null.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    pub bucket: Bucket,
    pub profile: ProfileId,
    pub late: u32,
    pub deadlines: Vec<Option<Deadline>>,
    pub columns: BTreeMap<String, Option<String>>,
}

/// The outcome of a batch: stored records by offset, faults by row, and the counts.
#[derive(Debug, Default, PartialEq)]
pub struct ExpectedBatch {
    pub stored: BTreeMap<i64, StoredRow>,
    pub faults: Vec<(usize, Fault)>,
    pub late_fields: BTreeMap<Category, u64>,
    pub expired: u64,
}

/// Returns a tagged batch as an outcome. The rows of each group must be in the order of their
/// offsets.
pub fn outcome(tagged: &TaggedBatch) -> ExpectedBatch {
    let mut outcome = ExpectedBatch {
        faults: tagged.faults.clone(),
        late_fields: tagged.late_fields.clone(),
        expired: tagged.expired,
        ..ExpectedBatch::default()
    };
    let mut seen = Vec::new();
    for group in &tagged.groups {
        assert!(group.rows.num_rows() > 0);
        assert_eq!(group.deadlines.len(), group.profile.terms.len());
        let key = (group.bucket, group.profile.id.clone());
        assert!(!seen.contains(&key), "two groups of {key:?}");
        seen.push(key);
        let mut last = None;
        for columns in cells(&group.rows) {
            let offset: i64 = columns["source_offset"].as_ref().unwrap().parse().unwrap();
            assert!(last < Some(offset));
            last = Some(offset);
            let stored = StoredRow {
                bucket: group.bucket,
                profile: group.profile.id.clone(),
                late: group.profile.late,
                deadlines: group.deadlines.clone(),
                columns,
            };
            assert!(outcome.stored.insert(offset, stored).is_none());
        }
    }
    outcome
}

/// Returns the rows of a batch as text.
pub fn cells(rows: &RecordBatch) -> Vec<BTreeMap<String, Option<String>>> {
    let options = FormatOptions::default();
    let schema = rows.schema();
    let cell = |row: usize, column: usize| {
        let array = rows.column(column);
        let formatter = ArrayFormatter::try_new(array.as_ref(), &options).unwrap();
        let value = array
            .is_valid(row)
            .then(|| formatter.value(row).to_string());
        (schema.field(column).name().clone(), value)
    };
    (0..rows.num_rows())
        .map(|row| {
            (0..rows.num_columns())
                .map(|column| cell(row, column))
                .collect()
        })
        .collect()
}

/// The known triggers, as lists.
#[derive(Debug, Default)]
pub struct KnownTriggers {
    /// The tenants whose contracts ended, and when.
    pub ends: Vec<(String, Bucket)>,
    /// The subjects that withdrew consent, by the column and the canonical form, the tenant from
    /// which they withdrew it (`None` for all), and when.
    pub withdrawals: Vec<(String, String, Option<String>, Bucket)>,
}

impl KnownTriggers {
    /// Returns the triggers in the tagger's form.
    pub fn triggers(&self) -> Triggers {
        let mut triggers = Triggers::default();
        self.ends
            .iter()
            .for_each(|(tenant, at)| triggers.end(tenant, *at));
        for (column, canonical, tenant, at) in &self.withdrawals {
            triggers.withdraw(column, canonical, tenant.as_deref(), *at);
        }
        triggers
    }

    fn of(
        &self,
        policy: &Policy,
        row: &SmsRow,
        (raw, bucket): (&BTreeMap<String, Option<String>>, Bucket),
    ) -> RecordTriggers {
        let records = policy.products[&sms()].records.as_ref().unwrap();
        let tenant = records.tenant.as_ref().and(row.customer_id.as_ref());
        let ended = self
            .ends
            .iter()
            .rfind(|(of, _)| Some(of) == tenant)
            .map(|(_, at)| *at);
        let withdrew = self.withdrawals.iter().filter(|(column, who, from, at)| {
            // A record of a later bucket belongs to another consent.
            *at >= bucket
                && canonical(policy, column, raw).as_ref() == Some(who)
                && from.as_ref().is_none_or(|from| Some(from) == tenant)
        });
        RecordTriggers {
            contract_end: ended,
            withdrawn: withdrew.map(|(.., at)| *at).min(),
        }
    }
}

/// Returns the expected outcome for `rows`, whose offsets are `10 * row`.
pub fn oracle(
    policy: &Policy,
    rows: &[SmsRow],
    batch: &RecordBatch,
    (at, tolerance): (DateTime<Utc>, TimeDelta),
    known: &KnownTriggers,
) -> ExpectedBatch {
    let resolver = Resolver::new(policy, &sms()).unwrap();
    let calendar = Calendar::new(policy.zone, policy.bucket);
    let records = policy.products[&sms()].records.as_ref().unwrap();
    let mut outcome = ExpectedBatch::default();
    for (index, (row, raw)) in rows.iter().zip(cells(batch)).enumerate() {
        let event = match event(row, at, tolerance) {
            Ok(event) => event,
            Err(fault) => {
                outcome.faults.push((index, fault));
                continue;
            }
        };
        let jurisdiction = match &records.jurisdiction {
            Jurisdiction::CountryOf(column) => {
                raw[column].as_deref().map_or(Country::UNKNOWN, country_of)
            }
            Jurisdiction::Column(column) => {
                let code = raw[column]
                    .as_deref()
                    .unwrap_or_default()
                    .trim()
                    .to_uppercase();
                Country::new(&code).unwrap_or(Country::UNKNOWN)
            }
            Jurisdiction::Fixed(country) => *country,
            Jurisdiction::Unknown => Country::UNKNOWN,
        };
        let tenant = records.tenant.as_ref().and(row.customer_id.as_deref());
        let profile = resolver.profile(jurisdiction, resolver.tenant_class(tenant));
        let bucket = calendar.bucket_of(event.min(at)).unwrap();
        let later = calendar.bucket_of(event.max(at)).unwrap();
        let late = if profile.has_minimum() {
            calendar.distance(bucket, later)
        } else {
            0
        };
        let profile = profile.with_late(late).with_triggered(
            known.of(policy, row, (&raw, bucket)),
            &calendar,
            bucket,
        );
        let deadlines = profile.deadlines(&calendar, bucket);
        let due: Vec<&Category> = profile
            .terms
            .iter()
            .zip(&deadlines)
            .filter(|(_, deadline)| deadline.is_some_and(|deadline| deadline.0 <= at))
            .map(|(term, _)| &term.category)
            .collect();
        if !due.is_empty() && due.len() == profile.terms.len() {
            outcome.expired += 1;
            continue;
        }
        let mut columns = BTreeMap::new();
        for (name, class) in &records.fields {
            match class {
                ColumnClass::Personal(category) if due.contains(&category) => {
                    *outcome.late_fields.entry(category.clone()).or_default() += 1;
                }
                _ => _ = columns.insert(name.clone(), canonical(policy, name, &raw)),
            }
        }
        let text = |value: String| Some(value);
        let number = |column: &str| {
            raw[column]
                .as_deref()
                .map_or(Country::UNKNOWN, country_of)
                .to_string()
        };
        columns.insert("recipient_country".into(), text(number("recipient")));
        columns.insert("originator_country".into(), text(number("originator")));
        columns.insert(
            "sent_hour".into(),
            text(event.with_timezone(&policy.zone).hour().to_string()),
        );
        let domain = row
            .mail
            .as_deref()
            .and_then(|mail| mail.trim().rsplit_once('@'))
            .map(|(_, it)| in_dns(it));
        columns.insert(
            "mail_domain".into(),
            domain.filter(|domain| !domain.is_empty()),
        );
        columns.insert("jurisdiction".into(), text(jurisdiction.to_string()));
        columns.insert(
            "ingested_at".into(),
            text(at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        );
        columns.insert("source_topic".into(), text("traffic.sms".into()));
        columns.insert("source_partition".into(), text("3".into()));
        columns.insert("source_offset".into(), text((10 * index).to_string()));
        let stored = StoredRow {
            bucket,
            profile: profile.id.clone(),
            late: profile.late,
            deadlines,
            columns,
        };
        outcome.stored.insert(10 * index as i64, stored);
    }
    outcome
}

fn event(row: &SmsRow, at: DateTime<Utc>, tolerance: TimeDelta) -> Result<DateTime<Utc>, Fault> {
    let event = row.sent_at.ok_or(Fault::MissingEventTime)?;
    let event = DateTime::<Utc>::from_timestamp_micros(event).ok_or(Fault::AbsurdEventTime)?;
    if event < super::world::at("1990-01-01T00:00:00Z") {
        return Err(Fault::AbsurdEventTime);
    }
    if event > at + tolerance {
        Err(Fault::FutureEventTime)
    } else {
        Ok(event)
    }
}

fn canonical(
    policy: &Policy,
    name: &str,
    raw: &BTreeMap<String, Option<String>>,
) -> Option<String> {
    let value = raw[name].as_deref()?;
    let records = policy.products[&sms()].records.as_ref().unwrap();
    let subject = records
        .subjects
        .iter()
        .find(|subject| subject.column == name);
    Some(match subject.map(|subject| &subject.kind) {
        None => value.to_owned(),
        Some(SubjectKind::Phone) => phone(value),
        Some(SubjectKind::Email) => in_dns(value.trim()),
        Some(SubjectKind::Channel(platform)) => {
            let platform = match platform {
                Platform::Fixed(platform) => platform.clone(),
                Platform::Column(column) => raw[column].clone().unwrap_or_default(),
            };
            format!("{}:{}", platform.trim().to_lowercase(), value.trim())
        }
    })
}

/// Returns a text in lower case, with the only domain of the records that is not ASCII in its DNS
/// form.
fn in_dns(text: &str) -> String {
    text.to_lowercase().replace("ü.de", "xn--tda.de")
}

/// Returns a number without the national prefix `0` after the calling code of these countries.
fn without_trunk(called: &str) -> String {
    let codes = ["31", "32", "33", "41", "43", "44", "49", "91"];
    let national = codes
        .iter()
        .find_map(|code| Some((code, called.strip_prefix(code)?.strip_prefix('0')?)));
    national.map_or_else(|| called.to_owned(), |(code, rest)| format!("{code}{rest}"))
}

fn phone(value: &str) -> String {
    let bare: String = value
        .trim()
        .chars()
        .filter(|c| !" -./()".contains(*c))
        .collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    if digits.is_empty() || digits.len() > 22 || !digits.chars().all(|c| c.is_ascii_digit()) {
        return value.trim().to_owned();
    }
    let plus = bare.starts_with('+');
    let called = if plus {
        Some(digits)
    } else {
        digits.strip_prefix("00")
    };
    match called.filter(|called| (7..=20).contains(&called.len()) && !called.starts_with('0')) {
        Some(called) => without_trunk(called),
        None if plus => value.trim().to_owned(),
        None => bare,
    }
}
