//! The groups of the rows of a batch: one for each bucket, profile and set of categories that are
//! already due.
//!
//! Each row costs one table look-up. A combination of bucket and profile is evaluated once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::buckets::{BucketFinder, SpanBucket};
use super::order::RowPermutation;
use crate::{Calendar, Profile, RecordTriggers};
use ebbtide_base::ids::{Bucket, Deadline, ProfileId};
use ebbtide_base::record::Fault;

/// The properties of a group, known before its rows are built.
#[derive(Debug)]
pub(super) struct GroupTags {
    /// The bucket.
    pub(super) bucket: Bucket,
    /// The profile.
    pub(super) profile: Arc<Profile>,
    /// The deadlines, in the order of the profile's terms.
    pub(super) deadlines: Vec<Option<Deadline>>,
    /// Indexes of the terms that are already due.
    pub(super) absent: Vec<usize>,
    /// The number of rows.
    pub(super) rows: usize,
}

/// The targets of rows without a group.
const EXPIRED: u32 = u32::MAX;
const FAULTY: u32 = u32::MAX - 1;

/// A hasher for small numbers. The keys are internal, so no one can choose them to collide.
#[derive(Default)]
struct SmallIntHasher(u64);

impl Hasher for SmallIntHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Sorts the rows of one batch into groups.
pub(super) struct TagGroups<'a> {
    calendar: &'a Calendar,
    arrival: DateTime<Utc>,
    profiles: &'a [Arc<Profile>],
    /// The number of each distinct state of triggers in the batch; 0 is the state without known
    /// triggers.
    marks: HashMap<RecordTriggers, u32>,
    /// The target of each combination of place, profile and state of triggers.
    targets: HashMap<u64, u32, BuildHasherDefault<SmallIntHasher>>,
    known: HashMap<(Bucket, ProfileId), u32>,
    /// The target of each row so far.
    rows: Vec<u32>,
    /// The groups found so far.
    pub(super) kinds: Vec<GroupTags>,
    /// The number of rows whose deadlines have all passed.
    pub(super) expired: u64,
    /// Rows with a fault.
    pub(super) faults: Vec<(usize, Fault)>,
}

impl<'a> TagGroups<'a> {
    /// Creates groups for `rows` rows that arrive at `arrival` and have profiles in `profiles`.
    pub(super) fn new(
        calendar: &'a Calendar,
        arrival: DateTime<Utc>,
        profiles: &'a [Arc<Profile>],
        rows: usize,
    ) -> Self {
        Self {
            calendar,
            arrival,
            profiles,
            marks: HashMap::new(),
            targets: HashMap::default(),
            known: HashMap::new(),
            rows: Vec::with_capacity(rows),
            kinds: Vec::new(),
            expired: 0,
            faults: Vec::new(),
        }
    }

    /// Adds a row that cannot be stored.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults.push((self.rows.len(), fault));
        self.rows.push(FAULTY);
    }

    /// Adds a row of place `place` of `buckets`, of the profile with index `profile`, and with the
    /// known triggers.
    pub(super) fn row(
        &mut self,
        buckets: &BucketFinder<'_>,
        place: u32,
        profile: usize,
        triggered: RecordTriggers,
    ) {
        let mark = if triggered == RecordTriggers::default() {
            0
        } else {
            let next = self.marks.len() as u32 + 1;
            *self.marks.entry(triggered).or_insert(next)
        };
        // A batch has far fewer than 2^40 combinations of place and profile.
        let key = u64::from(mark) << 40
            | (u64::from(place) * self.profiles.len() as u64 + profile as u64);
        let target = match self.targets.get(&key) {
            Some(target) => *target,
            None => {
                let target = self.target(buckets.places[place as usize], profile, triggered);
                self.targets.insert(key, target);
                target
            }
        };
        match self.kinds.get_mut(target as usize) {
            Some(kind) => kind.rows += 1,
            None => self.expired += 1,
        }
        self.rows.push(target);
    }

    fn target(&mut self, place: SpanBucket, profile: usize, triggered: RecordTriggers) -> u32 {
        let profile = &self.profiles[profile];
        let profile = match place.late {
            0 => Arc::clone(profile),
            _ if !profile.has_minimum() => Arc::clone(profile),
            late => Arc::new(profile.with_late(late)),
        };
        let profile = match triggered == RecordTriggers::default() {
            true => profile,
            false => Arc::new(profile.with_triggered(triggered, self.calendar, place.bucket)),
        };
        let key = (place.bucket, profile.id.clone());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let deadlines = profile.deadlines(self.calendar, place.bucket);
        let is_due = |deadline: &Option<Deadline>| {
            deadline.is_some_and(|deadline| deadline.is_due(self.arrival))
        };
        let absent: Vec<usize> = (0..deadlines.len())
            .filter(|term| is_due(&deadlines[*term]))
            .collect();
        // A record without a personal category has no deadline that can pass.
        let target = if !absent.is_empty() && absent.len() == deadlines.len() {
            EXPIRED
        } else {
            self.kinds.push(GroupTags {
                bucket: place.bucket,
                profile,
                deadlines,
                absent,
                rows: 0,
            });
            self.kinds.len() as u32 - 1
        };
        self.known.insert(key, target);
        target
    }

    /// Returns the rows to store, group by group, in the order of the input within each group.
    pub(super) fn order(&self) -> RowPermutation {
        let kept: usize = self.kinds.iter().map(|kind| kind.rows).sum();
        if kept == self.rows.len() && self.kinds.len() <= 1 {
            return RowPermutation::all(kept);
        }
        let mut next = Vec::with_capacity(self.kinds.len());
        let mut start = 0;
        for kind in &self.kinds {
            next.push(start);
            start += kind.rows;
        }
        let mut order = vec![0; kept];
        for (row, target) in self.rows.iter().enumerate() {
            if let Some(at) = next.get_mut(*target as usize) {
                order[*at] = row as u32;
                *at += 1;
            }
        }
        RowPermutation::from_rows(order)
    }
}
