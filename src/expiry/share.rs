//! Which segments are this instance's to sweep: those of the buckets and profiles that hash to a topic partition it owns.
//!
//! Promises that work which nobody has done some minutes after it was due is everybody's: an instance that died, a group that
//! stands still and a partition that nobody owns keep nothing from going. Two sweepers of one segment waste work, never data.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use crate::ids::TopicPartition;
use crate::store::StoredSegment;

/// The partitions that this instance owns, as whoever reads them tells.
#[derive(Debug, Clone, Default)]
pub struct Owned(Arc<RwLock<BTreeSet<TopicPartition>>>);

impl Owned {
    /// Notes that a partition is this instance's.
    pub fn add(&self, partition: TopicPartition) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(partition);
    }

    /// Notes that a partition is this instance's no longer.
    pub fn remove(&self, partition: &TopicPartition) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }

    fn has(&self, partition: &TopicPartition) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(partition)
    }
}

/// What is this instance's to sweep.
#[derive(Debug, Clone)]
pub enum Share {
    /// Everything.
    All,
    /// What hashes to the partitions that it owns, and what nobody has done so long after it was there to do.
    Of(Owned, TimeDelta),
}

impl Share {
    /// Whether a segment of a product with those partitions, in order, is this instance's at `now`.
    #[must_use]
    pub fn is_ours(&self, partitions: &[TopicPartition], segment: &StoredSegment, now: DateTime<Utc>) -> bool {
        self.is_ours_since(partitions, segment, segment.deadlines.values().min().map(|deadline| deadline.0), now)
    }

    /// The same of work that was there to do from `since` on; `None`: it is not yet.
    #[must_use]
    pub fn is_ours_since(
        &self,
        partitions: &[TopicPartition],
        segment: &StoredSegment,
        since: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> bool {
        let Share::Of(owned, takeover) = self else { return true };
        let Some(partition) = partition_of(partitions, segment) else { return true };
        since.is_some_and(|since| now - since >= *takeover) || owned.has(partition)
    }
}

/// The partition that a segment's bucket and profile hash to: the same in every process and version.
fn partition_of<'p>(partitions: &'p [TopicPartition], segment: &StoredSegment) -> Option<&'p TopicPartition> {
    let place = format!("{}/{}", segment.bucket, segment.profile);
    let hash = Sha256::digest(place.as_bytes());
    let hash = hash.iter().take(4).fold(0, |hash, byte| (hash << 8) | usize::from(*byte));
    partitions.get(hash.checked_rem(partitions.len())?)
}
