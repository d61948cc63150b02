use super::*;

const DAY: u64 = 86_400;

fn source() -> UsedTopic {
    UsedTopic {
        topic: Topic::new("traffic.sms").unwrap(),
        role: TopicRole::Source("sms".parse().unwrap()),
    }
}

fn used(role: TopicRole) -> UsedTopic {
    UsedTopic { role, ..source() }
}

fn kept(seconds: Option<u64>) -> TopicConfigState {
    TopicConfigState::Kept(TopicRetention {
        time: seconds.map(Duration::from_secs),
        cleanup: Cleanup::Delete,
        max_message_bytes: None,
    })
}

fn what(used: &UsedTopic, state: &TopicConfigState, ceiling: Option<u64>) -> String {
    check_topic(used, state, ceiling.map(Duration::from_secs))
        .map_or("good".to_owned(), |problem| problem.what)
}

#[test]
fn a_topic_may_keep_as_long_as_the_shortest_ceiling_and_no_longer() {
    for (seconds, good) in [
        (7 * DAY, true),
        (168 * DAY, true),
        (168 * DAY + 1, false),
        (169 * DAY, false),
    ] {
        let found = what(&source(), &kept(Some(seconds)), Some(168 * DAY));
        assert_eq!(found == "good", good, "{seconds}: {found}");
        assert!(
            good || found.contains("set retention.ms=14515200000 or less"),
            "{found}"
        );
    }
}

#[test]
fn missing_hidden_unlimited_and_long_have_messages_with_their_own_fix() {
    let compacted = TopicConfigState::Kept(TopicRetention {
        time: Some(Duration::from_secs(DAY)),
        cleanup: Cleanup::Compact,
        max_message_bytes: None,
    });
    let states = [
        TopicConfigState::Missing,
        TopicConfigState::Unauthorized,
        TopicConfigState::ConfigHidden,
        kept(None),
        kept(Some(8 * DAY)),
        compacted,
    ];
    let messages: Vec<String> = states
        .iter()
        .map(|state| what(&source(), state, Some(7 * DAY)))
        .collect();
    insta::assert_snapshot!(messages.join("\n"), @"
    topic traffic.sms does not exist; create it with retention.ms=604800000 or less, or correct its name in products.sms.topics of the policy
    the brokers do not let this client see topic traffic.sms; grant it Describe, DescribeConfigs and Read on the topic
    the brokers do not show this client how long topic traffic.sms keeps records; grant it DescribeConfigs on the topic
    topic traffic.sms keeps records for ever; set retention.ms=604800000 or less
    topic traffic.sms keeps records for 8 days, the policy allows 7 days; set retention.ms=604800000 or less
    topic traffic.sms is compacted and keeps records for ever; set cleanup.policy=delete and retention.ms=604800000 or less
    ");
}

#[test]
fn each_use_of_a_topic_has_its_own_fix() {
    for (role, named, needs) in [
        (
            TopicRole::DeadLetters,
            "its name in kafka.dead_letter_topic",
            "Describe, DescribeConfigs and Write",
        ),
        (
            TopicRole::Contracts,
            "its name in notices.contracts",
            "Describe, DescribeConfigs and Read",
        ),
        (
            TopicRole::Consents,
            "its name in notices.consents",
            "Describe, DescribeConfigs and Read",
        ),
    ] {
        let used = used(role);
        assert!(what(&used, &TopicConfigState::Missing, None).ends_with(named));
        assert!(what(&used, &TopicConfigState::Unauthorized, Some(DAY)).contains(needs));
    }
}

#[test]
fn dead_letter_topic_that_merges_keys_is_a_problem_whatever_its_limit() {
    for (cleanup, ceiling, fix) in [
        (Cleanup::Compact, None, "set cleanup.policy=delete"),
        (Cleanup::CompactAndDelete, None, "set cleanup.policy=delete"),
        (
            Cleanup::CompactAndDelete,
            Some(DAY),
            "set cleanup.policy=delete and retention.ms=86400000 or less",
        ),
    ] {
        let time = Some(Duration::from_secs(DAY / 2));
        let state = TopicConfigState::Kept(TopicRetention {
            time,
            cleanup,
            max_message_bytes: None,
        });
        let found = what(&used(TopicRole::DeadLetters), &state, ceiling);
        assert!(
            found.contains("only the newest") && found.ends_with(fix),
            "{found}"
        );
        let of_source = what(&source(), &state, ceiling);
        assert_eq!(
            of_source == "good",
            cleanup != Cleanup::Compact || ceiling.is_none(),
            "{of_source}"
        );
    }
}

#[test]
fn without_a_limit_only_a_topic_that_cannot_be_used_is_a_problem() {
    for state in [
        kept(None),
        kept(Some(9999 * DAY)),
        TopicConfigState::ConfigHidden,
    ] {
        assert_eq!(what(&source(), &state, None), "good");
    }
    assert!(what(&source(), &TopicConfigState::Missing, None).contains("create it, or correct"));
}

#[test]
fn times_are_written_in_the_unit_that_they_are_whole_in() {
    for (millis, words) in [
        (6 * 3_600_000, "6 hours"),
        (24 * 3_600_000, "24 hours"),
        (48 * 3_600_000, "2 days"),
        (604_800_000, "7 days"),
        (90 * 60_000, "90 minutes"),
        (3_600_000, "1 hour"),
        (1_500, "1500 ms"),
        (25 * 3_600_000, "25 hours"),
    ] {
        assert_eq!(in_words(Duration::from_millis(millis)), words);
    }
}

#[test]
fn months_count_as_short_as_they_can_be() {
    assert_eq!(at_least(RetentionPeriod::Months(6)).as_secs(), 6 * 28 * DAY);
    assert_eq!(at_least(RetentionPeriod::Months(24)).as_secs(), 730 * DAY);
}
