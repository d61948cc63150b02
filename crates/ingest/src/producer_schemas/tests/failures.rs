//! Ids for which the registry fails: others are found, and the report ends with the last look-up
//! that waits.

use super::*;

fn silent(outcome: &Result<Option<Arc<WriterSchema>>, RegistryUnavailable>) -> Duration {
    outcome
        .as_ref()
        .map(|found| found.is_some())
        .unwrap_err()
        .retry_after
}

#[tokio::test]
async fn ids_are_found_while_the_registry_fails_for_one() {
    for code in [500, 503, 429] {
        let played = FakeRegistry::new(move |id, _| {
            if id == 9 {
                status(code, "")
            } else {
                schema(OTHER)
            }
        })
        .await;
        let tried = with(&played);
        // The failing id is always asked for first, as by the first partition of a lane.
        for _ in 0..6 {
            let wait = silent(&tried.id(9).await);
            tried.clock.advance(wait);
        }
        silent(&tried.id(9).await);
        let mut waited = Duration::ZERO;
        for id in 1..4 {
            while let Err(error) = tried.id(id).await {
                assert!(
                    waited < Duration::from_secs(120),
                    "id {id} is not asked for beside one that fails with {code}"
                );
                tried.clock.advance(error.retry_after);
                waited += error.retry_after;
                silent(&tried.id(9).await);
            }
        }
        let troubles = tried.around.health.readiness().troubles;
        assert_eq!(troubles.len(), 1, "one id still waits: {troubles:?}");
    }
}

#[tokio::test]
async fn file_of_the_folder_ends_the_report_of_an_unavailable_registry() {
    let folder = tempfile::tempdir().unwrap();
    let played = FakeRegistry::new(|_, _| status(503, "")).await;
    let tried = make(
        Some(config(&played.url, RegistryAuth::None)),
        Some(folder.path().to_path_buf()),
    )
    .unwrap();
    silent(&tried.id(6).await);
    assert!(!tried.around.health.readiness().ready);
    std::fs::write(folder.path().join("6.avsc"), OTHER).unwrap();
    tried.clock.advance(LOOK_AGAIN_AFTER);
    tried.schemas.tend();
    assert!(
        !tried.around.health.readiness().ready,
        "its records still wait"
    );
    assert!(tried.id(6).await.unwrap().is_some());
    assert!(tried.around.health.readiness().ready);
}

#[tokio::test]
async fn look_up_that_no_partition_needs_any_more_ends_the_report() {
    let played = FakeRegistry::new(|_, _| status(503, "")).await;
    let tried = with(&played);
    let mut wait = silent(&tried.id(6).await);
    for _ in 0..10 {
        tried.clock.advance(wait);
        tried.schemas.tend();
        assert!(
            !tried.around.health.readiness().ready,
            "its records still wait"
        );
        wait = silent(&tried.id(6).await);
    }
    // The partition was revoked.
    tried.clock.advance(wait + Duration::from_secs(31));
    tried.schemas.tend();
    assert!(tried.around.health.readiness().ready);
}

#[tokio::test]
async fn registry_that_answers_for_one_id_is_still_reported_while_another_waits() {
    let played = FakeRegistry::new(|id, before| {
        if id == 9 && before < 3 {
            status(500, "")
        } else {
            schema(OTHER)
        }
    })
    .await;
    let tried = with(&played);
    let wait = silent(&tried.id(9).await);
    tried.clock.advance(wait);
    assert!(tried.id(1).await.unwrap().is_some());
    assert!(!tried.around.health.readiness().ready);
    while let Err(error) = tried.id(9).await {
        tried.clock.advance(error.retry_after);
    }
    assert!(tried.around.health.readiness().ready);
}
