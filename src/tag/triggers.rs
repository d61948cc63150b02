//! What is known of triggers besides events: which tenants' contracts ended, who withdrew consent, and what of that holds for a row.
//!
//! Promises that where nothing is known a row costs nothing, and that the rows of a table are judged exactly as they would be
//! on arrival. Holds subjects: its `Debug` tells counts alone.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use arrow::array::{Array, RecordBatch, StringArray};

use super::canonical::SubjectForm;
use super::error::TagError;
use super::input::texts;
use super::phone::PhoneForm;
use super::{channel, email};
use crate::ids::Bucket;
use crate::policy::{Platform, Records, Subject, SubjectKind, Triggered};

/// What is known of the triggers of one product's records.
#[derive(Clone, Default)]
pub struct Triggers {
    ends: HashMap<String, Bucket>,
    /// By subject column and the canonical form of who withdrew.
    withdrawals: BTreeMap<String, HashMap<String, Vec<Withdrawal>>>,
}

#[derive(Clone)]
struct Withdrawal {
    /// Only from this one.
    tenant: Option<String>,
    bucket: Bucket,
}

impl fmt::Debug for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let withdrawals: usize = self.withdrawals.values().map(HashMap::len).sum();
        write!(f, "Triggers({} contract ends, {withdrawals} withdrawals)", self.ends.len())
    }
}

impl Triggers {
    /// The contract with `tenant` ended in `bucket`, or will.
    pub fn end(&mut self, tenant: &str, bucket: Bucket) {
        self.ends.insert(tenant.to_owned(), bucket);
    }

    /// Whom `column` names in that canonical form withdrew consent in `bucket`: from `tenant`, or from all.
    pub fn withdraw(&mut self, column: &str, canonical: &str, tenant: Option<&str>, bucket: Bucket) {
        let of = self.withdrawals.entry(column.to_owned()).or_default();
        let withdrawal = Withdrawal { tenant: tenant.map(str::to_owned), bucket };
        of.entry(canonical.to_owned()).or_default().push(withdrawal);
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.withdrawals.is_empty()
    }

    /// The subject columns of which somebody withdrew.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.withdrawals.keys().map(String::as_str)
    }

    /// What holds for each of some rows of a bucket in a table: columns that `rows` lacks name nobody.
    pub fn of_stored(&self, records: &Records, rows: &RecordBatch, bucket: Bucket) -> Result<Vec<Triggered>, TagError> {
        let stands = |name: &String| rows.column_by_name(name).is_some();
        let tenants = records.tenant.as_ref().filter(|name| stands(name)).map(|name| texts(rows, name)).transpose()?;
        let mut named = Vec::new();
        for subject in records.subjects.iter().filter(|subject| stands(&subject.column)) {
            named.extend(self.named(subject, rows, Form::Stored(SubjectForm::of(records, subject)))?);
        }
        let mut finder = Finder { triggers: self, tenants, named, buffer: Vec::new() };
        Ok((0..rows.num_rows()).map(|row| finder.of(row, bucket)).collect())
    }

    /// Finds what holds for rows as they arrive; `None` where nothing is known.
    pub(super) fn arriving<'t>(
        &'t self,
        records: &Records,
        rows: &'t RecordBatch,
    ) -> Result<Option<Finder<'t>>, TagError> {
        if self.is_empty() {
            return Ok(None);
        }
        let tenants = records.tenant.as_ref().map(|name| texts(rows, name)).transpose()?;
        let mut named = Vec::new();
        for subject in &records.subjects {
            let form = match &subject.kind {
                SubjectKind::Phone => Form::Phone(PhoneForm::new(records.default_country)),
                SubjectKind::Email => Form::Email,
                SubjectKind::Channel(Platform::Fixed(platform)) => Form::Of(platform.clone()),
                SubjectKind::Channel(Platform::Column(platform)) => Form::By(texts(rows, platform)?),
            };
            named.extend(self.named(subject, rows, form)?);
        }
        Ok(Some(Finder { triggers: self, tenants, named, buffer: Vec::new() }))
    }

    fn named<'t>(
        &'t self,
        subject: &Subject,
        rows: &'t RecordBatch,
        form: Form<'t>,
    ) -> Result<Option<Named<'t>>, TagError> {
        let Some(withdrawn) = self.withdrawals.get(&subject.column) else { return Ok(None) };
        Ok(Some(Named { texts: texts(rows, &subject.column)?, form, withdrawn }))
    }
}

/// Finds what holds for the rows of one batch.
pub(super) struct Finder<'t> {
    triggers: &'t Triggers,
    tenants: Option<&'t StringArray>,
    named: Vec<Named<'t>>,
    buffer: Vec<u8>,
}

/// A subject column of which somebody withdrew.
struct Named<'t> {
    texts: &'t StringArray,
    form: Form<'t>,
    withdrawn: &'t HashMap<String, Vec<Withdrawal>>,
}

/// How a subject column's values become canonical.
enum Form<'t> {
    /// A subject in the canonical form, or an earlier one.
    Stored(SubjectForm),
    Phone(PhoneForm),
    Email,
    Of(String),
    By(&'t StringArray),
}

impl Finder<'_> {
    /// What holds for a row of that bucket: of several withdrawals the first that concerns it, which none from before it does.
    pub(super) fn of(&mut self, row: usize, bucket: Bucket) -> Triggered {
        let tenant = self.tenants.filter(|tenants| tenants.is_valid(row)).map(|tenants| tenants.value(row));
        let contract_end = tenant.and_then(|tenant| self.triggers.ends.get(tenant)).copied();
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
            let found = std::str::from_utf8(&self.buffer).ok().and_then(|canonical| named.withdrawn.get(canonical));
            let from = |of: &&Withdrawal| of.tenant.as_deref().is_none_or(|from| Some(from) == tenant);
            let concern = found.into_iter().flatten().filter(from).map(|of| of.bucket).filter(|at| *at >= bucket);
            withdrawn = withdrawn.into_iter().chain(concern).min();
        }
        Triggered { contract_end, withdrawn }
    }
}
