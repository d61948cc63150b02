//! The holds that keep one record: those in force whose conditions its row meets, by name only.
//!
//! They are decided by the predicate that a sweep uses. Must never name what a hold covers.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::WhyError;
use ebbtide_base::ids::{Category, ProductKey};
use ebbtide_controls::{Controls, Holds, SegmentView};
use ebbtide_policy::{Calendar, ColumnClass, Policy};
use ebbtide_query::{
    CategoryState, RecordHistory, RecordKey, RecordStatus, StoredRecord, takes_in,
};
use ebbtide_table::{Root, controls_of};

/// The holds on a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RecordHolds {
    /// The names of the holds.
    pub(super) by: Vec<String>,
    /// True if there may be others: without the policy, it is not known which column names which
    /// person.
    pub(super) incomplete: bool,
}

/// Returns the holds of the control log that can cover records of the product at `now`.
pub(super) async fn holds(
    root: &Root,
    product: &ProductKey,
    now: DateTime<Utc>,
) -> Result<Holds, WhyError> {
    let known = controls_of(root, product).await?.unwrap_or_default();
    Ok(Controls::load(root, known)
        .await?
        .in_force(now)
        .covering(product))
}

/// Returns the holds of `holds` that cover the record of `story`; none if the record is not stored.
pub(super) async fn held(
    root: &Root,
    product: &ProductKey,
    story: &RecordHistory,
    holds: &Holds,
    policy: Option<&Policy>,
) -> Result<RecordHolds, WhyError> {
    let RecordStatus::Here(place) = &story.fate else {
        return Ok(RecordHolds::default());
    };
    if holds.is_empty() {
        return Ok(RecordHolds::default());
    }
    let (Some(policy), Some(bucket)) = (policy, place.bucket) else {
        return Ok(RecordHolds {
            by: Vec::new(),
            incomplete: true,
        });
    };
    let Some(records) = policy
        .products
        .get(product)
        .and_then(|product| product.records.as_ref())
    else {
        // All records of a product that is not in the policy are held.
        return Ok(RecordHolds {
            by: holds.iter().map(|hold| hold.id.to_string()).collect(),
            incomplete: false,
        });
    };
    let personal = records
        .fields
        .values()
        .filter_map(ColumnClass::category)
        .cloned();
    let view = SegmentView::new(
        &Calendar::new(policy.zone, policy.bucket),
        bucket.0,
        without_deadline(place, personal),
    );
    let (names, rows): (Vec<_>, Vec<_>) = holds.each(product, records, &view).unzip();
    let source = story.partition.clone().zip(story.offset);
    let record = source.map(|(partition, offset)| RecordKey::Source { partition, offset });
    let taken = takes_in(root, product, &place.path, record, rows).await?;
    let by = names
        .into_iter()
        .zip(taken)
        .filter(|(_, taken)| *taken)
        .map(|(name, _)| name.to_string())
        .collect();
    Ok(RecordHolds {
        by,
        incomplete: false,
    })
}

/// Returns the categories of which nothing may be left: all without a deadline, as in a sweep.
fn without_deadline(
    place: &StoredRecord,
    personal: impl Iterator<Item = Category>,
) -> BTreeSet<Category> {
    let has_deadline = |category: &Category| {
        let here = |state: &CategoryState| matches!(state, CategoryState::Here { until: Some(_) });
        place
            .categories
            .iter()
            .any(|stored| stored.category == *category && here(&stored.state))
    };
    personal
        .filter(|category| !has_deadline(category))
        .collect()
}
