//! The columns of a tagged batch, built once and then split into groups without copying.
//!
//! The output has only columns that the policy names, derives or tags with, and none of a category
//! that is already due.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema, SchemaRef};

use super::batch_countries::BatchCountries;
use super::error::TagError;
use super::groups::GroupTags;
use super::hours::HourCache;
use super::input::{texts, times};
use super::order::RowPermutation;
use super::phone::PhoneForm;
use super::tagged_batch::{Arrivals, TaggedBatch, TaggedGroup};
use super::{channel, characters, email, text};
use crate::{
    Calendar, Derivation, DerivedColumn, Jurisdiction, Platform, Records, SubjectColumn,
    SubjectKind,
};
use ebbtide_base::ids::Category;

/// The rules by which the columns are built.
pub(super) struct OutputRules<'a> {
    /// The definition of the product's records.
    pub(super) records: &'a Records,
    /// The calendar of the policy, for hours in its zone.
    pub(super) calendar: &'a Calendar,
}

/// All rows of a batch that are stored, one group after the other.
pub(super) struct TaggedRows {
    rows: RecordBatch,
    /// The number of values of phone columns that are not numbers.
    unparsed: u64,
    /// The category of each column; `None` for a column that is not personal.
    categories: Vec<Option<Category>>,
}

impl TaggedRows {
    /// Builds every column in `order`.
    pub(super) fn build(
        by: &OutputRules<'_>,
        rows: &RecordBatch,
        countries: &BatchCountries,
        from: &Arrivals<'_>,
        order: &RowPermutation,
    ) -> Result<Self, TagError> {
        let (mut fields, mut columns, mut categories) = (Vec::new(), Vec::new(), Vec::new());
        let unparsed = Cell::new(0);
        let phone = PhoneForm::new(by.records.default_country);
        for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            let Some(class) = by.records.fields.get(field.name()) else {
                continue;
            };
            let subject = by
                .records
                .subjects
                .iter()
                .find(|subject| subject.column == *field.name());
            columns.push(match subject {
                Some(subject) => canonical(subject, rows, order, &phone, &unparsed)?,
                None => order.take(column)?,
            });
            fields.push(Arc::clone(field));
            categories.push(class.category().cloned());
        }
        let jurisdiction: ArrayRef = Arc::new(text::countries(order, |row| countries.of(row))?);
        for derived in &by.records.derive {
            let column = match &by.records.jurisdiction {
                Jurisdiction::CountryOf(of)
                    if derived.how == Derivation::CountryOf && derived.of == *of =>
                {
                    Arc::clone(&jurisdiction)
                }
                _ => derive(derived, by, rows, order)?,
            };
            fields.push(Arc::new(Field::new(
                &derived.name,
                column.data_type().clone(),
                true,
            )));
            columns.push(column);
        }
        let offsets = order.rows().map(|row| from.offsets[row]);
        let at = TimestampMicrosecondArray::from_value(from.at.timestamp_micros(), order.len())
            .with_timezone("UTC");
        let tags: [(&str, ArrayRef); 5] = [
            ("jurisdiction", jurisdiction),
            ("ingested_at", Arc::new(at)),
            (
                "source_topic",
                Arc::new(text::constant(from.source.topic.as_str(), order.len())?),
            ),
            (
                "source_partition",
                Arc::new(Int32Array::from_value(from.source.partition.0, order.len())),
            ),
            (
                "source_offset",
                Arc::new(Int64Array::from_iter_values(offsets)),
            ),
        ];
        for (name, column) in tags {
            fields.push(Arc::new(Field::new(
                name,
                column.data_type().clone(),
                false,
            )));
            columns.push(column);
        }
        categories.resize(columns.len(), None);
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        Ok(Self {
            rows: RecordBatch::try_new(schema, columns)?,
            unparsed: unparsed.get(),
            categories,
        })
    }

    /// Splits the rows into groups, and counts the fields that are left out.
    pub(super) fn divide(
        self,
        kinds: Vec<GroupTags>,
        into: &mut TaggedBatch,
    ) -> Result<(), TagError> {
        into.unparsed = self.unparsed;
        let mut partial: HashMap<Vec<usize>, RecordBatch> = HashMap::new();
        let mut start = 0;
        for kind in kinds {
            let GroupTags {
                bucket,
                profile,
                deadlines,
                absent,
                rows: count,
            } = kind;
            let rows = if absent.is_empty() {
                self.rows.slice(start, count)
            } else {
                let due: Vec<&Category> = absent
                    .iter()
                    .map(|term| &profile.terms[*term].category)
                    .collect();
                let (out, stay): (Vec<usize>, Vec<usize>) =
                    (0..self.categories.len()).partition(|column| {
                        self.categories[*column]
                            .as_ref()
                            .is_some_and(|of| due.contains(&of))
                    });
                for category in out
                    .iter()
                    .filter_map(|column| self.categories[*column].as_ref())
                {
                    *into.late_fields.entry(category.clone()).or_default() += count as u64;
                }
                let rows = match partial.get(&stay) {
                    Some(rows) => rows,
                    None => &*partial
                        .entry(stay.clone())
                        .or_insert(self.rows.project(&stay)?),
                };
                rows.slice(start, count)
            };
            start += count;
            into.groups.push(TaggedGroup {
                bucket,
                profile,
                deadlines,
                absent,
                rows,
            });
        }
        Ok(())
    }
}

