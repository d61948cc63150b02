//! Chooses the segments that are merged. Pure: segments and a rule in, merges out.
//!
//! Only segments of one bucket, profile, policy version and set of deadlines are merged, no result
//! is larger than the target, and **a segment is rewritten only into one at least 1.5 times as
//! large**. So no byte is rewritten more often than log1.5(target / size of its first segment)
//! times after ingest, however late and small the segments arrive. Of the segments that are left,
//! each is more than twice as large as all smaller ones together. This module must not read a
//! clock, a file or a hold.

use std::collections::BTreeMap;

use ebbtide_base::ids::{Bucket, Category, Deadline, PolicyVersion, ProfileId};
use ebbtide_table::StoredSegment;

/// The minimum growth of a segment that is rewritten: three halves. With two, segments of nearly
/// equal size could never be merged in pairs.
const GROWTH: (u64, u64) = (3, 2);

/// The limits for the choice of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionRule {
    /// The maximum total bytes of the segments of one merge.
    pub target: u64,
    /// The maximum number of segments of one merge.
    pub segments: usize,
    /// The maximum number of merges of one plan.
    pub works: usize,
}

/// Segments that are merged into one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentMerge {
    /// Their bucket.
    pub bucket: Bucket,
    /// Their profile.
    pub profile: ProfileId,
    /// The segments, at least two, the smallest first.
    pub segments: Vec<StoredSegment>,
}

impl SegmentMerge {
    /// Returns the bytes of its segments.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Returns the number of records of its segments.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }
}

/// The planned merges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergePlan {
    /// The merges, those of the most segments first.
    pub works: Vec<SegmentMerge>,
    /// True if there are more than the plan contains.
    pub more: bool,
}

/// The tags that segments must share to be merged, besides their bucket and profile.
type Tags<'s> = (Option<&'s PolicyVersion>, &'s BTreeMap<Category, Deadline>);

/// Chooses the segments that are merged. They must come in the order of the index: those of a
/// bucket and profile together. `ready` returns true if a segment may be rewritten now.
pub fn choose<'s>(
    segments: impl IntoIterator<Item = &'s StoredSegment>,
    rule: &CompactionRule,
    ready: impl Fn(&StoredSegment) -> bool,
) -> MergePlan {
    let mut merges = MergePlan::default();
    let mut place: Option<(Bucket, &ProfileId)> = None;
    let mut alike: BTreeMap<Tags<'s>, Vec<&'s StoredSegment>> = BTreeMap::new();
    for segment in segments {
        let here = Some((segment.bucket, &segment.profile));
        if place != here {
            std::mem::take(&mut alike)
                .into_values()
                .for_each(|alike| merges.add(alike, rule));
            place = here;
        }
        if !segment.cells && ready(segment) {
            let tags = (segment.policy_version.as_ref(), &*segment.deadlines);
            alike.entry(tags).or_default().push(segment);
        }
    }
    alike
        .into_values()
        .for_each(|alike| merges.add(alike, rule));
    merges
        .works
        .sort_by_key(|merge| std::cmp::Reverse(merge.segments.len()));
    merges.more = merges.works.len() > rule.works;
    merges.works.truncate(rule.works);
    merges
}

impl MergePlan {
    fn add(&mut self, mut alike: Vec<&StoredSegment>, rule: &CompactionRule) {
        alike.sort_by(|one, other| (one.size, &one.path).cmp(&(other.size, &other.path)));
        let mut rest = alike.as_slice();
        loop {
            let sizes: Vec<u64> = rest.iter().map(|segment| segment.size).collect();
            let (some, larger) = rest.split_at(first(&sizes, rule));
            let Some(one) = some.first() else { return };
            let segments = some.iter().map(|segment| (*segment).clone()).collect();
            self.works.push(SegmentMerge {
                bucket: one.bucket,
                profile: one.profile.clone(),
                segments,
            });
            rest = larger;
        }
    }
}

/// Returns the number of the smallest segments that are merged, given the sorted sizes: the most
/// that the rule allows, or 0.
fn first(sizes: &[u64], rule: &CompactionRule) -> usize {
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

/// Returns true if a segment of that size may be merged into one of `into` bytes.
fn grows(size: u64, into: u64) -> bool {
    u128::from(into) * u128::from(GROWTH.1) >= u128::from(size) * u128::from(GROWTH.0)
}

#[cfg(test)]
mod tests;
