//! Predicts the effect of a new policy on stored records, from the tables themselves. Reads only.
//!
//! The counts are exact at the table versions that were read, memory is bounded, and no segment is
//! opened whose rows all get the same result.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::cohorts::read_cohorts;
use super::effect::{Cohort, ProductEffect};
use super::migration::{Migration, ProfileInputs, SegmentProfiles, StoredTerms};
use ebbtide_base::ids::ProductKey;
use ebbtide_policy::{Policy, PolicyDiff, PolicyPosition, RefusedChange, diff};
use ebbtide_query::products;
use ebbtide_table::{
    OpenError, RewriteError, Root, SegmentedTable, StoreError, StoredSegment, Table, TableSpec,
};

/// The effect of a new policy.
#[derive(Debug, Serialize)]
pub struct PolicyEffects {
    /// The differences between the policies.
    pub diff: PolicyDiff,
    /// The effect on the records of each product that has a table.
    pub products: Vec<ProductEffect>,
}

/// The reason why the effect cannot be predicted.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// A table cannot be read, or cannot have the new policy's columns.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A segment could not be read.
    #[error(transparent)]
    Segment(#[from] RewriteError),
}

/// The progress of a survey.
#[derive(Debug, Clone)]
pub struct SurveyProgress {
    /// The product that is being read.
    pub product: ProductKey,
    /// The number of segments that are done.
    pub done: usize,
    /// The number of segments of the product.
    pub of: usize,
}

/// Returns what `new` changes of `old`, and what of it cannot be carried out on the data stored
/// under `root`. Lists the tables' segments and opens none.
pub async fn examine(root: &Root, old: &Policy, new: &Policy) -> Result<PolicyDiff, SurveyError> {
    let mut diff = diff(old, new);
    for product in products(root).await? {
        if let Some(spec) = TableSpec::of(new, &product) {
            // An error names the column that the table cannot have.
            Table::existing(root, Arc::new(spec)).await?;
        } else if let Some(spec) = TableSpec::of(old, &product)
            && let Some(table) = Table::existing(root, Arc::new(spec)).await?
        {
            let table = SegmentedTable::load(table).await?;
            let records: u64 = table
                .segments()
                .iter()
                .filter(|segment| !segment.cells)
                .map(|segment| segment.records)
                .sum();
            diff.refused
                .extend((records > 0).then(|| left(&product, records)));
        }
    }
    Ok(diff)
}

/// Returns the effect of `new` on everything under `root` that `old` has stored, at `now`. Calls
/// `seen` after every segment.
pub async fn survey(
    root: &Root,
    old: &Policy,
    new: &Policy,
    now: DateTime<Utc>,
    mut seen: impl FnMut(&SurveyProgress),
) -> Result<PolicyEffects, SurveyError> {
    let mut effects = PolicyEffects {
        diff: examine(root, old, new).await?,
        products: Vec::new(),
    };
    for product in products(root).await? {
        let Some(migration) = Migration::new(old, new, &product) else {
            continue;
        };
        // The columns have their stored names, if the old policy has the product.
        let Some(spec) = TableSpec::of(old, &product).or_else(|| TableSpec::of(new, &product))
        else {
            continue;
        };
        let Some(table) = Table::existing(root, Arc::new(spec)).await? else {
            continue;
        };
        let table = SegmentedTable::load(table).await?;
        let surveyed = Surveyed {
            table: &table,
            migration: &migration,
            now,
        };
        effects.products.push(surveyed.all(&mut seen).await?);
    }
    Ok(effects)
}

/// Returns the refusal of a policy that leaves out a product with stored records.
fn left(product: &ProductKey, records: u64) -> RefusedChange {
    RefusedChange {
        spot: PolicyPosition::Key(vec!["products".to_owned(), product.to_string()]),
        what: format!(
            "`{product}` is left out, and {records} of its records are stored: no rule would say when they expire"
        ),
        help:
            "keep the product until they are deleted; to delete them sooner, first activate a version that keeps them for a shorter time"
                .to_owned(),
    }
}

/// A table that is surveyed.
struct Surveyed<'s> {
    table: &'s SegmentedTable,
    migration: &'s Migration,
    now: DateTime<Utc>,
}

impl Surveyed<'_> {
    async fn all(
        &self,
        seen: &mut impl FnMut(&SurveyProgress),
    ) -> Result<ProductEffect, SurveyError> {
        let product = &self.table.spec().product;
        let mut effect = ProductEffect::of(product);
        effect.unknown_files = self.table.segments().unknown().count() as u64;
        let of = self.table.segments().len();
        for (done, segment) in self.table.segments().iter().enumerate() {
            if !segment.cells {
                self.one(segment, &mut effect).await?;
            }
            seen(&SurveyProgress {
                product: product.clone(),
                done: done + 1,
                of,
            });
        }
        Ok(effect.finish(self.migration))
    }

    async fn one(
        &self,
        segment: &StoredSegment,
        effect: &mut ProductEffect,
    ) -> Result<(), SurveyError> {
        let promised = StoredTerms::new(segment, self.table.profile_text(&segment.profile));
        let kinds = self.migration.kinds(&promised);
        let cohorts = match self.migration.answer(&promised) {
            SegmentProfiles::One(profile) => {
                let first = kinds.first().copied();
                // Deadlines that move are counted by jurisdiction.
                match profile.id == segment.profile
                    || kinds
                        .iter()
                        .all(|kind| Some(kind.country) == first.map(|of| of.country))
                {
                    true => first
                        .map(|kind| Cohort {
                            kind,
                            late: promised.profile.late,
                            edited: false,
                            rows: segment.rows,
                        })
                        .into_iter()
                        .collect(),
                    false => {
                        self.read(&promised, self.migration.need(false), effect)
                            .await?
                    }
                }
            }
            SegmentProfiles::Rows(need) => self.read(&promised, need, effect).await?,
        };
        effect.count(self.migration, &promised, &cohorts, self.now);
        Ok(())
    }

    /// Reads the rows of a segment and groups them by what decides their profile.
    async fn read(
        &self,
        promised: &StoredTerms<'_>,
        need: ProfileInputs,
        effect: &mut ProductEffect,
    ) -> Result<Vec<Cohort>, RewriteError> {
        effect.opened += 1;
        read_cohorts(self.table, promised, self.migration, need).await
    }
}
