//! Checks whether the dead-letter topic accepts the records of its source topics. Pure.
//!
//! A letter that is too large for its topic is delivered without its record, so this only warns.

use super::{TopicConfigState, TopicProblem, TopicRole, UsedTopic};

/// The maximum number of bytes that a dead letter adds to its record: its headers, with a topic
/// name of the maximum length.
const OVERHEAD: u64 = 1024;

/// Compares the limit of each source topic and notice topic with that of the dead-letter topic.
/// `states` are those of `topics`, in their order. Topics whose limit is not reported are left out.
#[must_use]
pub fn check_dead_letter_limits(
    topics: &[UsedTopic],
    states: &[TopicConfigState],
) -> Vec<TopicProblem> {
    let used = || {
        topics
            .iter()
            .zip(states)
            .filter_map(|(used, state)| Some((used, limit(state)?)))
    };
    let Some((dead_letters, taken)) = used().find(|(used, _)| used.role == TopicRole::DeadLetters)
    else {
        return Vec::new();
    };
    let dead_letters = &dead_letters.topic;
    let too_large = |(used, limit): (&UsedTopic, u64)| {
        let needed = limit.saturating_add(OVERHEAD);
        let what = format!(
            "topic {dead_letters} takes messages of {taken} bytes, topic {} of {limit}: a large dead letter of it is delivered \
             without its record; set max.message.bytes={needed} or more for topic {dead_letters}",
            used.topic,
        );
        (needed > taken).then(|| TopicProblem {
            topic: used.topic.clone(),
            what,
        })
    };
    used()
        .filter(|(used, _)| used.role != TopicRole::DeadLetters)
        .filter_map(too_large)
        .collect()
}

/// Returns the largest message in bytes that a topic accepts.
fn limit(state: &TopicConfigState) -> Option<u64> {
    match state {
        TopicConfigState::Kept(kept) => kept.max_message_bytes,
        TopicConfigState::Missing
        | TopicConfigState::Unauthorized
        | TopicConfigState::ConfigHidden => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cleanup, TopicRetention};
    use super::*;
    use ebbtide_base::ids::Topic;

    fn judged(topics: &[(&str, Option<u64>)]) -> Vec<TopicProblem> {
        let role = |name: &str| match name {
            "dead" => TopicRole::DeadLetters,
            _ => TopicRole::Source("sms".parse().unwrap()),
        };
        let used: Vec<_> = topics
            .iter()
            .map(|(name, _)| UsedTopic {
                topic: Topic::new(name).unwrap(),
                role: role(name),
            })
            .collect();
        let kept = |max_message_bytes| TopicRetention {
            time: None,
            cleanup: Cleanup::Delete,
            max_message_bytes,
        };
        let states: Vec<_> = topics
            .iter()
            .map(|(_, limit)| TopicConfigState::Kept(kept(*limit)))
            .collect();
        check_dead_letter_limits(&used, &states)
    }

    #[test]
    fn dead_letter_topic_must_take_a_record_and_its_headers() {
        for (limit, source, warned) in [
            (Some(1_048_588), Some(1_048_588), true),
            (Some(1_048_588 + 1023), Some(1_048_588), true),
            (Some(1_048_588 + 1024), Some(1_048_588), false),
            (Some(2_000), Some(10_000_000), true),
            (Some(u64::MAX), Some(u64::MAX), false),
            (None, Some(1_048_588), false),
            (Some(1_048_588), None, false),
        ] {
            let judged = judged(&[("sms", source), ("dead", limit)]);
            assert_eq!(!judged.is_empty(), warned, "{limit:?} {source:?}");
        }
    }

    #[test]
    fn warning_says_what_to_set() {
        let judged = judged(&[
            ("sms", Some(5_000)),
            ("mms", Some(900)),
            ("dead", Some(2_000)),
        ]);
        assert_eq!(
            judged
                .iter()
                .map(|judged| judged.topic.as_str())
                .collect::<Vec<_>>(),
            ["sms"]
        );
        assert!(
            judged[0]
                .what
                .contains("max.message.bytes=6024 or more for topic dead"),
            "{}",
            judged[0].what
        );
    }
}
