//! Checks which predicates match one record's row, to show which holds keep the record.
//!
//! Only the predicates' columns of that one segment are read, and none of their values is returned.

use super::{ViewError, find};
use ebbtide_base::ids::{Offset, ProductKey, TopicPartition};
use ebbtide_table::rewrite::{OpenedSegment, Predicate, blocking};
use ebbtide_table::root::Root;

/// Returns for each predicate whether it matches the record of `source` in the segment at `path`.
/// Without a source, returns whether it matches any row of the segment, so that no hold is missed.
pub async fn takes_in(
    root: &Root,
    product: &ProductKey,
    path: &str,
    source: Option<(TopicPartition, Offset)>,
    predicates: Vec<Predicate>,
) -> Result<Vec<bool>, ViewError> {
    let log = root.table_log(product);
    let opened = OpenedSegment::open(&log.object_store(None), path).await?;
    let found = blocking(move || {
        let source = source
            .as_ref()
            .map(|(partition, offset)| (partition, *offset));
        find::takes_in(&opened, source, &predicates)
    });
    Ok(found.await?)
}
