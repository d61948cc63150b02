use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::retention::used_topics;
use super::{App, AppError};
use crate::clock::SharedClock;
use crate::config::{Config, Surroundings};
use crate::expiry::testing::{SCHEMA, World, policy_text, start, texts};
use crate::health::Health;
use crate::metrics::Metrics;

/// An instance on the world's root whose Kafka client cannot be made, since a file of it does not exist.
fn refused(world: &World, folder: &Path) -> App {
    std::fs::write(folder.join("policy.yaml"), policy_text("remove")).unwrap();
    std::fs::write(folder.join("sms.avsc"), SCHEMA).unwrap();
    let loaded = super::read_policy(&folder.join("policy.yaml")).unwrap().loaded().unwrap();
    let text = format!(
        "policy: policy.yaml\nroot: {}\nkafka:\n  bootstrap_servers: 'localhost:1'\n  properties:\n    \
         security.protocol: ssl\n    ssl.ca.location: /no/such/file.pem\n",
        world.root.folder().display()
    );
    let around = Surroundings { variables: BTreeMap::new(), folder: PathBuf::new() };
    let checked = Config::parse("e.yaml", &text, &around);
    let clock = Arc::clone(&world.clock) as SharedClock;
    App {
        config: Arc::new(checked.config.unwrap_or_else(|| panic!("{:?}", checked.problems))),
        policy: loaded.policy,
        text: loaded.text,
        health: Arc::new(Health::starting(Arc::clone(&clock))),
        metrics: Metrics::new().unwrap(),
        clock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_task_runs_any_more_after_a_start_that_was_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new("remove");
    world.ingest(&texts(start(), 5)).await;
    for round in 0..3 {
        let before = Handle::current().metrics().num_alive_tasks();
        let (_stop, stopped) = watch::channel(false);
        let error = refused(&world, folder.path()).run(stopped).await.unwrap_err();
        let left = Handle::current().metrics().num_alive_tasks();
        assert!(matches!(error, AppError::Preflight(_)), "{error}");
        assert_eq!(left, before, "{round}: a task that is still running would log errors while the runtime ends");
    }
}

#[test]
fn shipped_configuration_creates_every_topic_with_a_retention_that_is_accepted() {
    let file = Path::new("config/ebbtide.yaml");
    let config = Config::load(file).config.unwrap();
    let policy = super::read_policy(&config.policy).unwrap().policy.unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
    let head = head.join("\n").replace("\\\n#", "");
    let words: Vec<&str> = head.split([' ', '\n', ';']).collect();
    assert!(!words.contains(&"works"), "it works only with topics: {head}");
    for used in used_topics(&config, &policy) {
        assert!(words.contains(&used.topic.as_str()), "{} is not created:\n{head}", used.topic);
        let ceiling = used.role.ceiling(&policy).unwrap().as_millis();
        for retention in words.iter().filter_map(|word| word.strip_prefix("retention.ms=")) {
            assert!(retention.parse::<u128>().unwrap() <= ceiling, "{}: {retention}, at most {ceiling}", used.topic);
        }
    }
}
