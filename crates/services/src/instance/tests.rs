use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::tasks::BackgroundTasks;
use super::topic_monitor::used_topics;
use ebbtide_config::Config;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_work_runs_any_more_once_it_is_shut_down() {
    let held = Arc::new(());
    let mut tasks: JoinSet<&'static str> = JoinSet::new();
    for _ in 0..20 {
        let held = Arc::clone(&held);
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_micros(50)).await;
                // A step that cannot be interrupted.
                std::thread::sleep(Duration::from_millis(2));
                assert!(Arc::strong_count(&held) > 1);
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    BackgroundTasks(tasks).shutdown().await;
    assert_eq!(
        Arc::strong_count(&held),
        1,
        "a task that still runs would log errors while the runtime ends"
    );
}

#[test]
fn shipped_configuration_creates_each_topic_with_an_accepted_retention() {
    let file = Path::new("../../config/ebbtide.yaml");
    let config = Config::load(file).config.unwrap();
    let policy = crate::policy_file::read_policy(&config.policy)
        .unwrap()
        .policy
        .unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let head: Vec<&str> = text
        .lines()
        .take_while(|line| line.starts_with('#'))
        .collect();
    let head = head.join("\n").replace("\\\n#", "");
    let words: Vec<&str> = head.split([' ', '\n', ';']).collect();
    assert!(
        !words.contains(&"works"),
        "it works only with topics: {head}"
    );
    for used in used_topics(&config, &policy) {
        assert!(
            words.contains(&used.topic.as_str()),
            "{} is not created:\n{head}",
            used.topic
        );
        let ceiling = used.role.ceiling(&policy).unwrap().as_millis();
        for retention in words
            .iter()
            .filter_map(|word| word.strip_prefix("retention.ms="))
        {
            assert!(
                retention.parse::<u128>().unwrap() <= ceiling,
                "{}: {retention}, at most {ceiling}",
                used.topic
            );
        }
    }
}
