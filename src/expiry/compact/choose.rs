//! Which segments become one. Pure: segments and a rule in, merges out.
//!
//! Promises that only segments of one bucket, profile, policy version and set of deadlines become one, that none becomes larger
//! than the target, and that **a segment is rewritten only into one at least half as large again**: so no byte is written more
//! often than log1.5(target / size of its first segment) times after ingest, however late and small the segments come, and of
//! those that are left each is more than twice as large as all smaller ones together. Must never look at a clock, a file or a
//! hold.

use std::collections::BTreeMap;

use crate::ids::{Bucket, Category, Deadline, PolicyVersion, ProfileId};
use crate::store::StoredSegment;

/// A segment is rewritten only into one that is at least so many times as large: three halves. With two, segments of nearly one
/// size would never be a pair.
const GROWTH: (u64, u64) = (3, 2);

/// How segments are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Bytes that the segments of one merge have together at most.
    pub target: u64,
    /// Segments of one merge at most.
    pub segments: usize,
    /// Merges of one plan at most.
    pub works: usize,
}

/// Segments that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// Their bucket.
    pub bucket: Bucket,
    /// Their profile.
    pub profile: ProfileId,
    /// The segments, two at least, the smallest first.
    pub segments: Vec<StoredSegment>,
}

impl Merge {
    /// Bytes of its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Records of its segments.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }
}

/// What is to become one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merges {
    /// The merges, those of most segments first.
    pub works: Vec<Merge>,
    /// Whether there are more than the plan holds.
    pub more: bool,
}

/// What segments must share to become one, beside their bucket and profile.
type Tags<'s> = (Option<&'s PolicyVersion>, &'s BTreeMap<Category, Deadline>);

/// Which of `segments` become one. They come as the index gives them: those of a bucket and profile together. `ready` tells of
/// a segment whether it may be rewritten now.
pub fn choose<'s>(
    segments: impl IntoIterator<Item = &'s StoredSegment>,
    rule: &Rule,
    ready: impl Fn(&StoredSegment) -> bool,
) -> Merges {
    let mut merges = Merges::default();
    let mut place: Option<(Bucket, &ProfileId)> = None;
    let mut alike: BTreeMap<Tags<'s>, Vec<&'s StoredSegment>> = BTreeMap::new();
    for segment in segments {
        let here = Some((segment.bucket, &segment.profile));
        if place != here {
            std::mem::take(&mut alike).into_values().for_each(|alike| merges.add(alike, rule));
            place = here;
        }
        if !segment.cells && ready(segment) {
            let tags = (segment.policy_version.as_ref(), &*segment.deadlines);
            alike.entry(tags).or_default().push(segment);
        }
    }
    alike.into_values().for_each(|alike| merges.add(alike, rule));
    merges.works.sort_by_key(|merge| std::cmp::Reverse(merge.segments.len()));
    merges.more = merges.works.len() > rule.works;
    merges.works.truncate(rule.works);
    merges
}

impl Merges {
    fn add(&mut self, mut alike: Vec<&StoredSegment>, rule: &Rule) {
        alike.sort_by(|one, other| (one.size, &one.path).cmp(&(other.size, &other.path)));
        let mut rest = alike.as_slice();
        loop {
            let sizes: Vec<u64> = rest.iter().map(|segment| segment.size).collect();
            let (some, larger) = rest.split_at(first(&sizes, rule));
            let Some(one) = some.first() else { return };
            let segments = some.iter().map(|segment| (*segment).clone()).collect();
            self.works.push(Merge { bucket: one.bucket, profile: one.profile.clone(), segments });
            rest = larger;
        }
    }
}

/// How many of the smallest become one, of sizes that are sorted: as many as the rule lets, or none.
fn first(sizes: &[u64], rule: &Rule) -> usize {
    let (mut most, mut sum) = (0, 0_u64);
    for (at, size) in sizes.iter().enumerate().take(rule.segments) {
        sum = sum.saturating_add(*size);
        if sum > rule.target {
            break;
        }
        if at > 0 && grows(*size, sum) {
            most = at + 1;
        }
    }
    most
}

/// Whether a segment of that size may become one of `into` bytes.
fn grows(size: u64, into: u64) -> bool {
    u128::from(into) * u128::from(GROWTH.1) >= u128::from(size) * u128::from(GROWTH.0)
}

#[cfg(test)]
mod tests;
