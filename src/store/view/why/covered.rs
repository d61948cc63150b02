//! Whether predicates take in one record's row: how a record's story is told which holds keep it.
//!
//! Promises to read the predicate's columns of that one segment alone, and to give no value of them.

use super::{ViewError, find};
use crate::ids::{Offset, ProductKey, TopicPartition};
use crate::store::log::Log;
use crate::store::rewrite::{Opened, Predicate, blocking};
use crate::store::root::Root;

/// Of each predicate, whether it takes in the record of `source` in the segment at `path`. Where the row does not tell its
/// source, whether it takes in any row of the segment: rather too much than too little.
pub async fn takes_in(
    root: &Root,
    product: &ProductKey,
    path: &str,
    source: Option<(TopicPartition, Offset)>,
    predicates: Vec<Predicate>,
) -> Result<Vec<bool>, ViewError> {
    let log = Log::of(root, product);
    let opened = Opened::open(&log.object_store(None), path).await?;
    let found = blocking(move || {
        let source = source.as_ref().map(|(partition, offset)| (partition, *offset));
        find::takes_in(&opened, source, &predicates)
    });
    Ok(found.await?)
}
