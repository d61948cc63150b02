//! Places and releases holds: appends a control to the control log, then commits it in every table
//! that it covers.
//!
//! Invariants: a call succeeds only if the control is in force in all of these tables. An
//! interrupted call is finished by the next call or by [`settle`](super::settle()). A control is
//! never appended twice.

use chrono::{DateTime, Utc};

use super::append::append;
use super::apply::{ApplyControlsError, NotInForceError, put_in_force};
use super::commit_identity::CommitIdentity;
use super::control::{Control, Release};
use super::forget::forget_released;
use super::hold::{Hold, HoldId, Scope, ScopeError};
use super::log::{Controls, HoldState};
use ebbtide_base::failpoint;
use ebbtide_base::ids::ProductKey;
use ebbtide_table::{ControlsVersion, Root, StoreError};

/// The order of an officer to hold data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldOrder {
    /// The case that it belongs to, by its reference in another system.
    pub case: String,
    /// The legal basis.
    pub basis: String,
    /// The first instant at which it is no longer in force.
    pub until: DateTime<Utc>,
    /// The person who orders it, if known.
    pub placed_by: Option<String>,
    /// The records that it covers.
    pub scope: Scope,
}

/// A hold that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedHold {
    /// Its name.
    pub id: HoldId,
    /// The version of its control.
    pub version: ControlsVersion,
    /// The tables in which it is in force.
    pub tables: Vec<ProductKey>,
}

/// A hold that is no longer in force in any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleasedHold {
    /// Its name.
    pub id: HoldId,
    /// The version of the control that released it.
    pub version: ControlsVersion,
    /// The tables in which it was in force.
    pub tables: Vec<ProductKey>,
}

/// The reason why a hold is not in force.
#[derive(Debug, thiserror::Error)]
pub enum PlaceHoldError {
    /// The scope is refused.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// Its end has passed.
    #[error("the hold would end at {0}, which has passed")]
    Over(DateTime<Utc>),
    /// The control log cannot be read or written. `hold list` shows if the hold is in it.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The hold is in the log, but is not in force in every table.
    #[error(transparent)]
    NotInForce(#[from] NotInForceError),
}

/// The reason why a hold is not released.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseHoldError {
    /// There is no such hold.
    #[error("there is no hold {0}; `ebbtide hold list` shows them")]
    Unknown(HoldId),
    /// The hold has already ended.
    #[error("{0} ended by itself, so there is nothing to release")]
    Ended(HoldId),
    /// The control log cannot be read or written.
    #[error(transparent)]
    Log(#[from] StoreError),
    /// The release is in the log, but is not in force in every table.
    #[error(transparent)]
    NotInForce(#[from] NotInForceError),
}

impl From<ApplyControlsError> for PlaceHoldError {
    fn from(error: ApplyControlsError) -> Self {
        match error {
            ApplyControlsError::Log(error) => PlaceHoldError::Log(error),
            ApplyControlsError::NotInForce(error) => PlaceHoldError::NotInForce(error),
        }
    }
}

impl From<ApplyControlsError> for ReleaseHoldError {
    fn from(error: ApplyControlsError) -> Self {
        match error {
            ApplyControlsError::Log(error) => ReleaseHoldError::Log(error),
            ApplyControlsError::NotInForce(error) => ReleaseHoldError::NotInForce(error),
        }
    }
}

/// Places a hold. Once this returns, the hold is in force in every table that it covers. Tables
/// that are created later are covered too.
pub async fn place(
    root: &Root,
    order: HoldOrder,
    by: &CommitIdentity,
) -> Result<PlacedHold, PlaceHoldError> {
    order.scope.check()?;
    if order.until <= by.at {
        return Err(PlaceHoldError::Over(order.until));
    }
    let mut controls = Controls::load(root, ControlsVersion(0)).await?;
    let taken: Vec<HoldId> = controls
        .holds(by.at)
        .iter()
        .map(|known| known.id().clone())
        .collect();
    let id = draw(&taken);
    let HoldOrder {
        case,
        basis,
        until,
        placed_by,
        scope,
    } = order;
    let hold = Hold {
        id: id.clone(),
        case,
        basis,
        placed_at: by.at,
        placed_by,
        until,
        scope,
    };
    let control = Control::Hold(hold);
    let version = append(root, &mut controls, &control).await?;
    failpoint::reach("control-appended");
    let tables = put_in_force(root, version, &control, by).await?;
    Ok(PlacedHold {
        id,
        version,
        tables,
    })
}

/// Releases a hold, and forgets what it covered once it is in force in no table. May be called
/// again after any error.
pub async fn release(
    root: &Root,
    id: &HoldId,
    by: &CommitIdentity,
) -> Result<ReleasedHold, ReleaseHoldError> {
    let mut controls = Controls::load(root, ControlsVersion(0)).await?;
    let known = controls
        .holds(by.at)
        .into_iter()
        .find(|known| known.id() == id);
    let known = known.ok_or_else(|| ReleaseHoldError::Unknown(id.clone()))?;
    if known.state == HoldState::Ended {
        return Err(ReleaseHoldError::Ended(id.clone()));
    }
    let products = known.hold.map_or_else(
        |past| past.products.clone(),
        |hold| hold.scope.products.clone(),
    );
    let control = Control::Release(Release {
        hold: id.clone(),
        released_at: by.at,
        products,
    });
    let version = append(root, &mut controls, &control).await?;
    failpoint::reach("control-appended");
    let tables = put_in_force(root, version, &control, by).await?;
    forget_released(root, by.at).await?;
    Ok(ReleasedHold {
        id: id.clone(),
        version,
        tables,
    })
}

/// Returns a name that no hold has. Two holds that are placed at the same time get the same name in
/// one of four thousand million cases.
fn draw(taken: &[HoldId]) -> HoldId {
    loop {
        let id = HoldId::of(rand::random());
        if !taken.contains(&id) {
            return id;
        }
    }
}
