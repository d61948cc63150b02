use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use ebbtide_table::testing::stored_segment;

const TARGET: u64 = 1 << 20;

fn rule() -> CompactionRule {
    CompactionRule {
        target: TARGET,
        segments: 100,
        works: 1000,
    }
}

fn segment(name: &str, size: u64) -> StoredSegment {
    StoredSegment {
        rows: size,
        records: size,
        size,
        deadlines: Arc::new(
            [(
                "content".parse().unwrap(),
                Deadline(DateTime::from_timestamp(2_000_000_000, 0).unwrap()),
            )]
            .into(),
        ),
        policy_version: Some("v1".parse().unwrap()),
        ..stored_segment(name)
    }
}

fn sizes(merges: &MergePlan) -> Vec<Vec<u64>> {
    merges
        .works
        .iter()
        .map(|merge| merge.segments.iter().map(|segment| segment.size).collect())
        .collect()
}

fn chosen(of: &[u64]) -> Vec<Vec<u64>> {
    let segments: Vec<_> = of
        .iter()
        .enumerate()
        .map(|(at, size)| segment(&format!("{at:03}"), *size))
        .collect();
    sizes(&choose(&segments, &rule(), |_| true))
}

#[test]
fn segments_of_similar_size_are_merged_in_one_step() {
    assert_eq!(chosen(&[100, 90, 110, 95]), [[90, 95, 100, 110]]);
    assert_eq!(chosen(&[100]), [[0; 0]; 0]);
    assert_eq!(chosen(&[]), [[0; 0]; 0]);
}

#[test]
fn a_large_segment_is_not_written_again_for_a_few_small_ones() {
    assert_eq!(chosen(&[1000, 10, 10, 10]), [[10, 10, 10]]);
    assert_eq!(chosen(&[1000, 30]), [[0; 0]; 0]);
    // It is rewritten only once the small ones together are half as large.
    assert_eq!(chosen(&[1000, 499]), [[0; 0]; 0]);
    assert_eq!(chosen(&[1000, 249, 250]), [[249, 250]]);
    assert_eq!(chosen(&[1000, 250, 250]), [[250, 250, 1000]]);
}

#[test]
fn nothing_becomes_larger_than_the_target() {
    let each = TARGET * 3 / 8;
    assert_eq!(chosen(&[each; 5]), [[each; 2], [each; 2]]);
    assert_eq!(chosen(&[TARGET, TARGET + 1]), [[0; 0]; 0]);
}

#[test]
fn a_plan_is_bounded_and_begins_where_most_is_gained() {
    let profiles: Vec<_> = (0..3)
        .map(|n| format!("{n}123456789ab").parse::<ProfileId>().unwrap())
        .collect();
    let several = |which: usize, count: usize| {
        let profile = profiles[which].clone();
        (0..count).map(move |n| StoredSegment {
            profile: profile.clone(),
            ..segment(&format!("{which}-{n}"), 100)
        })
    };
    let all: Vec<_> = several(0, 2)
        .chain(several(1, 4))
        .chain(several(2, 3))
        .collect();
    let merges = choose(&all, &CompactionRule { works: 2, ..rule() }, |_| true);
    let counts: Vec<usize> = merges
        .works
        .iter()
        .map(|merge| merge.segments.len())
        .collect();
    assert_eq!((counts, merges.more), (vec![4, 3], true));
    let merges = choose(
        &all,
        &CompactionRule {
            segments: 2,
            ..rule()
        },
        |_| true,
    );
    assert!(
        merges.works.iter().all(|merge| merge.segments.len() == 2)
            && merges.works.len() == 4
            && !merges.more
    );
}

#[test]
fn unlike_segments_cells_and_what_is_not_ready_stay_apart() {
    let other = |at: &str| StoredSegment {
        policy_version: Some("v2".parse().unwrap()),
        ..segment(at, 10)
    };
    let cells = |at: &str| StoredSegment {
        cells: true,
        ..segment(at, 10)
    };
    let early = |at: &str| StoredSegment {
        deadlines: Arc::default(),
        ..segment(at, 10)
    };
    let all = [
        segment("a", 10),
        other("b"),
        cells("c"),
        early("d"),
        segment("e", 10),
        other("f"),
        cells("g"),
    ];
    let merges = choose(&all, &rule(), |_| true);
    let paths: Vec<Vec<&str>> = merges
        .works
        .iter()
        .map(|merge| merge.segments.iter().map(|of| &*of.path).collect())
        .collect();
    assert_eq!(paths, [["a", "e"], ["b", "f"]]);
    assert_eq!(
        choose(&all, &rule(), |segment| &*segment.path != "e")
            .works
            .len(),
        1
    );
}

