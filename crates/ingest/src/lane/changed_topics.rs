//! Topics that were created or recreated since the lane joined the group, and of which the lane
//! still owns no partition.
//!
//! If a group shares out its partitions while a topic is deleted, no lane is given any of them. The
//! client compares the names of topics at each refresh of its metadata, so it does not notice a
//! topic that is recreated between two refreshes, and would leave its partitions without an owner.
//! Joining again shares them out.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, ConsumerContext};

use crate::brokers::{self, TopicState};
use ebbtide_base::ids::{Topic, TopicId};

/// The time that the group has to share out a changed topic by itself: longer than the client's
/// refresh of its metadata.
const SETTLE: Duration = Duration::from_secs(15);

/// The time that the brokers may take to answer. The lane joins without an answer as well.
const PATIENCE: Duration = Duration::from_secs(5);

/// The topics that changed since the lane joined the group.
#[derive(Debug)]
pub struct ChangedTopics {
    known: BTreeMap<Topic, Incarnation>,
    /// The time at which each change was noticed, on the monotonic clock.
    changed: BTreeMap<Topic, Duration>,
}

/// The time after which a rebalance certainly knew a topic that was noticed before it.
const KNOWN_TO_ALL: Duration = Duration::from_secs(5);

/// A topic at one moment: recreated topics have another id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incarnation {
    Missing,
    /// The topic exists, with its id; `None` if the brokers are older than topic ids.
    Exists(Option<TopicId>),
}

impl Incarnation {
    /// Returns `None` if the state does not tell whether the topic exists.
    fn of(state: TopicState) -> Option<Self> {
        match state {
            TopicState::Exists(id) | TopicState::Unreadable(id) => Some(Incarnation::Exists(id)),
            TopicState::Missing => Some(Incarnation::Missing),
            TopicState::Hidden | TopicState::Failed(_) => None,
        }
    }

    /// Returns true if both are certainly or possibly the same topic. While brokers are updated, an
    /// id may be missing in some answers.
    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Incarnation::Exists(Some(one)), Incarnation::Exists(Some(two))) => one == two,
            (Incarnation::Exists(_), Incarnation::Exists(_)) => true,
            (one, two) => one == two,
        }
    }
}

impl ChangedTopics {
    /// Asks the brokers for the present state of `topics`. Must be called before the lane joins the
    /// group.
    #[must_use]
    pub fn since_now<C: ConsumerContext>(consumer: &BaseConsumer<C>, topics: &[Topic]) -> Self {
        match brokers::topic_states(consumer, topics.iter(), PATIENCE) {
            Ok(states) => Self::since(&states),
            Err(error) => {
                tracing::debug!(%error, "the topics are not known before the lane joins");
                Self::since(&BTreeMap::new())
            }
        }
    }

    /// Creates a record of the topics as they were just before the lane joined. A topic without a
    /// state is taken as it is first seen.
    fn since(before: &BTreeMap<Topic, TopicState>) -> Self {
        let known = before
            .iter()
            .filter_map(|(topic, state)| Some((topic.clone(), Incarnation::of(*state)?)))
            .collect();
        Self {
            known,
            changed: BTreeMap::new(),
        }
    }

    /// Records at `now` that the group shared out its partitions: those of topics that changed
    /// before have an owner.
    pub fn rebalanced(&mut self, now: Duration) {
        self.changed
            .retain(|_, since| now.saturating_sub(*since) < KNOWN_TO_ALL);
    }

