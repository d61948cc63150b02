//! Schemas of the folder, beside the products' own and those of the registry.

use super::*;

#[tokio::test]
async fn a_file_of_the_folder_replaces_a_schema_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let played = FakeRegistry::new(|_, _| status(200, r#"{"schema":"{}"}"#)).await;
    let tried = make(
        Some(config(&played.url, RegistryAuth::None)),
        Some(folder.path().to_path_buf()),
    )
    .unwrap();
    tried.unusable(6).await;
    std::fs::write(folder.path().join("6.avsc"), OTHER).unwrap();
    tried.clock.advance(LOOK_AGAIN_AFTER);
    assert!(tried.id(6).await.unwrap().is_some());
}

#[tokio::test]
async fn the_products_own_schema_is_known_by_its_fingerprint_without_any_source() {
    let tried = make(None, None).unwrap();
    let own = WriterSchema::parse(SMS).unwrap().fingerprint();
    assert!(
        tried
            .get(SchemaRef::Fingerprint(own))
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        tried
            .get(SchemaRef::Fingerprint(own ^ 1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(tried.id(1).await.unwrap().is_none());
}

#[tokio::test]
async fn schemas_of_the_folder_are_found_by_fingerprint_and_by_id_new_ones_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    std::fs::write(folder.path().join("deep/other.v2.41.avsc"), OTHER).unwrap();
    std::fs::write(folder.path().join("42.avsc"), OTHER).unwrap();
    std::fs::write(folder.path().join("README"), "not a schema").unwrap();
    let tried = make(None, Some(folder.path().to_path_buf())).unwrap();
    let other = WriterSchema::parse(OTHER).unwrap().fingerprint();
    assert!(
        tried
            .get(SchemaRef::Fingerprint(other))
            .await
            .unwrap()
            .is_some()
    );
    assert!(tried.id(41).await.unwrap().is_some());
    assert!(tried.id(42).await.unwrap().is_some());
    assert!(tried.id(2).await.unwrap().is_none());

    std::fs::write(folder.path().join("new.43.avsc"), OTHER).unwrap();
    assert!(
        tried.id(43).await.unwrap().is_none(),
        "it does not look at every miss"
    );
    tried.clock.advance(LOOK_AGAIN_AFTER);
    assert!(tried.id(43).await.unwrap().is_some());

    std::fs::write(folder.path().join("bad.44.avsc"), "{").unwrap();
    std::fs::write(folder.path().join("later.45.avsc"), OTHER).unwrap();
    std::fs::remove_file(folder.path().join("42.avsc")).unwrap();
    tried.clock.advance(LOOK_AGAIN_AFTER);
    assert!(
        tried.id(44).await.unwrap().is_none(),
        "a bad file that appears later is a warning"
    );
    assert!(tried.id(45).await.unwrap().is_some(), "and hides no other");
    assert!(
        tried.id(42).await.unwrap().is_some(),
        "a schema once read stays"
    );
}

#[tokio::test]
async fn the_folder_wins_over_the_registry_so_that_known_ids_need_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("5.avsc"), OTHER).unwrap();
    let played = FakeRegistry::new(|_, _| status(503, "")).await;
    let tried = make(
        Some(config(&played.url, RegistryAuth::None)),
        Some(folder.path().to_path_buf()),
    )
    .unwrap();
    assert!(tried.id(5).await.unwrap().is_some());
    assert_eq!(played.requests(), 0);
}

#[test]
fn a_missing_folder_and_bad_or_contradictory_schemas_are_named() {
    let missing = make(None, Some(PathBuf::from("/nowhere/schemas")))
        .err()
        .unwrap();
    assert!(
        missing.to_string().contains("/nowhere/schemas"),
        "{missing}"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.1.avsc"), OTHER).unwrap();
    std::fs::write(folder.path().join("b.1.avsc"), SMS).unwrap();
    let two = make(None, Some(folder.path().to_path_buf())).err().unwrap();
    assert!(
        matches!(two, SetUpSchemasError::TwoForOneId { id: 1, .. }),
        "{two}"
    );
    std::fs::write(folder.path().join("a.1.avsc"), "{").unwrap();
    let bad = make(None, Some(folder.path().to_path_buf())).err().unwrap();
    assert!(bad.to_string().contains("a.1.avsc"), "{bad}");
}

#[test]
fn the_shipped_folder_of_schemas_is_good() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas"));
    make(None, Some(folder)).unwrap();
}
