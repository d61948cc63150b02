//! The records that a notice would make due immediately, counted from the tables before it is
//! applied. Reads only.
//!
//! Rows that cannot be read count as concerned, so that an unreadable segment never lets a notice
//! pass as small.

mod tenants;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::control::Control;
use super::notice::RecordCounts;
use super::plausible::most_without_confirmation;
use super::triggers::NoticeInForce;
use ebbtide_base::ids::{Category, ProductKey, ProfileId};
use ebbtide_config::NoticeLimits;
use ebbtide_policy::{Calendar, Policy, Profile, Records, Trigger};
use ebbtide_query::products;
use ebbtide_table::{
    ControlsVersion, OpenError, Predicate, RewriteError, Root, SegmentedTable, StoreError,
    StoredSegment, Table, TableSpec,
};

/// The number of times a table is listed again if its segments are replaced while they are read.
const ATTEMPTS: usize = 5;

/// The effect of notices on one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableEffect {
    /// The product.
    pub product: ProductKey,
    /// The table's records.
    pub records: u64,
    /// The records to which the notices apply and that wait for their trigger.
    pub concerned: u64,
    /// The records with a part that would be due immediately.
    pub due: u64,
    /// The categories that would be due immediately in at least one of these records.
    pub categories: BTreeSet<Category>,
    /// The records that other notices made due in the 24 hours before.
    pub before: u64,
    /// False if counting ended early because the answer was known: `concerned` and `due` are lower
    /// bounds then.
    pub exact: bool,
}

impl TableEffect {
    /// Returns true if the notices make records due, and these records and those of earlier notices
    /// together exceed the limit.
    #[must_use]
    pub fn is_too_much(&self, limits: &NoticeLimits) -> bool {
        self.due > 0
            && self.due.saturating_add(self.before)
                > most_without_confirmation(self.records, limits)
    }
}

/// The reason why the records cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// A table cannot be opened.
    #[error("the data that a notice would delete cannot be counted: {0}")]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("the data that a notice would delete cannot be counted: {0}")]
    Store(#[from] StoreError),
}

/// The tables of a policy at one moment.
pub struct Preview {
    tables: Vec<Previewed>,
    calendar: Calendar,
    /// The records that other notices made due in the 24 hours before.
    before: RecordCounts,
}

struct Previewed {
    table: SegmentedTable,
    records: Records,
    profiles: HashMap<ProfileId, Option<Arc<Profile>>>,
}

/// A segment to which notices may apply.
struct AffectedSegment {
    segment: StoredSegment,
    /// The rows to which the notices apply.
    concerned: Vec<Predicate>,
    /// The rows with a part that would be due immediately.
    due: Vec<Predicate>,
    categories: BTreeSet<Category>,
}

/// A segment was replaced while it was read.
struct SegmentReplaced;

/// The notices whose effect on a table is counted.
struct PreviewRequest<'p> {
    notices: Vec<NoticeInForce>,
    calendar: &'p Calendar,
    /// The time of the count.
    now: DateTime<Utc>,
    /// If set, counting ends once the number exceeds these limits.
    limits: Option<&'p NoticeLimits>,
    /// The records that other notices made due before.
    before: u64,
}

impl Preview {
    /// Opens the tables that the policy names and that exist. `before` are the records that other
    /// notices made due in the 24 hours before.
    pub async fn open(
        root: &Root,
        policy: &Policy,
        before: RecordCounts,
    ) -> Result<Preview, PreviewError> {
        let mut tables = Vec::new();
        for product in products(root).await? {
            let records = policy
                .products
                .get(&product)
                .and_then(|product| product.records.clone());
            let (Some(records), Some(spec)) = (records, TableSpec::of(policy, &product)) else {
                continue;
            };
            let Some(table) = Table::existing(root, Arc::new(spec)).await? else {
                continue;
            };
            tables.push(Previewed {
                table: SegmentedTable::load(table).await?,
                records,
                profiles: HashMap::new(),
            });
        }
        Ok(Preview {
            tables,
            calendar: Calendar::new(policy.zone, policy.bucket),
            before,
        })
    }

    /// Counts the effects of notices at `now`, in every table that they cover.
    pub async fn effects(
        &mut self,
        notices: &[&Control],
        now: DateTime<Utc>,
    ) -> Result<Vec<TableEffect>, PreviewError> {
        self.counted(notices, now, None).await
    }

    /// Counts the records that the notices together would make due immediately. In each table,
    /// counting ends once the number exceeds the limits. No table is read for a contract end whose
    /// deadlines are not due yet.
    pub async fn due(
        &mut self,
        notices: &[&Control],
        now: DateTime<Utc>,
        limits: &NoticeLimits,
    ) -> Result<Vec<TableEffect>, PreviewError> {
        self.counted(notices, now, Some(limits)).await
    }

    async fn counted(
        &mut self,
        notices: &[&Control],
        now: DateTime<Utc>,
        limits: Option<&NoticeLimits>,
    ) -> Result<Vec<TableEffect>, PreviewError> {
        let mut effects = Vec::new();
        for table in &mut self.tables {
            let product = table.table.spec().product.clone();
            let of_table = notices.iter().filter(|control| control.covers(&product));
            let in_force = of_table.filter_map(|control| {
                NoticeInForce::from_control(ControlsVersion(0), control, &self.calendar)
            });
            if notices.iter().any(|control| control.covers(&product)) {
                let before = self.before.get(&product).copied().unwrap_or_default();
                let request = PreviewRequest {
                    notices: in_force.collect(),
                    calendar: &self.calendar,
                    now,
                    limits,
                    before,
                };
                let mut effect = table.effect(&request).await?;
                effect.before = before;
                effects.push(effect);
            }
        }
        Ok(effects)
    }
}

