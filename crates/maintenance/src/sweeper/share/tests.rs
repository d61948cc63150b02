use std::collections::BTreeSet;

use super::*;
use crate::testing::{World, start, texts};
use ebbtide_base::clock::Clock;
use ebbtide_base::ids::Partition;
use ebbtide_table::SegmentIndex;

/// Returns the reach of each of some rounds. `went` has the pieces that each did and lost, and
/// whether any was of another's share.
fn rounds(turns: &mut ScopeSelector, owns: bool, went: &[(u64, u64, bool)]) -> Vec<RoundScope> {
    let next = went.iter().map(|(done, raced, others)| {
        let reach = turns.next(11, owns);
        turns.record_round(*done, *raced, *others);
        reach
    });
    next.collect()
}

const OWN: RoundScope = RoundScope::Own;
const LATE: RoundScope = RoundScope::Late;
const PART: RoundScope = RoundScope::Part(3);

#[test]
fn own_work_is_first_and_late_work_of_others_is_in_every_fourth_round() {
    let reaches = rounds(&mut ScopeSelector::default(), true, &[(5, 0, false); 9]);
    assert_eq!(reaches, [PART, OWN, OWN, OWN, LATE, OWN, OWN, OWN, LATE]);
}

#[test]
fn an_idle_instance_takes_all_late_work() {
    let (nothing, own) = ((0, 0, false), (1, 0, false));
    let reaches = rounds(
        &mut ScopeSelector::default(),
        true,
        &[nothing, nothing, own, nothing, nothing],
    );
    assert_eq!(reaches, [PART, LATE, LATE, OWN, LATE]);
}

#[test]
fn after_a_lost_race_an_instance_takes_a_part_until_others_leave_it() {
    let (lost, others, own) = ((0, 2, true), (1, 0, true), (1, 0, false));
    let reaches = rounds(
        &mut ScopeSelector::default(),
        true,
        &[own, own, own, own, lost, others, own, own, own, own, own],
    );
    assert_eq!(
        reaches,
        [PART, OWN, OWN, OWN, LATE, PART, OWN, OWN, OWN, PART, OWN]
    );
}

#[test]
fn an_instance_without_a_share_works_part_by_part_without_own_rounds() {
    let (done, lost, nothing) = ((5, 0, true), (5, 2, true), (0, 0, false));
    let mut turns = ScopeSelector::default();
    let reaches = rounds(&mut turns, false, &[done, lost, done, nothing, lost, done]);
    assert_eq!(reaches, [PART, PART, PART, PART, LATE, PART]);
    // Once it has a share, that comes first.
    assert_eq!(rounds(&mut turns, true, &[done]), [OWN]);
}

/// Returns the indexes of the segments that belong to a share within a reach.
fn ours(
    segments: &[StoredSegment],
    share: &WorkShare,
    partitions: &[TopicPartition],
    reach: RoundScope,
) -> BTreeSet<usize> {
    let now = start() + TimeDelta::days(3650);
    let ours = share.of(partitions, reach, now);
    (0..segments.len())
        .filter(|at| ours.has(&segments[*at]))
        .collect()
}

#[tokio::test]
async fn shares_part_the_work_and_parts_of_what_is_late_make_all_of_it() {
    let mut world = World::new("remove");
    for _ in 0..60 {
        let now = world.clock.now();
        world.ingest(&texts(now, 1)).await;
        world.pass(TimeDelta::days(1));
    }
    let index = SegmentIndex::load(&world.table().await).await.unwrap();
    let segments: Vec<StoredSegment> = index.iter().cloned().collect();
    let partitions: Vec<TopicPartition> = (0..3)
        .map(|number| TopicPartition {
            topic: "sms".parse().unwrap(),
            partition: Partition(number),
        })
        .collect();
    let shares: Vec<WorkShare> = partitions
        .iter()
        .map(|partition| {
            let owned = OwnedPartitions::default();
            owned.add(partition.clone());
            WorkShare::Of(owned, TimeDelta::minutes(10))
        })
        .collect();
    let own: Vec<BTreeSet<usize>> = shares
        .iter()
        .map(|share| ours(&segments, share, &partitions, RoundScope::Own))
        .collect();
    assert_eq!(own.iter().map(BTreeSet::len).sum::<usize>(), segments.len());
    for (share, own) in shares.iter().zip(&own) {
        assert!(
            (10..30).contains(&own.len()),
            "{} of {}",
            own.len(),
            segments.len()
        );
        assert_eq!(
            ours(&segments, share, &partitions, RoundScope::Late).len(),
            segments.len()
        );
        let parts: Vec<BTreeSet<usize>> = (0..PARTS)
            .map(|part| ours(&segments, share, &partitions, RoundScope::Part(part)))
            .collect();
        assert!(
            parts
                .iter()
                .all(|part| part.is_superset(own) && part.len() < segments.len())
        );
        assert_eq!(
            parts.into_iter().flatten().collect::<BTreeSet<_>>().len(),
            segments.len()
        );
    }
}
