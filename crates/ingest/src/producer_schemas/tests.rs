//! Tests of the sources of schemas against a simulated registry that is right, wrong, slow or
//! silent, and counts its requests.

mod credentials;
mod failures;
mod folder;
mod references;
mod search;
mod servers;
mod tls;
mod waits;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;

use super::*;
use ebbtide_base::clock::ManualClock;
use ebbtide_base::health::Component;
use ebbtide_base::ids::{BucketUnit, PolicyVersion, Topic};
use ebbtide_config::{RegistryAuth, RegistryConfig as Config, Secret};
use ebbtide_policy::schema::Schema;
use ebbtide_policy::{EndRule, Jurisdiction, OtherRecords, Product, Records};

const SMS: &str = include_str!("../../../../schemas/sms.avsc");
const OTHER: &str = r#"{"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]}"#;
const NOT_FOUND: &str = r#"{"error_code":40403,"message":"Schema 9 not found"}"#;

type Reply = dyn Fn(&str, usize) -> Response + Send + Sync;

/// A simulated registry that counts its requests. Its answers may depend on the path and the number
/// of earlier requests.
struct FakeRegistry {
    url: String,
    requests: Arc<AtomicUsize>,
    headers: Arc<Mutex<HeaderMap>>,
}

impl FakeRegistry {
    async fn new(reply: impl Fn(u32, usize) -> Response + Send + Sync + 'static) -> Self {
        let of_path = move |path: &str, before| {
            let id = path
                .strip_prefix("schemas/ids/")
                .and_then(|id| id.parse().ok());
            id.map_or_else(|| status(404, "no such path"), |id| reply(id, before))
        };
        Self::of_paths(of_path).await
    }

