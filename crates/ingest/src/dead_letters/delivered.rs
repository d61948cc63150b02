//! The letters that this process has delivered and that no commit has passed yet, by source offset.
//!
//! A batch that is read again produces its letters again. They are recognised here, so that one
//! process delivers a letter once. The memory is bounded: beyond the bound, the letters of the
//! least recently used partition are forgotten and may be sent again.

use std::collections::{BTreeMap, HashMap};

use ebbtide_base::ids::{Offset, TopicPartition};

/// The delivered letters of all partitions.
#[derive(Debug)]
pub struct DeliveredLetters {
    partitions: HashMap<TopicPartition, PartitionLetters>,
    delivered: usize,
    limit: usize,
    tick: u64,
}

#[derive(Debug, Default)]
struct PartitionLetters {
    used: u64,
    letters: BTreeMap<i64, SentLetter>,
}

/// A letter sent from one offset. The timestamp distinguishes its record from another record that
/// has the same offset in a topic that was recreated.
#[derive(Debug, Clone, Copy)]
struct SentLetter {
    timestamp: Option<i64>,
    is_delivered: bool,
}

/// The answer to a sender that wants to send a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The letter is the caller's to send.
    Granted,
    /// The letter was delivered before.
    Delivered,
    /// The letter is being sent by another task.
    InFlight,
}

impl DeliveredLetters {
    /// Creates an empty memory of at most `limit` delivered letters.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            partitions: HashMap::new(),
            delivered: 0,
            limit,
            tick: 0,
        }
    }

    /// Claims the letter of one source offset for a sender.
    pub fn claim(&mut self, source: &TopicPartition, offset: i64, timestamp: Option<i64>) -> Claim {
        self.tick += 1;
        let partition = self.partitions.entry(source.clone()).or_default();
        partition.used = self.tick;
        match partition.letters.get(&offset) {
            Some(sent) if sent.timestamp == timestamp && sent.is_delivered => {
                return Claim::Delivered;
            }
            Some(sent) if sent.timestamp == timestamp => return Claim::InFlight,
            Some(sent) if sent.is_delivered => self.delivered -= 1,
            _ => {}
        }
        partition.letters.insert(
            offset,
            SentLetter {
                timestamp,
                is_delivered: false,
            },
        );
        Claim::Granted
    }

    /// Records that a claimed letter was delivered.
    pub fn deliver(&mut self, source: &TopicPartition, offset: i64) {
        let Some(partition) = self.partitions.get_mut(source) else {
            return;
        };
        let Some(sent) = partition
            .letters
            .get_mut(&offset)
            .filter(|sent| !sent.is_delivered)
        else {
            return;
        };
        sent.is_delivered = true;
        self.delivered += 1;
        while self.delivered > self.limit && self.forget_oldest() {}
    }

    /// Gives up the claim on a letter that was not delivered.
    pub fn release(&mut self, source: &TopicPartition, offset: i64) {
        if let Some(partition) = self.partitions.get_mut(source)
            && partition
                .letters
                .get(&offset)
                .is_some_and(|sent| !sent.is_delivered)
        {
            partition.letters.remove(&offset);
        }
    }

    /// Forgets the letters before `next`: a commit has passed them, so their records are not read
    /// again.
    pub fn settle(&mut self, source: &TopicPartition, next: Offset) {
        let Some(partition) = self.partitions.get_mut(source) else {
            return;
        };
        let kept = partition.letters.split_off(&next.0);
        let passed = std::mem::replace(&mut partition.letters, kept);
        self.delivered -= passed.values().filter(|sent| sent.is_delivered).count();
        if partition.letters.is_empty() {
            self.partitions.remove(source);
        }
    }

    /// Forgets the delivered letters of the partition that was used least recently. Returns false
    /// if there are none.
    fn forget_oldest(&mut self) -> bool {
        let has_delivered =
            |letters: &BTreeMap<i64, SentLetter>| letters.values().any(|sent| sent.is_delivered);
        let candidates = self
            .partitions
            .values_mut()
            .filter(|partition| has_delivered(&partition.letters));
        let Some(oldest) = candidates.min_by_key(|partition| partition.used) else {
            return false;
        };
        let before = oldest.letters.len();
        oldest.letters.retain(|_, sent| !sent.is_delivered);
        self.delivered -= before - oldest.letters.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::testing::partition;
    use super::*;

    fn send(letters: &mut DeliveredLetters, source: &TopicPartition, offset: i64) {
        assert_eq!(
            letters.claim(source, offset, Some(offset)),
            Claim::Granted,
            "{source}/{offset}"
        );
        letters.deliver(source, offset);
    }

    #[test]
    fn letter_is_granted_once_until_a_commit_passes_it() {
        let (mut letters, source) = (DeliveredLetters::new(10), partition("sms"));
        assert_eq!(letters.claim(&source, 5, Some(5)), Claim::Granted);
        assert_eq!(letters.claim(&source, 5, Some(5)), Claim::InFlight);
        letters.release(&source, 5);
        send(&mut letters, &source, 5);
        assert_eq!(letters.claim(&source, 5, Some(5)), Claim::Delivered);
        letters.settle(&source, Offset(5));
        assert_eq!(
            letters.claim(&source, 5, Some(5)),
            Claim::Delivered,
            "the commit ends before it"
        );
        letters.settle(&source, Offset(6));
        assert_eq!((letters.delivered, letters.partitions.len()), (0, 0));
    }

    #[test]
    fn same_offset_with_another_time_is_another_record() {
        let (mut letters, source) = (DeliveredLetters::new(10), partition("sms"));
        send(&mut letters, &source, 5);
        assert_eq!(letters.claim(&source, 5, Some(77)), Claim::Granted);
        assert_eq!(letters.delivered, 0);
    }

    #[test]
    fn release_after_delivery_changes_nothing() {
        let (mut letters, source) = (DeliveredLetters::new(10), partition("sms"));
        send(&mut letters, &source, 1);
        letters.release(&source, 1);
        assert_eq!(letters.claim(&source, 1, Some(1)), Claim::Delivered);
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_least_used_partition_first() {
        let mut letters = DeliveredLetters::new(10);
        let (old, new) = (partition("sms"), partition("mms"));
        (0..6).for_each(|offset| send(&mut letters, &old, offset));
        (0..6).for_each(|offset| send(&mut letters, &new, offset));
        assert!(letters.delivered <= 10);
        assert_eq!(letters.claim(&new, 5, Some(5)), Claim::Delivered);
        assert_eq!(letters.claim(&old, 5, Some(5)), Claim::Granted);
        (6..100).for_each(|offset| send(&mut letters, &new, offset));
        assert!(letters.delivered <= 10);
    }
}