    /// Compares the topics with what was known, and returns those that exist, changed at least
    /// [`SETTLE`] before `now`, and of which the lane owns no partition since.
    pub fn unowned(
        &mut self,
        states: &BTreeMap<Topic, TopicState>,
        now: Duration,
        owns: impl Fn(&Topic) -> bool,
    ) -> Vec<Topic> {
        for (topic, state) in states {
            let Some(seen) = Incarnation::of(*state) else {
                continue;
            };
            let before = self.known.insert(topic.clone(), seen);
            let is_new = before.is_some_and(|before| !before.is_same(seen));
            if owns(topic) || seen == Incarnation::Missing {
                self.changed.remove(topic);
            } else if is_new {
                self.changed.insert(topic.clone(), now);
            }
        }
        self.changed
            .iter()
            .filter(|(_, since)| now.saturating_sub(**since) >= SETTLE)
            .map(|(topic, _)| topic.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaErrorCode;

    use super::*;

    const OLD: TopicState = TopicState::Exists(Some(TopicId(1)));
    const NEW: TopicState = TopicState::Exists(Some(TopicId(2)));
    const FAILED: TopicState = TopicState::Failed(RDKafkaErrorCode::LeaderNotAvailable);

    fn states(state: Option<TopicState>) -> BTreeMap<Topic, TopicState> {
        state
            .map(|state| ("a".parse().unwrap(), state))
            .into_iter()
            .collect()
    }

    /// Returns the time at which the lane joins again, if it observes `seen` every five seconds.
    fn joins_again(before: Option<TopicState>, seen: &[(TopicState, bool)]) -> Option<u64> {
        let mut topics = ChangedTopics::since(&states(before));
        (1..).zip(seen).find_map(|(step, (state, owns))| {
            let now = Duration::from_secs(5 * step);
            let unowned = topics.unowned(&states(Some(*state)), now, |_| *owns);
            (!unowned.is_empty()).then_some(5 * step)
        })
    }

    #[test]
    fn changed_topic_without_an_owned_partition_is_found_after_the_group_had_its_time() {
        let old = TopicState::Unreadable(Some(TopicId(1)));
        let unnumbered = TopicState::Exists(None);
        type Case<'c> = (Option<TopicState>, &'c [(TopicState, bool)], Option<u64>);
        let cases: &[Case<'_>] = &[
            (Some(OLD), &[(OLD, false); 9], None),
            (Some(OLD), &[(old, false); 9], None),
            (Some(OLD), &[(NEW, false); 9], Some(20)),
            (Some(TopicState::Missing), &[(OLD, false); 9], Some(20)),
            (
                Some(TopicState::Missing),
                &[(unnumbered, false); 9],
                Some(20),
            ),
            (Some(unnumbered), &[(unnumbered, false); 9], None),
            (Some(OLD), &[(TopicState::Missing, false); 9], None),
            (None, &[(OLD, false); 9], None),
            (
                None,
                &[
                    (OLD, false),
                    (NEW, false),
                    (NEW, false),
                    (NEW, false),
                    (NEW, false),
                ],
                Some(25),
            ),
            (Some(unnumbered), &[(OLD, false); 9], None),
            (Some(OLD), &[(unnumbered, false); 9], None),
            (Some(OLD), &[(NEW, true); 9], None),
            (Some(OLD), &[(FAILED, false); 9], None),
        ];
        for (before, seen, expected) in cases {
            assert_eq!(joins_again(*before, seen), *expected, "{before:?} {seen:?}");
        }
    }

    #[test]
    fn time_begins_again_when_the_topic_changes_again_and_ends_when_a_partition_is_owned() {
        let missing = (TopicState::Missing, false);
        let new = (NEW, false);
        let seen = [new, new, missing, new, new, new, new];
        assert_eq!(joins_again(Some(OLD), &seen), Some(35));
        let seen = [new, (FAILED, false), new, new];
        assert_eq!(joins_again(Some(OLD), &seen), Some(20));
        let seen = [new, new, (NEW, true), new, new, new, new];
        assert_eq!(joins_again(Some(OLD), &seen), None);
    }
    #[test]
    fn rebalance_after_the_change_gave_the_topic_an_owner() {
        for (rebalance, expected) in [(4, true), (9, true), (10, false), (19, false)] {
            let mut topics = ChangedTopics::since(&states(Some(OLD)));
            let at = Duration::from_secs;
            assert!(
                topics
                    .unowned(&states(Some(NEW)), at(5), |_| false)
                    .is_empty()
            );
            topics.rebalanced(at(rebalance));
            let unowned = topics.unowned(&states(Some(NEW)), at(20), |_| false);
            assert_eq!(!unowned.is_empty(), expected, "{rebalance}");
        }
    }
}
