use std::collections::BTreeSet;

use super::*;
use crate::clock::Clock;
use crate::expiry::testing::{World, start, texts};
use crate::ids::Partition;
use crate::store::SegmentIndex;

/// How far each of some rounds reaches, of which each did and lost so many pieces of work.
fn rounds(turns: &mut Turns, owns: bool, went: &[(u64, u64)]) -> Vec<Reach> {
    let next = went.iter().map(|(done, raced)| {
        let reach = turns.next(11, owns);
        turns.note(*done, *raced);
        reach
    });
    next.collect()
}

/// Those of an instance that found nobody at what is late, in its first round.
fn alone() -> Turns {
    let mut turns = Turns::default();
    assert_eq!(rounds(&mut turns, true, &[(0, 0)]), [Reach::Part(3)]);
    turns
}

#[test]
fn own_work_goes_first_and_late_work_of_others_in_every_fourth_round() {
    let reaches = rounds(&mut alone(), true, &[(5, 0); 9]);
    let (own, late) = (Reach::Own, Reach::Late);
    assert_eq!(reaches, [late, own, own, own, late, own, own, own, late]);
}

#[test]
fn who_has_nothing_to_do_reaches_to_all_that_is_late() {
    let reaches = rounds(&mut alone(), true, &[(0, 0), (0, 0), (1, 0), (0, 0), (0, 0)]);
    assert_eq!(reaches, [Reach::Late, Reach::Late, Reach::Late, Reach::Own, Reach::Late]);
}

#[test]
fn who_lost_a_race_reaches_to_a_part_until_that_is_empty() {
    let reaches = rounds(&mut alone(), true, &[(0, 2), (1, 0), (0, 0), (0, 0), (0, 0)]);
    assert_eq!(reaches, [Reach::Late, Reach::Part(3), Reach::Own, Reach::Part(3), Reach::Late]);
}

#[test]
fn who_owns_nothing_yet_does_part_after_part_and_has_no_round_of_its_own() {
    let (part, late) = (Reach::Part(3), Reach::Late);
    let mut turns = Turns::default();
    assert_eq!(
        rounds(&mut turns, false, &[(5, 0), (5, 2), (5, 0), (0, 0), (5, 1), (5, 0)]),
        [part, part, part, part, late, part]
    );
    // Once it has a share, that goes first.
    assert_eq!(rounds(&mut turns, true, &[(5, 0)]), [Reach::Own]);
}

/// By instance and reach, the segments of a table that are its.
fn ours(segments: &[StoredSegment], share: &Share, partitions: &[TopicPartition], reach: Reach) -> BTreeSet<usize> {
    let now = start() + TimeDelta::days(3650);
    let ours = share.of(partitions, reach, now);
    (0..segments.len()).filter(|at| ours.has(&segments[*at])).collect()
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
    let partitions: Vec<TopicPartition> =
        (0..3).map(|number| TopicPartition { topic: "sms".parse().unwrap(), partition: Partition(number) }).collect();
    let shares: Vec<Share> = partitions
        .iter()
        .map(|partition| {
            let owned = Owned::default();
            owned.add(partition.clone());
            Share::Of(owned, TimeDelta::minutes(10))
        })
        .collect();
    let own: Vec<BTreeSet<usize>> =
        shares.iter().map(|share| ours(&segments, share, &partitions, Reach::Own)).collect();
    assert_eq!(own.iter().map(BTreeSet::len).sum::<usize>(), segments.len());
    for (share, own) in shares.iter().zip(&own) {
        assert!((10..30).contains(&own.len()), "{} of {}", own.len(), segments.len());
        assert_eq!(ours(&segments, share, &partitions, Reach::Late).len(), segments.len());
        let parts: Vec<BTreeSet<usize>> =
            (0..PARTS).map(|part| ours(&segments, share, &partitions, Reach::Part(part))).collect();
        assert!(parts.iter().all(|part| part.is_superset(own) && part.len() < segments.len()));
        assert_eq!(parts.into_iter().flatten().collect::<BTreeSet<_>>().len(), segments.len());
    }
}
