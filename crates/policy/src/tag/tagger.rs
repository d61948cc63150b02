//! Tags a batch of one product: each record gets its bucket, profile, jurisdiction, canonical
//! subjects and derived columns.
//!
//! Every row of the input is in exactly one group, or counted as expired, or in the faults. No
//! clock is read: the time of arrival is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::TimeDelta;

use super::batch_countries::BatchCountries;
use super::buckets::BucketFinder;
use super::error::TagError;
use super::groups::TagGroups;
use super::input::{texts, times};
use super::output::{OutputRules, TaggedRows};
use super::phone::PhoneForm;
use super::tagged_batch::{Arrivals, TaggedBatch};
use super::triggers::Triggers;
use super::wall_clock::InstantBatch;
use crate::{Calendar, Jurisdiction, Platform, Policy, Profile, Records, Resolver, SubjectKind};
use ebbtide_base::ids::{Country, ProductKey, ProfileId};
use ebbtide_base::record::Fault;

/// Tags the records of one product by one policy.
#[derive(Debug)]
pub struct Tagger {
    records: Records,
    calendar: Calendar,
    columns: BTreeSet<String>,
    resolver: Resolver,
    /// Every profile that records can have, each once.
    profiles: Vec<Arc<Profile>>,
    /// The index of the profile of each of the resolver's kinds.
    profile_of_kind: Vec<u32>,
    /// The known triggers, other than events.
    triggers: Triggers,
}

impl Tagger {
    /// Creates a tagger for the records of `product`; `None` if the policy lacks the product or it
    /// has no records.
    #[must_use]
    pub fn new(policy: &Policy, product: &ProductKey) -> Option<Tagger> {
        let records = policy.products.get(product)?.records.clone()?;
        let resolver = Resolver::new(policy, product)?;
        let calendar = Calendar::new(policy.zone, policy.bucket);
        let (mut profiles, mut by_id) = (Vec::new(), HashMap::<ProfileId, u32>::new());
        let mut number = |profile: &Arc<Profile>| {
            *by_id.entry(profile.id.clone()).or_insert_with(|| {
                profiles.push(Arc::clone(profile));
                profiles.len() as u32 - 1
            })
        };
        let profile_of_kind = resolver.profiles().map(&mut number).collect();
        let columns = columns(&records);
        let triggers = Triggers::default();
        Some(Tagger {
            records,
            calendar,
            columns,
            resolver,
            profiles,
            profile_of_kind,
            triggers,
        })
    }

    /// Replaces the triggers that are used for tagging.
    pub fn know(&mut self, triggers: Triggers) {
        self.triggers = triggers;
    }

