//! Checks which predicates match one record's row, to show which holds keep the record.
//!
//! Only the predicates' columns of that one segment are read, and none of their values is returned.

use super::{RecordKey, ViewError, find};
use ebbtide_base::ids::ProductKey;
use ebbtide_table::Predicate;
use ebbtide_table::rewrite::{OpenedSegment, blocking};
use ebbtide_table::root::Root;

/// Returns for each predicate whether it matches the record in the segment at `path`. Without a
/// record, returns whether it matches any row of the segment, so that no hold is missed.
pub async fn takes_in(
    root: &Root,
    product: &ProductKey,
    path: &str,
    record: Option<RecordKey>,
    predicates: Vec<Predicate>,
) -> Result<Vec<bool>, ViewError> {
    let log = root.table_log(product);
    let opened = OpenedSegment::open(&log.object_store(None), path).await?;
    let found = blocking(move || {
        let record = record.map(|record| record.predicate());
        find::takes_in(&opened, record.as_ref(), &predicates)
    });
    Ok(found.await?)
}