/// Converts a subject column to its canonical form. Counts the values of phone columns that are not
/// numbers.
fn canonical(
    subject: &SubjectColumn,
    rows: &RecordBatch,
    order: &RowPermutation,
    phone: &PhoneForm,
    unparsed: &Cell<u64>,
) -> Result<ArrayRef, TagError> {
    let of = texts(rows, &subject.column)?;
    let column = match &subject.kind {
        SubjectKind::Phone => text::rewrite(of, order, |_, value, to| {
            if !phone.write(value, to) && !characters::trimmed(value).is_empty() {
                unparsed.set(unparsed.get() + 1);
            }
            true
        }),
        SubjectKind::Email => text::rewrite(of, order, |_, value, to| {
            email::write(value, to);
            true
        }),
        SubjectKind::Channel(Platform::Fixed(platform)) => {
            text::rewrite(of, order, |_, value, to| {
                channel::write(Some(platform), value, to);
                true
            })
        }
        SubjectKind::Channel(Platform::Column(platform)) => {
            let platforms = texts(rows, platform)?;
            text::rewrite(of, order, |row, value, to| {
                let platform = platforms.is_valid(row).then(|| platforms.value(row));
                channel::write(platform, value, to);
                true
            })
        }
    };
    Ok(Arc::new(column?))
}

fn derive(
    derived: &DerivedColumn,
    by: &OutputRules<'_>,
    rows: &RecordBatch,
    order: &RowPermutation,
) -> Result<ArrayRef, TagError> {
    Ok(match derived.how {
        Derivation::CountryOf => {
            let phone = PhoneForm::new(by.records.default_country);
            let countries =
                BatchCountries::each(texts(rows, &derived.of)?, |number| phone.country(number));
            Arc::new(text::countries(order, |row| countries.of(row))?)
        }
        Derivation::HourOf => {
            let (of, mut hours) = (
                times(rows, &derived.of)?,
                HourCache::new(by.calendar.zone()),
            );
            let hour = |row| {
                if of.is_valid(row) {
                    hours.hour(of.value(row))
                } else {
                    None
                }
            };
            Arc::new(Int32Array::from_iter(order.rows().map(hour)))
        }
        Derivation::DomainOf => Arc::new(text::rewrite(
            texts(rows, &derived.of)?,
            order,
            |_, address, to| email::write_domain(address, to),
        )?),
    })
}
