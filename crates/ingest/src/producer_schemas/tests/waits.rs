//! A registry that receives a schema later than its producers.

use super::*;

const WAIT: Duration = Duration::from_secs(30);

fn waiting(played: &FakeRegistry) -> RegistryFixture {
    let config = Config {
        unknown_schema_wait: WAIT,
        ..config(&played.url, RegistryAuth::None)
    };
    make(Some(config), None).unwrap()
}

async fn delay(tried: &RegistryFixture, id: u32) -> Duration {
    match tried.look_up(id).await {
        Err(LookupDelay::NotYet { retry_after }) => retry_after,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_id_that_the_registry_learns_of_in_time_costs_nothing() {
    let played = FakeRegistry::new(|_, before| {
        if before < 5 {
            status(404, NOT_FOUND)
        } else {
            schema(OTHER)
        }
    })
    .await;
    let tried = waiting(&played);
    for asked in 1..=5 {
        let retry_after = delay(&tried, 9).await;
        assert_eq!(
            delay(&tried, 9).await,
            retry_after,
            "it is not asked before its time"
        );
        assert_eq!(played.requests(), asked);
        tried.clock.advance(retry_after);
    }
    assert!(tried.id(9).await.unwrap().is_some());
    assert_eq!((tried.fetches("unknown"), tried.fetches("found")), (5, 1));
    assert!(
        tried.around.health.readiness().ready,
        "the registry is well"
    );
}

#[tokio::test]
async fn an_id_that_stays_unknown_fails_after_the_wait_and_is_requested_again() {
    let known = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let later = known.clone();
    let reply = move |_, _| {
        if later.load(Ordering::SeqCst) {
            schema(OTHER)
        } else {
            status(404, NOT_FOUND)
        }
    };
    let played = FakeRegistry::new(reply).await;
    let tried = waiting(&played);
    let mut waited = Duration::ZERO;
    while let Err(LookupDelay::NotYet { retry_after }) = tried.look_up(9).await {
        waited += retry_after;
        tried.clock.advance(retry_after);
    }
    assert_eq!(waited, WAIT);
    let asked = played.requests();
    for _ in 0..50 {
        assert!(tried.id(9).await.unwrap().is_none());
    }
    assert_eq!(played.requests(), asked, "its records do not each ask");
    known.store(true, Ordering::SeqCst);
    tried.clock.advance(Duration::from_secs(5));
    assert!(
        tried.id(9).await.unwrap().is_some(),
        "it was registered meanwhile"
    );
}

#[tokio::test]
async fn other_ids_are_found_while_one_is_waited_for() {
    let played = FakeRegistry::new(|id, _| {
        if id == 9 {
            status(404, NOT_FOUND)
        } else {
            schema(OTHER)
        }
    })
    .await;
    let tried = waiting(&played);
    delay(&tried, 9).await;
    assert!(tried.id(1).await.unwrap().is_some());
    assert!(tried.id(2).await.unwrap().is_some());
    delay(&tried, 9).await;
}

#[tokio::test]
async fn an_outage_of_the_registry_does_not_end_the_wait_for_an_id() {
    let played = FakeRegistry::new(|_, before| match before {
        0 => status(404, NOT_FOUND),
        1 => status(503, ""),
        _ => schema(OTHER),
    })
    .await;
    let tried = waiting(&played);
    let first = delay(&tried, 9).await;
    tried.clock.advance(first);
    let down = tried.id(9).await.unwrap_err();
    assert_eq!(down.why, RegistryFailure::Status(503));
    tried.clock.advance(down.retry_after);
    assert!(tried.id(9).await.unwrap().is_some());
}

#[tokio::test]
async fn garbage_of_one_product_costs_no_record_of_another() {
    let reply = |id, before| {
        if id == 9 && before > 80 {
            schema(OTHER)
        } else {
            status(404, NOT_FOUND)
        }
    };
    let played = FakeRegistry::new(reply).await;
    let tried = waiting(&played);
    let product = |name: &str| ProductKey::new(name).unwrap();
    let garbage = (1_000..1_075).map(SchemaRef::Id).collect();
    let outcomes = tried.schemas.look_up(&product("many"), garbage).await;
    let waits = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_err())
        .count();
    assert_eq!(
        (outcomes.len(), waits),
        (75, unknown_ids::MOST_WAITING),
        "it waits for no more ids"
    );

    // The other product's id is waited for until the registry receives it.
    let mut asked = 0;
    while let Err(LookupDelay::NotYet { retry_after }) =
        tried.schemas.get(&product("sms"), SchemaRef::Id(9)).await
    {
        asked += 1;
        tried.clock.advance(retry_after);
    }
    assert!((2..10).contains(&asked), "{asked}");
    assert!(matches!(
        tried.schemas.get(&product("sms"), SchemaRef::Id(9)).await,
        Ok(SchemaLookup::Schema(_))
    ));
}