    /// Starts a registry that answers by `reply`, given the path under its base, encoded as it was
    /// received.
    async fn of_paths(reply: impl Fn(&str, usize) -> Response + Send + Sync + 'static) -> Self {
        let reply: Arc<Reply> = Arc::new(reply);
        let requests = Arc::new(AtomicUsize::new(0));
        let headers = Arc::new(Mutex::new(HeaderMap::new()));
        let (count, seen) = (requests.clone(), headers.clone());
        let routes = Router::new().fallback(move |uri: Uri, headers: HeaderMap| async move {
            *seen.lock().unwrap() = headers;
            let before = count.fetch_add(1, Ordering::SeqCst);
            // Long enough for concurrent callers to overlap.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let path = uri.path().strip_prefix("/base/").unwrap_or_default();
            if path.ends_with(&format!("/{SLOW}")) {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            reply(path, before)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/base/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self {
            url,
            requests,
            headers,
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn header(&self, name: &str) -> Option<String> {
        Some(
            self.headers
                .lock()
                .unwrap()
                .get(name)?
                .to_str()
                .unwrap()
                .to_owned(),
        )
    }
}

/// The id that a simulated registry never answers in time.
const SLOW: u32 = 99;

struct RegistryFixture {
    schemas: ProducerSchemas,
    clock: Arc<ManualClock>,
    around: ProducerSchemasDeps,
}

impl RegistryFixture {
    async fn look_up(&self, id: u32) -> Result<SchemaLookup, LookupDelay> {
        self.schemas
            .get(&ProductKey::new("sms").unwrap(), SchemaRef::Id(id))
            .await
    }

    async fn get(
        &self,
        schema: SchemaRef,
    ) -> Result<Option<Arc<WriterSchema>>, RegistryUnavailable> {
        match self
            .schemas
            .get(&ProductKey::new("sms").unwrap(), schema)
            .await
        {
            Ok(SchemaLookup::Schema(found)) => Ok(Some(found)),
            Ok(SchemaLookup::Unknown(_)) => Ok(None),
            Err(LookupDelay::Registry(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    async fn unusable(&self, id: u32) -> String {
        match self.look_up(id).await {
            Ok(SchemaLookup::Unusable(why)) => why.to_string(),
            other => panic!("{other:?}"),
        }
    }

    async fn id(&self, id: u32) -> Result<Option<Arc<WriterSchema>>, RegistryUnavailable> {
        self.get(SchemaRef::Id(id)).await
    }

    async fn silence(&self, id: u32) -> RegistryFailure {
        self.id(id)
            .await
            .map(|found| found.is_some())
            .unwrap_err()
            .why
    }

    fn fetches(&self, outcome: &str) -> u64 {
        self.around
            .metrics
            .schema_fetches
            .with_label_values(&[outcome])
            .get()
    }
}

fn policy() -> Policy {
    let key = ProductKey::new("sms").unwrap();
    let records = Records {
        topics: vec![Topic::new("traffic.sms").unwrap()],
        schema: Arc::new(Schema::parse(SMS).unwrap()),
        event_time: "sent_at".to_owned(),
        event_time_zone: None,
        tenant: None,
        jurisdiction: Jurisdiction::Unknown,
        subjects: Vec::new(),
        default_country: None,
        fields: BTreeMap::new(),
        derive: Vec::new(),
        end: EndRule::Remove,
        others: OtherRecords::default(),
    };
    let product = Product {
        key: key.clone(),
        title: None,
        records: Some(records),
    };
    Policy {
        version: PolicyVersion::new("1").unwrap(),
        digest: ebbtide_policy::PolicyText::default().digest(),
        zone: chrono_tz::UTC,
        bucket: BucketUnit::Day,
        categories: BTreeMap::new(),
        products: BTreeMap::from([(key, product)]),
        rules: Vec::new(),
    }
}

fn config(url: &str, auth: RegistryAuth) -> Config {
    Config {
        urls: url
            .split(',')
            .map(|url| url::Url::parse(url).unwrap())
            .collect(),
        auth,
        ca: None,
        timeout: Duration::from_millis(500),
        unknown_schema_wait: Duration::ZERO,
    }
}

fn make(
    registry: Option<Config>,
    folder: Option<PathBuf>,
) -> Result<RegistryFixture, SetUpSchemasError> {
    let clock = Arc::new(ManualClock::at(DateTime::UNIX_EPOCH));
    let health = Arc::new(Health::starting(clock.clone()));
    health.over(&Component::Process);
    let around = ProducerSchemasDeps {
        metrics: Metrics::new().unwrap(),
        health,
        clock: clock.clone(),
    };
    let schemas = ProducerSchemas::new(
        &SchemasConfig { registry, folder },
        &policy(),
        around.clone(),
    )?;
    Ok(RegistryFixture {
        schemas,
        clock,
        around,
    })
}

fn with(played: &FakeRegistry) -> RegistryFixture {
    make(Some(config(&played.url, RegistryAuth::None)), None).unwrap()
}

fn schema(text: &str) -> Response {
    serde_json::json!({ "schema": text })
        .to_string()
        .into_response()
}

fn status(status: u16, body: &'static str) -> Response {
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

#[tokio::test]
async fn a_schema_is_fetched_once_however_many_ask_at_once() {
    let played = FakeRegistry::new(|_, _| schema(OTHER)).await;
    let tried = with(&played);
    let all = futures::future::join_all((0..20).map(|_| tried.id(7))).await;
    let expected = WriterSchema::parse(OTHER).unwrap().fingerprint();
    for found in all {
        assert_eq!(found.unwrap().unwrap().fingerprint(), expected);
    }
    tried.clock.advance(Duration::from_secs(1_000_000));
    tried.id(7).await.unwrap().unwrap();
    assert_eq!((played.requests(), tried.fetches("found")), (1, 1));
}

#[tokio::test]
async fn an_unknown_id_is_a_fault_of_the_record_and_is_requested_again_later() {
    let played = FakeRegistry::new(|_, before| {
        if before == 0 {
            status(404, NOT_FOUND)
        } else {
            schema(OTHER)
        }
    })
    .await;
    let tried = with(&played);
    for _ in 0..50 {
        assert!(tried.id(9).await.unwrap().is_none());
    }
    assert_eq!((played.requests(), tried.fetches("unknown")), (1, 1));
    assert!(
        tried.around.health.readiness().ready,
        "the registry is well"
    );
    tried.clock.advance(unknown_ids::ASK_AGAIN);
    assert!(
        tried.id(9).await.unwrap().is_some(),
        "it was registered meanwhile"
    );
}

#[tokio::test]
async fn a_404_that_is_not_the_registrys_own_makes_no_record_a_dead_letter() {
    for body in [
        "",
        "<html>no such page</html>",
        r#"{"error_code":404}"#,
        r#"{"message":"nothing here"}"#,
    ] {
        let played = FakeRegistry::new(move |_, _| status(404, body)).await;
        assert_eq!(
            with(&played).silence(9).await,
            RegistryFailure::WrongPlace,
            "{body}"
        );
    }
}

#[tokio::test]
async fn every_other_answer_is_silence_to_be_waited_out() {
    let wrong: [(u16, &str, RegistryFailure); 9] = [
        (500, "", RegistryFailure::Status(500)),
        (503, NOT_FOUND, RegistryFailure::Status(503)),
        (429, "", RegistryFailure::Status(429)),
        (302, "", RegistryFailure::Status(302)),
        (400, "", RegistryFailure::Status(400)),
        (401, "", RegistryFailure::Refused(401)),
        (403, "", RegistryFailure::Refused(403)),
        (
            200,
            "<html>sign in</html>",
            RegistryFailure::Malformed("it holds no schema"),
        ),
        (
            200,
            r#"{"schema":7}"#,
            RegistryFailure::Malformed("it holds no schema"),
        ),
    ];
    for (code, body, why) in wrong {
        let played = FakeRegistry::new(move |_, _| status(code, body)).await;
        let tried = with(&played);
        assert_eq!(tried.silence(1).await, why);
        assert_eq!(tried.fetches("unavailable"), 1);
        assert_eq!(
            tried.around.health.readiness().troubles[0].reason,
            why.to_string()
        );
    }
}

#[tokio::test]
async fn an_answer_too_large_for_a_schema_is_not_read_to_its_end() {
    let played = FakeRegistry::new(|_, _| "x".repeat(9 << 20).into_response()).await;
    assert_eq!(
        with(&played).silence(1).await,
        RegistryFailure::Malformed("it is too large")
    );
}

#[tokio::test]
async fn a_slow_registry_fails_all_its_waiters_after_the_timeout() {
    let played = FakeRegistry::new(|_, _| schema(OTHER)).await;
    let tried = with(&played);
    let within = Duration::from_millis(1_500);
    let (slow, other) =
        tokio::time::timeout(within, async { tokio::join!(tried.id(SLOW), tried.id(1)) })
            .await
            .expect("too late");
    assert_eq!(slow.unwrap_err().why, RegistryFailure::TimedOut);
    assert!(matches!(
        other.unwrap_err().why,
        RegistryFailure::Busy | RegistryFailure::TimedOut
    ));
}

#[tokio::test]
async fn a_registry_that_is_down_is_left_alone_for_a_while_and_found_again() {
    let played = FakeRegistry::new(|_, before| {
        if before < 2 {
            status(503, "")
        } else {
            schema(OTHER)
        }
    })
    .await;
    let tried = with(&played);
    let first = tried.id(1).await.unwrap_err();
    for id in 0..100 {
        let again = tried.id(id).await.unwrap_err();
        assert_eq!(
            (again.why, again.retry_after),
            (RegistryFailure::Status(503), first.retry_after)
        );
    }
    assert_eq!(played.requests(), 1, "it is not asked before its time");
    assert!(!tried.around.health.readiness().ready);

    tried.clock.advance(first.retry_after);
    let second = tried.id(1).await.unwrap_err();
    assert!(
        second.retry_after >= registry_pause::LEAST,
        "the second wait is longer"
    );

    tried.clock.advance(second.retry_after);
    assert!(tried.id(1).await.unwrap().is_some());
    assert_eq!(played.requests(), 3);
    assert!(tried.around.health.readiness().ready);
}

#[tokio::test]
async fn the_wait_that_the_registry_asks_for_is_kept() {
    let busy = || (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response();
    let played = FakeRegistry::new(move |_, _| busy()).await;
    assert_eq!(
        with(&played).id(1).await.unwrap_err().retry_after,
        Duration::from_secs(7)
    );
}

#[tokio::test]
async fn a_registry_that_refuses_connections_is_silent_with_a_reason() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let tried = make(Some(config(&url, RegistryAuth::None)), None).unwrap();
    let why = tried.silence(1).await.to_string();
    assert!(
        why.starts_with("it cannot be reached (Connection refused"),
        "{why}"
    );
}

#[tokio::test]
async fn a_registry_that_does_not_speak_tls_where_it_should_is_silent() {
    let played = FakeRegistry::new(|_, _| schema(OTHER)).await;
    let tried = make(
        Some(config(
            &played.url.replace("http:", "https:"),
            RegistryAuth::None,
        )),
        None,
    )
    .unwrap();
    assert!(matches!(
        tried.silence(1).await,
        RegistryFailure::Unreachable(_)
    ));
    assert_eq!(played.requests(), 0);
}

#[tokio::test]
async fn an_unusable_schema_has_a_reason_and_is_fetched_once() {
    let answers = [
        (r#"{"schema":"{}","schemaType":"JSON"}"#, "of the type JSON"),
        (r#"{"schema":"{"}"#, "not an Avro schema: EOF"),
        (
            r#"{"schema":"{\"type\":\"nonsense\"}"}"#,
            "`nonsense` is not defined",
        ),
    ];
    for (body, part) in answers {
        let played = FakeRegistry::new(move |_, _| status(200, body)).await;
        let tried = with(&played);
        for _ in 0..3 {
            let why = tried.unusable(1).await;
            assert!(why.contains(part), "{why}");
        }
        assert_eq!((played.requests(), tried.fetches("unreadable")), (1, 1));
    }
}
