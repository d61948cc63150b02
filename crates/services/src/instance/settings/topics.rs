//! Each topic has one use: records of one product, dead letters, or notices of one kind.

use super::{PolicyInUse, error};
use ebbtide_base::problem::{Problem, Severity};
use ebbtide_config::Config;

/// One use of a topic.
struct TopicUse {
    topic: String,
    /// The setting; `None` if the policy names the topic.
    key: Option<&'static str>,
    /// The use in words, with its place.
    what: String,
}

pub(super) fn check(config: &Config, policy: PolicyInUse<'_>) -> Vec<Problem> {
    let mut uses = sources(config, policy);
    let mut problems = Vec::new();
    for found in settings(config) {
        if let (Some(other), Some(key)) = (
            uses.iter().find(|other| other.topic == found.topic),
            found.key,
        ) {
            let what = format!("topic `{}` is also {}", found.topic, other.what);
            problems.push(error(config, key, what, fix(key, &uses)));
        }
        uses.push(found);
    }
    problems.extend(group(config));
    problems
}

/// Returns the topics of the policy's products, which `policy check` compares with each other.
fn sources(config: &Config, policy: PolicyInUse<'_>) -> Vec<TopicUse> {
    let mut uses = Vec::new();
    for product in policy.policy.products.values() {
        for topic in product.records.iter().flat_map(|records| &records.topics) {
            let at = policy.topic(config, product.key.as_str(), topic.as_str());
            let what = format!("a source of product {} ({at})", product.key);
            uses.push(TopicUse {
                topic: topic.to_string(),
                key: None,
                what,
            });
        }
    }
    uses
}

/// Returns the topics that the configuration names.
fn settings(config: &Config) -> Vec<TopicUse> {
    let dead_letters = Some(&config.kafka.dead_letter_topic);
    let named = [
        (
            "kafka.dead_letter_topic",
            "the topic of dead letters",
            dead_letters,
        ),
        (
            "notices.contracts",
            "the topic of ended contracts",
            config.notices.contracts.as_ref(),
        ),
        (
            "notices.consents",
            "the topic of withdrawn consents",
            config.notices.consents.as_ref(),
        ),
    ];
    let found = named
        .into_iter()
        .filter_map(|(key, what, topic)| Some((key, what, topic?)));
    let of = |(key, what, topic): (&'static str, &str, &String)| TopicUse {
        topic: topic.clone(),
        key: Some(key),
        what: format!("{what} (`{key}`, {})", config.origins.of(key)),
    };
    found.map(of).collect()
}

/// Suggests a topic that is not used yet.
fn fix(key: &str, uses: &[TopicUse]) -> String {
    let name = match key {
        "kafka.dead_letter_topic" => "ebbtide.dead-letters",
        "notices.contracts" => "ebbtide.contract-ended",
        _ => "ebbtide.consent-withdrawn",
    };
    let is_free = |name: &String| !uses.iter().any(|used| used.topic == *name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let free = std::iter::once(name.to_owned())
        .chain(numbered)
        .find(is_free)
        .unwrap_or_default();
    format!("write a topic of its own, such as {free}")
}

/// Checks the group `<kafka.group>-notices`, which the reader of notices uses: no other instance
/// should consume records in it.
fn group(config: &Config) -> Option<Problem> {
    let other = config
        .kafka
        .group
        .strip_suffix("-notices")
        .filter(|group| !group.is_empty())?;
    let what = format!("an instance with `kafka.group: {other}` reads its notices in this group");
    let found = error(
        config,
        "kafka.group",
        what,
        format!("write a name that does not end with -notices: {other}-records"),
    );
    Some(Problem {
        severity: Severity::Warning,
        ..found
    })
}