    /// Returns the definition of the product's records.
    #[must_use]
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Returns the calendar of the buckets.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Returns the columns that [`Tagger::tag`] needs: the policy's fields, and the other columns
    /// that it reads.
    #[must_use]
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.columns
    }

    /// Tags `rows`, which have at least [`Tagger::columns`]. An event up to `future_tolerance`
    /// after the arrival is accepted: its clock may be ahead.
    pub fn tag(
        &self,
        rows: &RecordBatch,
        from: &Arrivals<'_>,
        future_tolerance: TimeDelta,
    ) -> Result<TaggedBatch, TagError> {
        let count = rows.num_rows();
        if from.offsets.len() != count {
            return Err(TagError::Offsets {
                offsets: from.offsets.len(),
                rows: count,
            });
        }
        if u32::try_from(count).is_err() {
            return Err(TagError::TooLarge);
        }
        let walls = self
            .records
            .event_time_zone
            .map(|zone| InstantBatch::from_wall_clock(rows, &self.records.event_time, zone));
        let walls = walls.transpose()?;
        let rows = walls.as_ref().map_or(rows, |walls| &walls.rows);
        let mut spreads = walls.as_ref().map(|walls| walls.spreads.iter().peekable());
        let countries = self.countries(rows)?;
        let mut buckets = BucketFinder::new(&self.calendar, from.at, future_tolerance)
            .ok_or(TagError::Arrival)?;
        let mut groups = TagGroups::new(&self.calendar, from.at, &self.profiles, count);
        let events: &TimestampMicrosecondArray = times(rows, &self.records.event_time)?;
        let tenants: Option<&StringArray> = self
            .records
            .tenant
            .as_ref()
            .map(|name| texts(rows, name))
            .transpose()?;
        let mut triggers = self.triggers.arriving(&self.records, rows)?;
        for row in 0..count {
            if events.is_null(row) {
                groups.fault(Fault::MissingEventTime);
                continue;
            }
            let spread = spreads
                .as_mut()
                .and_then(|spreads| spreads.next_if(|(of, _)| *of == row));
            let place = match spread {
                None => buckets.place(events.value(row)),
                Some((_, latest)) => buckets.place_between(events.value(row), *latest),
            };
            match place {
                Ok(place) => {
                    let tenant = tenants
                        .filter(|tenants| tenants.is_valid(row))
                        .map(|tenants| tenants.value(row));
                    let kind = self
                        .resolver
                        .kind(countries.of(row), self.resolver.tenant_class(tenant));
                    let bucket = buckets.places[place as usize].bucket;
                    let triggered = triggers
                        .as_mut()
                        .map(|triggers| triggers.of(row, bucket))
                        .unwrap_or_default();
                    groups.row(
                        &buckets,
                        place,
                        self.profile_of_kind[kind] as usize,
                        triggered,
                    );
                }
                Err(fault) => groups.fault(fault),
            }
        }
        let order = groups.order();
        let rules = OutputRules {
            records: &self.records,
            calendar: &self.calendar,
        };
        let output = TaggedRows::build(&rules, rows, &countries, from, &order)?;
        let mut tagged = TaggedBatch {
            groups: Vec::new(),
            faults: groups.faults,
            late_fields: BTreeMap::new(),
            expired: groups.expired,
            unparsed: 0,
        };
        output.divide(groups.kinds, &mut tagged)?;
        Ok(tagged)
    }

    fn countries(&self, rows: &RecordBatch) -> Result<BatchCountries, TagError> {
        let phone = PhoneForm::new(self.records.default_country);
        Ok(match &self.records.jurisdiction {
            Jurisdiction::Unknown => BatchCountries::One(Country::UNKNOWN),
            Jurisdiction::Fixed(country) => BatchCountries::One(*country),
            Jurisdiction::CountryOf(name) => {
                BatchCountries::each(texts(rows, name)?, |number| phone.country(number))
            }
            Jurisdiction::Column(name) => BatchCountries::each(texts(rows, name)?, country_of_code),
        })
    }
}

/// Returns the country of an ISO 3166-1 alpha-2 code in either case.
fn country_of_code(code: &str) -> Country {
    let [first, second] = code.trim().as_bytes() else {
        return Country::UNKNOWN;
    };
    let letters = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
    std::str::from_utf8(&letters)
        .ok()
        .and_then(|code| Country::new(code).ok())
        .unwrap_or(Country::UNKNOWN)
}

/// Returns every column that tagging reads or outputs.
fn columns(records: &Records) -> BTreeSet<String> {
    let mut columns: BTreeSet<String> = records.fields.keys().cloned().collect();
    columns.insert(records.event_time.clone());
    columns.extend(records.tenant.clone());
    if let Jurisdiction::CountryOf(name) | Jurisdiction::Column(name) = &records.jurisdiction {
        columns.insert(name.clone());
    }
    for subject in &records.subjects {
        columns.insert(subject.column.clone());
        if let SubjectKind::Channel(Platform::Column(name)) = &subject.kind {
            columns.insert(name.clone());
        }
    }
    columns.extend(records.derive.iter().map(|derived| derived.of.clone()));
    columns
}