/// One bucket over its life: segments arrive between two plans, and merges replace them.
struct Life {
    segments: Vec<StoredSegment>,
    /// For each stored segment, the first segments whose bytes it contains.
    holds: BTreeMap<Arc<str>, Vec<usize>>,
    /// The size of each first segment, and how often its bytes were rewritten.
    first: Vec<(u64, u32)>,
    named: usize,
}

impl Life {
    fn arrive(&mut self, size: u64) {
        let path = self.name();
        self.holds.insert(path.clone(), vec![self.first.len()]);
        self.first.push((size, 0));
        self.segments.push(segment(&path, size));
    }

    fn name(&mut self) -> Arc<str> {
        self.named += 1;
        Arc::from(format!("{:06}", self.named))
    }

    /// Merges until no segments can be merged.
    fn settle(&mut self) {
        loop {
            let merges = choose(&self.segments, &rule(), |_| true);
            if merges.works.is_empty() {
                return;
            }
            for merge in merges.works {
                let merged: BTreeSet<_> = merge
                    .segments
                    .iter()
                    .map(|segment| segment.path.clone())
                    .collect();
                let held: Vec<usize> = merged
                    .iter()
                    .flat_map(|path| self.holds.remove(path).unwrap())
                    .collect();
                held.iter().for_each(|first| self.first[*first].1 += 1);
                self.segments
                    .retain(|segment| !merged.contains(&segment.path));
                let path = self.name();
                assert!(merge.bytes() <= TARGET && merge.segments.len() > 1);
                assert!(
                    merge
                        .segments
                        .iter()
                        .all(|segment| grows(segment.size, merge.bytes()))
                );
                self.holds.insert(path.clone(), held);
                self.segments.push(segment(&path, merge.bytes()));
            }
        }
    }
}

/// Returns how often a segment of that size can grow by the factor `growth` before it is larger
/// than the target.
fn times(size: u64, growth: f64) -> u32 {
    let mut times = 0;
    let mut at = size as f64;
    while at * growth <= TARGET as f64 {
        at *= growth;
        times += 1;
    }
    times
}

proptest! {
    #[test]
    fn writing_again_is_bounded_however_segments_arrive(
        looks in prop::collection::vec(prop::collection::vec(1u64..TARGET / 4, 1..12), 1..60),
        small in 0u32..18,
    ) {
        let mut life = Life { segments: Vec::new(), holds: BTreeMap::new(), first: Vec::new(), named: 0 };
        for arrived in looks {
            for size in arrived {
                // Of every scale, since late segments are small.
                life.arrive((size >> (size % u64::from(small + 1))).max(1));
            }
            life.settle();
        }
        let (mut stored, mut written) = (0, 0);
        for (size, again) in &life.first {
            prop_assert!(*again <= times(*size, 1.5), "{} bytes were written again {} times", size, again);
            stored += size;
            written += size * u64::from(again + 1);
        }
        let least = life.first.iter().map(|(size, _)| *size).min().unwrap();
        prop_assert!(written <= stored * u64::from(times(least, 1.5) + 1));
        // The segments that are left: a chain in which each size is three times the one before it,
        // and those that have no room for another.
        let left = life.segments.len() as u64;
        prop_assert!(left <= u64::from(times(least, 3.0)) + 2 + 3 * stored.div_ceil(TARGET), "{} are left", left);
        prop_assert_eq!(life.segments.iter().map(|segment| segment.size).sum::<u64>(), stored);
    }

    #[test]
    fn a_bucket_that_was_closed_before_its_first_look_is_written_once(
        sizes in prop::collection::vec(1000u64..2000, 2..100),
    ) {
        // All have one scale, and fit into one together.
        let merges = chosen(&sizes);
        prop_assert_eq!(merges.len(), 1);
        prop_assert_eq!(merges[0].len(), sizes.len());
    }
}
