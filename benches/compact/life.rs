//! Simulates a bucket's life with the compaction rule only: the segments that arrive at each look,
//! the merges, and the bytes that merges write again.

use std::sync::Arc;

use ebbtide_base::ids::Bucket;
use ebbtide_maintenance::{CompactionRule, choose};
use ebbtide_table::StoredSegment;
use ebbtide_testkit::tables::categories;

const MIB: u64 = 1 << 20;

/// A pattern of arrival: a name, and the sizes of the new segments at each look.
type Arrivals = (&'static str, Vec<Vec<u64>>);

/// Prints for some patterns of arrival how many bytes were written again for each byte stored, and
/// the segments left.
pub fn report() {
    println!(
        "{:<52} {:>9} {:>12} {:>6}",
        "a bucket's life", "segments", "written/byte", "left"
    );
    let day = |each: u64, count: usize| vec![vec![each; count]];
    let then = |mut first: Vec<Vec<u64>>, late: Vec<Vec<u64>>| {
        first.extend(late);
        first
    };
    let lives: [Arrivals; 5] = [
        ("closed at once, 8,640 of 1 MiB", day(MIB, 8640)),
        ("closed at once, 2,000 of 64 KiB", day(64 << 10, 2000)),
        (
            "1,000 of 1 MiB, then 6 a look of 64 KiB for 500",
            then(day(MIB, 1000), vec![vec![64 << 10; 6]; 500]),
        ),
        (
            "1,000 of 1 MiB, then one a look of 1 MiB for 1,000",
            then(day(MIB, 1000), vec![vec![MIB]; 1000]),
        ),
        (
            "one of 64 KiB a look from the first, 4,096 looks",
            vec![vec![64 << 10]; 4096],
        ),
    ];
    for (name, looks) in lives {
        let count: usize = looks.iter().map(Vec::len).sum();
        let (stored, written, left) = live(looks);
        println!(
            "{name:<52} {count:>9} {:>12.2} {left:>6}",
            written as f64 / stored as f64
        );
    }
}

/// Returns the bytes stored, the bytes that merges wrote, and the number of segments left.
fn live(looks: Vec<Vec<u64>>) -> (u64, u64, usize) {
    let rule = CompactionRule {
        target: 1 << 30,
        segments: 1000,
        works: 64,
    };
    let (mut segments, mut named) = (Vec::new(), 0_u64);
    let mut segment = |size: u64| {
        named += 1;
        StoredSegment {
            path: Arc::from(format!("{named:09}")),
            bucket: Bucket::Day(categories::day().date_naive()),
            profile: "0123456789ab".parse().expect("a profile"),
            rows: size,
            records: size,
            size,
            deadlines: Arc::default(),
            policy_version: Some(categories::policy()),
            cells: false,
        }
    };
    let (mut stored, mut written) = (0, 0);
    for arrived in looks {
        stored += arrived.iter().sum::<u64>();
        segments.extend(arrived.into_iter().map(&mut segment));
        loop {
            let merges = choose(&segments, &rule, |_| true);
            if merges.works.is_empty() {
                break;
            }
            for merge in merges.works {
                written += merge.bytes();
                segments.retain(|segment| {
                    !merge
                        .segments
                        .iter()
                        .any(|merged| merged.path == segment.path)
                });
                segments.push(segment(merge.bytes()));
            }
        }
    }
    (stored, written, segments.len())
}
