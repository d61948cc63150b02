//! The list of all holds with their states, and the tables in which they are in force.

use chrono::{DateTime, Utc};
use serde::Serialize;

use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{HoldState, LoggedHold, Scope, tables_and_controls};
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// A hold as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedHold {
    /// Its name.
    pub id: String,
    /// `in force`, `ended` or `released`.
    pub state: &'static str,
    /// The version of the control log that places it.
    pub control: i64,
    /// The reference of the case.
    pub case: String,
    /// The legal basis.
    pub basis: String,
    /// The time at which it was placed.
    pub placed_at: DateTime<Utc>,
    /// The first instant at which it is no longer in force.
    pub until: DateTime<Utc>,
    /// The time of its release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_at: Option<DateTime<Utc>>,
    /// The person that records name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The tenant of the records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The products of the records; any product if empty.
    pub products: Vec<ProductKey>,
    /// The first instant of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<DateTime<Utc>>,
    /// The first instant after the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<DateTime<Utc>>,
    /// True if its scope is forgotten.
    pub forgotten: bool,
    /// The tables in which it, or its release, is in force.
    pub tables: Vec<ProductKey>,
    /// The tables that it covers and in which it, or its release, is not in force yet.
    pub missing: Vec<ProductKey>,
    /// Its conditions; absent if they are forgotten.
    #[serde(skip)]
    pub scope: Option<Scope>,
}

/// Returns all holds as of `now`, oldest first. Subjects are in full if `reveal` is true.
pub async fn list(
    root: &Root,
    now: DateTime<Utc>,
    reveal: bool,
) -> Result<Vec<ListedHold>, StoreError> {
    let (tables, controls) = tables_and_controls(root).await?;
    Ok(controls
        .holds(now)
        .iter()
        .map(|known| listed(known, &tables, reveal))
        .collect())
}

fn listed(
    known: &LoggedHold<'_>,
    tables: &[(ProductKey, ControlsVersion)],
    reveal: bool,
) -> ListedHold {
    let (state, released_at, wanted) = match known.state {
        HoldState::InForce => ("in force", None, known.version),
        HoldState::Ended => ("ended", None, known.version),
        HoldState::Released { at, by } => ("released", Some(at), by),
    };
    let (case, basis, placed_at, until) = match known.hold {
        Ok(hold) => (&hold.case, &hold.basis, hold.placed_at, hold.until),
        Err(past) => (&past.case, &past.basis, past.placed_at, past.until),
    };
    let scope = known.hold.ok().map(|hold| hold.scope.clone());
    let products = known.hold.map_or_else(
        |past| past.products.clone(),
        |hold| hold.scope.products.clone(),
    );
    let covered = tables
        .iter()
        .filter(|(product, _)| products.is_empty() || products.contains(product));
    let (there, missing): (Vec<_>, Vec<_>) = covered.partition(|(_, version)| *version >= wanted);
    let names = |tables: Vec<&(ProductKey, ControlsVersion)>| {
        tables.into_iter().map(|(name, _)| name.clone()).collect()
    };
    let events = scope.as_ref().and_then(|scope| scope.events);
    ListedHold {
        id: known.id().to_string(),
        state,
        control: known.version.0,
        case: case.clone(),
        basis: basis.clone(),
        placed_at,
        until,
        released_at,
        subject: scope
            .as_ref()
            .and_then(|scope| shown_subject(scope, reveal)),
        tenant: scope.as_ref().and_then(|scope| scope.tenant.clone()),
        products,
        from: events.and_then(|range| range.from),
        to: events.and_then(|range| range.to),
        forgotten: scope.is_none(),
        tables: names(there),
        missing: names(missing),
        scope,
    }
}

fn shown_subject(scope: &Scope, reveal: bool) -> Option<String> {
    scope.subject.as_ref().map(|subject| {
        if reveal {
            subject.revealed()
        } else {
            subject.to_string()
        }
    })
}
