//! A registry of several servers: if one is silent, the next is asked.

use super::*;

/// Starts a server that answers every id with a schema.
async fn good() -> FakeRegistry {
    FakeRegistry::new(|_, _| schema(OTHER)).await
}

/// Returns a URL at which no server listens.
async fn down() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

fn registry(urls: &[&str]) -> RegistryFixture {
    make(Some(config(&urls.join(","), RegistryAuth::None)), None).unwrap()
}

#[tokio::test]
async fn a_silent_server_is_skipped_and_the_next_one_stays_preferred() {
    let broken = FakeRegistry::new(|_, _| status(500, "broken")).await;
    let foreign = FakeRegistry::new(|_, _| status(404, "no such path")).await;
    for first in [down().await, broken.url.clone(), foreign.url.clone()] {
        let second = good().await;
        let tried = registry(&[&first, &second.url]);
        let before = broken.requests() + foreign.requests();
        assert!(tried.id(1).await.unwrap().is_some(), "{first}");
        let asked = broken.requests() + foreign.requests() - before;
        assert!(tried.id(2).await.unwrap().is_some(), "{first}");
        assert_eq!(second.requests(), 2, "{first}");
        assert_eq!(
            broken.requests() + foreign.requests() - before,
            asked,
            "{first} is asked before one that answered"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_time_for_the_next_one() {
    let (slow, second) = (good().await, good().await);
    let tried = registry(&[&slow.url, &second.url]);
    // Neither server answers for this id; the next id is known by both.
    assert_eq!(tried.silence(SLOW).await, RegistryFailure::TimedOut);
    assert_eq!((slow.requests(), second.requests()), (1, 1));
}

#[tokio::test]
async fn an_id_unknown_to_one_server_is_not_requested_from_another() {
    let (first, second) = (
        FakeRegistry::new(|_, _| status(404, NOT_FOUND)).await,
        good().await,
    );
    let tried = registry(&[&first.url, &second.url]);
    assert!(tried.id(9).await.unwrap().is_none());
    assert_eq!((first.requests(), second.requests()), (1, 0));
}

#[tokio::test]
async fn a_registry_all_of_whose_servers_are_silent_is_silent() {
    let (first, second) = (
        down().await,
        FakeRegistry::new(|_, _| status(503, "busy")).await,
    );
    assert_eq!(
        registry(&[&first, &second.url]).silence(1).await,
        RegistryFailure::Status(503)
    );
    assert!(matches!(
        registry(&[&second.url, &first]).silence(1).await,
        RegistryFailure::Unreachable(_)
    ));
}