impl Previewed {
    async fn effect(&mut self, request: &PreviewRequest<'_>) -> Result<TableEffect, PreviewError> {
        for attempt in 1.. {
            match self.count(request, attempt == ATTEMPTS).await? {
                Ok(effect) => return Ok(effect),
                Err(SegmentReplaced) => self.table.refresh().await?,
            }
        }
        Err(
            StoreError::Refused("a table's segments were replaced again and again".to_owned())
                .into(),
        )
    }

    /// Counts over the listed segments. If a segment no longer exists, errors with
    /// [`SegmentReplaced`]; in the `last` attempt, all of its records count instead.
    async fn count(
        &mut self,
        request: &PreviewRequest<'_>,
        last: bool,
    ) -> Result<Result<TableEffect, SegmentReplaced>, PreviewError> {
        let segments: Vec<StoredSegment> = self
            .table
            .segments()
            .iter()
            .filter(|segment| !segment.cells)
            .cloned()
            .collect();
        let records = segments.iter().map(|segment| segment.records).sum();
        let mut effect = TableEffect {
            product: self.table.spec().product.clone(),
            records,
            concerned: 0,
            due: 0,
            categories: BTreeSet::new(),
            before: 0,
            exact: request.limits.is_none(),
        };
        let mut suspected: Vec<AffectedSegment> = segments
            .into_iter()
            .filter_map(|segment| self.suspected(segment, request))
            .collect();
        let most = request.limits.map(|limits| {
            most_without_confirmation(records, limits).saturating_sub(request.before)
        });
        if most.is_some() {
            suspected.retain(|suspected| !suspected.due.is_empty());
        }
        for suspected in suspected {
            let due = self.matches(&suspected.segment, &suspected.due).await;
            let concerned = match suspected.concerned == suspected.due || request.limits.is_some() {
                true => None,
                false => Some(self.matches(&suspected.segment, &suspected.concerned).await),
            };
            let of_all = |found: Result<u64, RewriteError>| match found {
                Ok(count) => Ok(Some(count)),
                Err(RewriteError::SegmentDeleted { .. }) if !last => Ok(None),
                Err(RewriteError::Store(error)) => Err(error),
                Err(_) => Ok(Some(suspected.segment.records)),
            };
            let Some(due) = of_all(due)? else {
                return Ok(Err(SegmentReplaced));
            };
            let Some(concerned) = concerned.map_or(Ok(Some(due)), of_all)? else {
                return Ok(Err(SegmentReplaced));
            };
            effect.due += due;
            effect.concerned += concerned;
            if due > 0 {
                effect.categories.extend(suspected.categories);
            }
            if most.is_some_and(|most| effect.due > most) {
                break;
            }
        }
        Ok(Ok(effect))
    }

    async fn matches(
        &self,
        segment: &StoredSegment,
        rows: &[Predicate],
    ) -> Result<u64, RewriteError> {
        match rows {
            [] => Ok(0),
            rows => {
                self.table
                    .matches(segment, &Predicate::Any(rows.to_vec()))
                    .await
            }
        }
    }

    /// Returns the part of a segment to which the notices may apply; `None` if it is empty.
    fn suspected(
        &mut self,
        segment: StoredSegment,
        request: &PreviewRequest<'_>,
    ) -> Option<AffectedSegment> {
        let profile = self.profile(&segment.profile)?;
        let mut found = AffectedSegment {
            segment,
            concerned: Vec::new(),
            due: Vec::new(),
            categories: BTreeSet::new(),
        };
        for notice in request
            .notices
            .iter()
            .filter(|notice| profile.has_trigger(notice.trigger()))
        {
            let Some(rows) = notice.rows(&self.records) else {
                continue;
            };
            let due = due_by(&profile, notice, request, &found.segment);
            found.concerned.push(rows.clone());
            if !due.is_empty() {
                found.due.push(rows);
                found.categories.extend(due);
            }
        }
        (!found.concerned.is_empty()).then_some(found)
    }

    fn profile(&mut self, id: &ProfileId) -> Option<Arc<Profile>> {
        if let Some(known) = self.profiles.get(id) {
            return known.clone();
        }
        let profile = self
            .table
            .profile_text(id)
            .and_then(Profile::parse)
            .map(Arc::new);
        self.profiles.insert(id.clone(), profile.clone());
        profile
    }
}

/// Returns the categories of a segment that a notice makes due at `now` and that are stored and not
/// due without it.
fn due_by(
    profile: &Profile,
    notice: &NoticeInForce,
    request: &PreviewRequest<'_>,
    segment: &StoredSegment,
) -> Vec<Category> {
    let (_, moved) = profile.moved_by(notice.triggered(), request.calendar, segment.bucket);
    let is_new = |category: &Category| match segment.deadlines.get(category) {
        Some(old) => !old.is_due(request.now),
        // Among stored categories, only those with an open term have no deadline; a category that
        // is not stored cannot be deleted.
        None => profile.terms.iter().any(|term| {
            term.category == *category
                && term.trigger == Trigger::ContractEnd
                && term.known.is_none()
        }),
    };
    let due = moved
        .into_iter()
        .filter(|(_, at)| at.is_some_and(|at| at.is_due(request.now)));
    due.map(|(category, _)| category).filter(is_new).collect()
}
