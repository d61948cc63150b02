//! The search for the schemas of one partition against a slow registry.

use super::*;
use crate::schema_search::SchemaSearch;

/// Longer than one answer takes, and much shorter than all answers of a flood take.
const PATIENCE: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn flood_of_unknown_ids_is_looked_up_beside_the_lane() {
    let played = FakeRegistry::new(|_, _| status(404, NOT_FOUND)).await;
    let schemas = Arc::new(with(&played).schemas);
    let product = ProductKey::new("sms").unwrap();
    for ids in [1..40_u32, 100..130, 200..250] {
        let mut search = SchemaSearch::default();
        search.start(&schemas, &product, ids.clone().map(SchemaRef::Id).collect());
        assert!(
            search.finish(PATIENCE).await.is_none(),
            "it does not wait for all answers"
        );
        assert!(search.is_running() && search.finish(Duration::ZERO).await.is_none());
        let found = search.finish(Duration::from_secs(30)).await.unwrap();
        assert_eq!(found.len(), ids.len());
        assert!(
            found
                .iter()
                .all(|(_, found)| matches!(found, Ok(SchemaLookup::Unknown(_))))
                && !search.is_running()
        );
    }
    assert_eq!(played.requests(), 119, "each id is asked for once");
}

#[tokio::test(flavor = "multi_thread")]
async fn search_of_a_revoked_partition_ends() {
    let played = FakeRegistry::new(|_, _| status(404, NOT_FOUND)).await;
    let schemas = Arc::new(with(&played).schemas);
    let mut search = SchemaSearch::default();
    search.start(
        &schemas,
        &ProductKey::new("sms").unwrap(),
        (1..500).map(SchemaRef::Id).collect(),
    );
    assert!(search.finish(PATIENCE).await.is_none());
    drop(search);
    let asked = played.requests();
    tokio::time::sleep(PATIENCE * 4).await;
    assert!(played.requests() <= asked + 1, "it asks for nothing more");
}
