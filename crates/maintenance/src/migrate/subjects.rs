//! Conversion of stored subjects to the canonical forms of a new policy, and of the values that
//! were derived from them.
//!
//! A value that is in the new form already does not change its row: its jurisdiction remains the
//! one determined on arrival.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};

use ebbtide_base::ids::Country;
use ebbtide_policy::tag::{FormsMark, PhoneForm, SubjectForm, canonical_email};
use ebbtide_policy::{Derivation, Jurisdiction, Records};
use ebbtide_table::{RewriteError, StoredSegment};

/// The tag column with a row's jurisdiction.
const JURISDICTION: &str = "jurisdiction";

/// The conversion of subjects of segments that are in earlier canonical forms.
#[derive(Debug, Clone)]
pub struct SubjectConversion {
    /// The new forms; `None` for a product without subjects.
    mark: Option<FormsMark>,
    subjects: Vec<(String, SubjectForm)>,
    /// The column whose number's country is the jurisdiction.
    jurisdiction: Option<String>,
    phone: PhoneForm,
    /// The derived columns that are computed again: the name, the source column, and the
    /// derivation.
    derived: Vec<(String, String, Derivation)>,
}

/// The effect of the conversion on one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvertedRow {
    /// Its jurisdiction, if it changes.
    pub country: Option<Country>,
    /// True if a value of the row changes.
    pub changes: bool,
}

impl SubjectConversion {
    /// Creates the conversion for the records of a policy. `stored` returns the name under which a
    /// column is stored.
    #[must_use]
    pub fn new(records: &Records, stored: impl Fn(&str) -> String) -> SubjectConversion {
        let subjects = records.subjects.iter();
        let subjects: Vec<_> = subjects
            .map(|subject| (stored(&subject.column), SubjectForm::of(records, subject)))
            .collect();
        let jurisdiction = match &records.jurisdiction {
            Jurisdiction::CountryOf(column) => Some(stored(column)),
            Jurisdiction::Column(_) | Jurisdiction::Fixed(_) | Jurisdiction::Unknown => None,
        };
        let derived = records
            .derive
            .iter()
            .filter(|derived| derived.how != Derivation::HourOf);
        SubjectConversion {
            mark: (!subjects.is_empty()).then(|| FormsMark::of(records)),
            subjects,
            jurisdiction,
            phone: PhoneForm::new(records.default_country),
            derived: derived
                .map(|derived| (stored(&derived.name), stored(&derived.of), derived.how))
                .collect(),
        }
    }

    /// Returns the canonical forms of converted segments.
    #[must_use]
    pub fn mark(&self) -> Option<FormsMark> {
        self.mark
    }

    /// Returns true if subjects of a segment may be in another form.
    #[must_use]
    pub fn concerns(&self, segment: &StoredSegment) -> bool {
        self.mark.is_some() && !segment.cells && segment.forms() != self.mark
    }

    /// Returns the columns that decide the effect on a row.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.subjects
            .iter()
            .map(|(column, _)| column)
            .chain(&self.jurisdiction)
            .map(String::as_str)
    }

    /// Returns the effect on each row of a batch of those columns.
    #[must_use]
    pub fn rows(&self, rows: &RecordBatch) -> Vec<ConvertedRow> {
        let mut buffer = Vec::new();
        let subjects: Vec<_> = self
            .subjects
            .iter()
            .filter_map(|(name, form)| Some((texts(rows, name)?, form)))
            .collect();
        let callee = self
            .jurisdiction
            .as_deref()
            .and_then(|name| texts(rows, name));
        let stored = texts(rows, JURISDICTION);
        let mut reformed = Vec::with_capacity(rows.num_rows());
        for row in 0..rows.num_rows() {
            let mut changes = subjects.iter().any(|(column, form)| {
                value(column, row)
                    .is_some_and(|value| form.stored_into(value, &mut buffer) != value)
            });
            let country = callee.and_then(|column| self.country(value(column, row)?, &mut buffer));
            let country = country.filter(|country| {
                stored.and_then(|stored| value(stored, row)) != Some(country.as_str())
            });
            changes |= country.is_some();
            reformed.push(ConvertedRow { country, changes });
        }
        reformed
    }

    /// Returns the same rows with subjects in their new form, and with the values derived from
    /// them.
    pub fn edit(&self, rows: &RecordBatch) -> Result<RecordBatch, RewriteError> {
        let reformed = self.rows(rows);
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (field, column) in rows.schema_ref().fields().iter().zip(&mut columns) {
            let Some(old) = column.as_string_opt::<i32>() else {
                continue;
            };
            if let Some((_, form)) = self.subjects.iter().find(|(name, _)| name == field.name()) {
                *column = map(old, |_, value| Some(form.stored(value)));
            } else if field.name() == JURISDICTION {
                *column = map(old, |row, value| {
                    let country = reformed.get(row).and_then(|of| of.country);
                    Some(country.map_or_else(|| value.to_owned(), |country| country.to_string()))
                });
            } else if let Some(derived) = self.derived(field.name(), rows, old) {
                *column = derived;
            }
        }
        RecordBatch::try_new(rows.schema(), columns).map_err(|error| RewriteError::Column {
            column: "subjects".to_owned(),
            why: error.to_string(),
        })
    }

    /// Computes a derived column again if its source column is still present and changes.
    fn derived(&self, name: &str, rows: &RecordBatch, old: &StringArray) -> Option<ArrayRef> {
        let (_, of, how) = self
            .derived
            .iter()
            .find(|(derived, _, _)| derived == name)?;
        let source = texts(rows, of)?;
        let mut buffer = Vec::new();
        let again = (0..old.len()).map(|row| {
            let before = value(old, row).map(str::to_owned);
            let Some(stored) = value(source, row) else {
                return before;
            };
            match how {
                Derivation::CountryOf => self
                    .country(stored, &mut buffer)
                    .map(|country| country.to_string())
                    .or(before),
                Derivation::DomainOf => {
                    let address = canonical_email(stored);
                    match address == stored {
                        true => before,
                        false => address
                            .rsplit_once('@')
                            .map(|(_, domain)| domain.to_owned()),
                    }
                }
                Derivation::HourOf => before,
            }
        });
        Some(Arc::new(StringArray::from_iter(again)))
    }

    /// Returns the country of a stored number that changes its form.
    fn country(&self, stored: &str, buffer: &mut Vec<u8>) -> Option<Country> {
        let changes = SubjectForm::Phone(self.phone).stored_into(stored, buffer) != stored;
        changes.then(|| self.phone.country_of_stored(stored))
    }
}

fn texts<'r>(rows: &'r RecordBatch, name: &str) -> Option<&'r StringArray> {
    rows.column_by_name(name)?.as_string_opt::<i32>()
}

fn value(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

fn map(old: &StringArray, new: impl Fn(usize, &str) -> Option<String>) -> ArrayRef {
    Arc::new(StringArray::from_iter(
        (0..old.len()).map(|row| value(old, row).and_then(|value| new(row, value))),
    ))
}
