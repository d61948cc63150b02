//! The known triggers other than events: tenants whose contracts ended, subjects that withdrew
//! consent, and the triggers that apply to a row.
//!
//! Without known triggers a row costs nothing. Stored rows get exactly the same result as on
//! arrival. Contains subjects: its `Debug` shows only counts.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use arrow::array::{Array, RecordBatch, StringArray};

use super::canonical::SubjectForm;
use super::error::TagError;
use super::input::texts;
use super::phone::PhoneForm;
use super::{channel, email};
use crate::{Platform, RecordTriggers, Records, SubjectColumn, SubjectKind};
use ebbtide_base::ids::Bucket;

/// The known triggers of one product's records.
#[derive(Clone, Default)]
pub struct Triggers {
    ends: HashMap<String, Bucket>,
    /// The withdrawals of consent, by subject column and the canonical form of the subject.
    withdrawals: BTreeMap<String, HashMap<String, Vec<Withdrawal>>>,
}

#[derive(Clone)]
struct Withdrawal {
    /// The tenant from which consent was withdrawn; `None` for all tenants.
    tenant: Option<String>,
    bucket: Bucket,
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let withdrawals: usize = self.withdrawals.values().map(HashMap::len).sum();
        write!(
            f,
            "Triggers({} contract ends, {withdrawals} withdrawals)",
            self.ends.len()
        )
    }
}

impl Triggers {
    /// Records that the contract with `tenant` ended in `bucket`, or will.
    pub fn end(&mut self, tenant: &str, bucket: Bucket) {
        self.ends.insert(tenant.to_owned(), bucket);
    }

    /// Records that the subject with that canonical form in `column` withdrew consent in `bucket`,
    /// from `tenant`, or from all tenants if that is `None`.
    pub fn withdraw(
        &mut self,
        column: &str,
        canonical: &str,
        tenant: Option<&str>,
        bucket: Bucket,
    ) {
        let of = self.withdrawals.entry(column.to_owned()).or_default();
        let withdrawal = Withdrawal {
            tenant: tenant.map(str::to_owned),
            bucket,
        };
        of.entry(canonical.to_owned()).or_default().push(withdrawal);
    }

    /// Returns true if no trigger is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.withdrawals.is_empty()
    }

    /// Returns the subject columns with a withdrawal.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.withdrawals.keys().map(String::as_str)
    }

    /// Returns the triggers that apply to each of some rows of a bucket in a table. Columns that
    /// `rows` lacks name no subject.
    pub fn of_stored(
        &self,
        records: &Records,
        rows: &RecordBatch,
        bucket: Bucket,
    ) -> Result<Vec<RecordTriggers>, TagError> {
        let has_column = |name: &String| rows.column_by_name(name).is_some();
        let tenants = records
            .tenant
            .as_ref()
            .filter(|name| has_column(name))
            .map(|name| texts(rows, name))
            .transpose()?;
        let mut named = Vec::new();
        for subject in records
            .subjects
            .iter()
            .filter(|subject| has_column(&subject.column))
        {
            named.extend(self.named(
                subject,
                rows,
                Form::Stored(SubjectForm::of(records, subject)),
            )?);
        }
        let mut finder = TriggerFinder {
            triggers: self,
            tenants,
            named,
            buffer: Vec::new(),
        };
        Ok((0..rows.num_rows())
            .map(|row| finder.of(row, bucket))
            .collect())
    }

    /// Creates a finder of the triggers that apply to arriving rows; `None` if no trigger is known.
    pub(super) fn arriving<'t>(
        &'t self,
        records: &Records,
        rows: &'t RecordBatch,
    ) -> Result<Option<TriggerFinder<'t>>, TagError> {
        if self.is_empty() {
            return Ok(None);
        }
        let tenants = records
            .tenant
            .as_ref()
            .map(|name| texts(rows, name))
            .transpose()?;
        let mut named = Vec::new();
        for subject in &records.subjects {
            let form = match &subject.kind {
                SubjectKind::Phone => Form::Phone(PhoneForm::new(records.default_country)),
                SubjectKind::Email => Form::Email,
                SubjectKind::Channel(Platform::Fixed(platform)) => Form::Of(platform.clone()),
                SubjectKind::Channel(Platform::Column(platform)) => {
                    Form::By(texts(rows, platform)?)
                }
            };
            named.extend(self.named(subject, rows, form)?);
        }
        Ok(Some(TriggerFinder {
            triggers: self,
            tenants,
            named,
            buffer: Vec::new(),
        }))
    }

    fn named<'t>(
        &'t self,
        subject: &SubjectColumn,
        rows: &'t RecordBatch,
        form: Form<'t>,
    ) -> Result<Option<WithdrawnSubjects<'t>>, TagError> {
        let Some(withdrawn) = self.withdrawals.get(&subject.column) else {
            return Ok(None);
        };
        Ok(Some(WithdrawnSubjects {
            texts: texts(rows, &subject.column)?,
            form,
            withdrawn,
        }))
    }
}

/// Finds the triggers that apply to the rows of one batch.
pub(super) struct TriggerFinder<'t> {
    triggers: &'t Triggers,
    tenants: Option<&'t StringArray>,
    named: Vec<WithdrawnSubjects<'t>>,
    buffer: Vec<u8>,
}

/// A subject column with a withdrawal.
struct WithdrawnSubjects<'t> {
    texts: &'t StringArray,
    form: Form<'t>,
    withdrawn: &'t HashMap<String, Vec<Withdrawal>>,
}

/// The way in which the values of a subject column become canonical.
enum Form<'t> {
    /// A subject in the canonical form, or an earlier one.
    Stored(SubjectForm),
    Phone(PhoneForm),
    Email,
    Of(String),
    By(&'t StringArray),
}

impl TriggerFinder<'_> {
    /// Returns the triggers that apply to a row of a bucket. Of several withdrawals the earliest
    /// that concerns the row applies; a withdrawal before the row's bucket does not concern it.
    pub(super) fn of(&mut self, row: usize, bucket: Bucket) -> RecordTriggers {
        let tenant = self
            .tenants
            .filter(|tenants| tenants.is_valid(row))
            .map(|tenants| tenants.value(row));
        let contract_end = tenant
            .and_then(|tenant| self.triggers.ends.get(tenant))
            .copied();
        let mut withdrawn: Option<Bucket> = None;
        for named in self.named.iter().filter(|named| named.texts.is_valid(row)) {
            let value = named.texts.value(row);
            self.buffer.clear();
            match &named.form {
                Form::Stored(form) => form.write_stored(value, &mut self.buffer),
                Form::Phone(form) => _ = form.write(value, &mut self.buffer),
                Form::Email => email::write(value, &mut self.buffer),
                Form::Of(platform) => channel::write(Some(platform), value, &mut self.buffer),
                Form::By(platforms) => {
                    let platform = platforms.is_valid(row).then(|| platforms.value(row));
                    channel::write(platform, value, &mut self.buffer);
                }
            }
            let found = std::str::from_utf8(&self.buffer)
                .ok()
                .and_then(|canonical| named.withdrawn.get(canonical));
            let from =
                |of: &&Withdrawal| of.tenant.as_deref().is_none_or(|from| Some(from) == tenant);
            let concern = found
                .into_iter()
                .flatten()
                .filter(from)
                .map(|of| of.bucket)
                .filter(|at| *at >= bucket);
            withdrawn = withdrawn.into_iter().chain(concern).min();
        }
        RecordTriggers {
            contract_end,
            withdrawn,
        }
    }
}
