//! Schemas that refer to others, assembled from the registry.

use serde_json::{Value, json};

use super::*;

const ROOT: &str = r#"{"type":"record","name":"Root","namespace":"a","fields":[
    {"name":"p","type":"b.Party"},{"name":"k","type":"b.Kind"}]}"#;
const PARTY: &str = r#"{"type":"record","name":"Party","namespace":"b","fields":[{"name":"k","type":"Kind"},{"name":"f","type":"c.F"}]}"#;
const KIND: &str = r#"{"type":"enum","name":"Kind","namespace":"b","symbols":["x","y"]}"#;
const FIXED: &str = r#"{"type":"fixed","name":"F","namespace":"c","size":2}"#;

fn link(name: &str, subject: &str, version: i64) -> Value {
    json!({ "name": name, "subject": subject, "version": version })
}

fn answer(schema: &str, references: &[Value]) -> Response {
    json!({ "id": 1, "subject": "s", "version": 1, "schema": schema, "references": references })
        .to_string()
        .into_response()
}

/// The root refers to the party and the kind; the party refers to the kind again and to a fixed
/// type.
fn tree(path: &str) -> Response {
    match path {
        "schemas/ids/1" | "schemas/ids/2" => answer(
            ROOT,
            &[link("b.Party", "party/of 2", 3), link("b.Kind", "kind", 1)],
        ),
        "subjects/party%2Fof%202/versions/3" => {
            answer(PARTY, &[link("b.Kind", "kind", 1), link("c.F", "fixed", 7)])
        }
        "subjects/kind/versions/1" => answer(KIND, &[]),
        "subjects/fixed/versions/7" => answer(FIXED, &[]),
        _ => status(404, r#"{"error_code":40401}"#),
    }
}

#[tokio::test]
async fn references_are_followed_once_each_and_remembered_for_other_schemas() {
    let played = FakeRegistry::of_paths(|path, _| tree(path)).await;
    let tried = with(&played);
    assert!(tried.id(1).await.unwrap().is_some());
    assert_eq!(played.requests(), 4);
    assert!(tried.id(2).await.unwrap().is_some());
    assert_eq!(played.requests(), 5, "only the new id is asked for");
    assert_eq!(tried.fetches("found"), 2);
}

#[tokio::test]
async fn a_reference_that_the_registry_does_not_know_yet_is_waited_for() {
    let reply = |path: &str, before| match path {
        "subjects/kind/versions/1" if before < 6 => status(404, r#"{"error_code":40402}"#),
        _ => tree(path),
    };
    let played = FakeRegistry::of_paths(reply).await;
    let config = Config {
        unknown_schema_wait: Duration::from_secs(30),
        ..config(&played.url, RegistryAuth::None)
    };
    let tried = make(Some(config), None).unwrap();
    let mut waits = 0;
    while let Err(LookupDelay::NotYet { retry_after }) = tried.look_up(1).await {
        waits += 1;
        tried.clock.advance(retry_after);
    }
    assert!((1..5).contains(&waits), "{waits}");
    assert!(tried.id(1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_failed_reference_is_silence_and_fetched_ones_are_not_fetched_again() {
    let reply = |path: &str, before| match path {
        "subjects/fixed/versions/7" if before < 4 => status(500, ""),
        _ => tree(path),
    };
    let played = FakeRegistry::of_paths(reply).await;
    let tried = with(&played);
    let down = tried.id(1).await.unwrap_err();
    assert_eq!(
        (down.why, played.requests()),
        (RegistryFailure::Status(500), 4)
    );
    tried.clock.advance(down.retry_after);
    assert!(tried.id(1).await.unwrap().is_some());
    assert_eq!(played.requests(), 6);
}

#[tokio::test]
async fn a_404_of_a_reference_that_is_not_the_registrys_own_is_silence() {
    let reply = |path: &str, _| {
        if path.starts_with("subjects") {
            status(404, "<html>")
        } else {
            tree(path)
        }
    };
    let played = FakeRegistry::of_paths(reply).await;
    assert_eq!(with(&played).silence(1).await, RegistryFailure::WrongPlace);
}

#[tokio::test]
async fn references_in_a_circle_end_and_too_many_are_refused() {
    let circle = |path: &str, _| match path {
        "schemas/ids/1" => answer(KIND, &[link("x", "a", 1)]),
        "subjects/a/versions/1" => answer(FIXED, &[link("x", "b", 1)]),
        _ => answer(FIXED, &[link("x", "a", 1)]),
    };
    let played = FakeRegistry::of_paths(circle).await;
    assert!(with(&played).id(1).await.unwrap().is_some());

    let endless = |path: &str, _| {
        let next = path
            .rsplit('/')
            .next()
            .and_then(|version| version.parse::<i64>().ok())
            .unwrap_or(0)
            .max(1000)
            + 1;
        answer(FIXED, &[link("x", "a", next)])
    };
    let played = FakeRegistry::of_paths(endless).await;
    let long = Config {
        timeout: Duration::from_secs(60),
        ..config(&played.url, RegistryAuth::None)
    };
    let tried = make(Some(long), None).unwrap();
    let why = tried.unusable(1).await;
    assert!(why.contains("more than 256"), "{why}");
}

#[tokio::test]
async fn missing_reference_is_named_by_its_subject_and_version() {
    for (missing, named) in [
        (
            "subjects/kind/versions/1",
            r#"id 1 refers to version 1 of the subject "kind", which is missing"#,
        ),
        (
            "subjects/fixed/versions/7",
            r#"id 1 refers to version 7 of the subject "fixed", which is missing"#,
        ),
        (
            "subjects/party%2Fof%202/versions/3",
            r#"id 1 refers to version 3 of the subject "party/of 2", which is missing"#,
        ),
        ("schemas/ids/1", "id 1"),
    ] {
        let code = if missing.starts_with("schemas") {
            NOT_FOUND
        } else {
            r#"{"error_code":40402}"#
        };
        let reply = move |path: &str, _| {
            if path == missing {
                status(404, code)
            } else {
                tree(path)
            }
        };
        let tried = with(&FakeRegistry::of_paths(reply).await);
        // The second answer is remembered.
        for _ in 0..2 {
            match tried.look_up(1).await {
                Ok(SchemaLookup::Unknown(reason)) => assert_eq!(&*reason, named),
                other => panic!("{other:?}"),
            }
        }
    }
}
