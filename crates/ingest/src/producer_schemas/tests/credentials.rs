//! Credentials and authorities of the registry.

use super::*;

#[tokio::test]
async fn credentials_reach_the_registry_and_nothing_else() {
    let played = FakeRegistry::new(|_, _| status(401, "")).await;
    let basic = RegistryAuth::Basic {
        user: "me".to_owned(),
        password: Secret::new("hunter2"),
    };
    for (auth, header) in [
        (basic, "Basic bWU6aHVudGVyMg=="),
        (
            RegistryAuth::Bearer(Secret::new("hunter2")),
            "Bearer hunter2",
        ),
    ] {
        let tried = make(Some(config(&played.url, auth)), None).unwrap();
        let error = tried.id(1).await.unwrap_err();
        assert_eq!(played.header("authorization").unwrap(), header);
        let said = format!("{error} {error:?} {:?}", tried.around.health);
        assert!(
            !said.contains("hunter2") && !said.contains("bWU6"),
            "{said}"
        );
        assert!(said.contains("refuses the credentials"), "{said}");
    }
    let tried = make(Some(config(&played.url, RegistryAuth::None)), None).unwrap();
    tried.silence(1).await;
    assert_eq!(played.header("authorization"), None);
    assert!(played.header("user-agent").unwrap().starts_with("ebbtide/"));
}

#[test]
fn a_token_with_a_line_break_is_refused_before_anything_starts() {
    let registry = config("https://r", RegistryAuth::Bearer(Secret::new("a\nb")));
    assert!(matches!(
        make(Some(registry), None),
        Err(SetUpSchemasError::Credential)
    ));
}

#[test]
fn a_file_without_a_certificate_authority_is_reported_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut registry = config("https://r", RegistryAuth::None);
    for text in [None, Some("nothing")] {
        let file = folder.path().join("ca.pem");
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        registry.ca = Some(file);
        let error = make(Some(registry.clone()), None).err().unwrap();
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
