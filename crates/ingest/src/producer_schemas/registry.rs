//! The HTTP client of a Confluent-compatible schema registry: fetches a schema by its id, with all
//! schemas that it refers to.
//!
//! Only an answer of the registry itself (with its own `error_code`) makes a schema unknown: a
//! proxy's 404, an error, an unexpected body or a refused login count as silence, and the caller
//! waits. No redirect is followed and no credential is ever formatted.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::SetUpSchemasError;
use ebbtide_config::{RegistryAuth, RegistryConfig};
use ebbtide_policy::schema::{SchemaReference, WriterSchema};

/// The largest answer that is read.
const MOST_BYTES: usize = 8 << 20;
/// The registry's code for an id that it does not know.
const NO_SUCH_SCHEMA: u32 = 40403;
/// The registry's codes for a version of a subject that it does not know.
const NO_SUCH_VERSION: [u32; 3] = [40401, 40402, NO_SUCH_SCHEMA];
/// The maximum number of schemas that one may refer to, directly and indirectly.
const MOST_REFERENCES: usize = 256;
/// The maximum number of schemas that are remembered because others refer to them.
const MOST_REMEMBERED: usize = 1000;

/// The reason why the registry gave no reliable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryFailure {
    /// No connection: refused, unresolved, cut, or TLS failed.
    #[error("it cannot be reached ({0})")]
    Unreachable(String),
    /// It took longer than the configured timeout.
    #[error("it did not answer in time")]
    TimedOut,
    /// 401 or 403.
    #[error("it refuses the credentials (status {0})")]
    Refused(u16),
    /// A 404 that is not the registry's own.
    #[error("it answers 404 without the registry's error code; is the URL's path right?")]
    WrongPlace,
    /// Any other status.
    #[error("it answers with status {0}")]
    Status(u16),
    /// A body that is not an answer of a registry.
    #[error("its answer is malformed ({0})")]
    Malformed(&'static str),
    /// Other requests took all the time.
    #[error("it is too slow for all that is asked of it")]
    Busy,
}

/// The registry's answer about one id.
#[derive(Debug)]
pub enum RegistryAnswer {
    /// The schema.
    Schema(WriterSchema),
    /// The schema exists but cannot be used; the reason, in words.
    Unusable(String),
    /// The registry does not know the schema.
    Unknown,
    /// The registry knows the schema, but not this version of a subject that it refers to, directly
    /// or indirectly.
    Missing {
        /// The subject.
        subject: String,
        /// The version.
        version: i64,
    },
}

/// No answer, and the wait that the registry asks for.
type NoAnswer = (RegistryFailure, Option<Duration>);

/// Schemas that others refer to, so that each is fetched once.
#[derive(Default)]
pub struct ReferencedSchemas(HashMap<(String, i64), RegistrySchema>);

/// The HTTP client of one registry. Holds its credentials, so it has no `Debug`.
pub struct RegistryClient {
    http: reqwest::Client,
    /// The base URLs of the registry's servers, at least one.
    servers: Vec<Url>,
    /// The index of the server that answered last.
    preferred: AtomicUsize,
    /// The longest time that one server may take while there are others to ask.
    patience: Duration,
    auth: RegistryAuth,
}

#[derive(Clone, Deserialize)]
struct RegistrySchema {
    schema: String,
    #[serde(default, rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<Link>>,
}

/// The name under which a schema uses another one, and the subject and version of that one.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
struct Link {
    name: String,
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
struct Failed {
    error_code: u32,
}

impl RegistryClient {
    /// Builds the client and sends no request. Errors if the authorities' file cannot be read, or
    /// if credentials are illegal in a header.
    pub fn new(config: &RegistryConfig) -> Result<Self, SetUpSchemasError> {
        let mut headers = HeaderMap::new();
        let accept = "application/vnd.schemaregistry.v1+json, application/json";
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let RegistryAuth::Bearer(token) = &config.auth {
            HeaderValue::try_from(token.expose()).map_err(|_| SetUpSchemasError::Credential)?;
        }
        let mut http = reqwest::Client::builder()
            .tls_backend_native()
            .user_agent(concat!("ebbtide/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(Policy::none())
            .timeout(config.timeout);
        if let Some(file) = &config.ca {
            let wrong = |why: String| SetUpSchemasError::Authorities {
                file: file.clone(),
                why,
            };
            let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
            let all =
                Certificate::from_pem_bundle(&pem).map_err(|error| wrong(innermost(&error)))?;
            if all.is_empty() {
                return Err(wrong("it holds no PEM certificate".to_owned()));
            }
            for one in all {
                http = http.add_root_certificate(one);
            }
        }
        let http = http
            .build()
            .map_err(|error| SetUpSchemasError::Client(innermost(&error)))?;
        let servers = config.urls.clone();
        let patience = config.timeout / u32::try_from(servers.len().max(1)).unwrap_or(u32::MAX);
        Ok(Self {
            http,
            servers,
            preferred: AtomicUsize::new(0),
            patience,
            auth: config.auth.clone(),
        })
    }

    /// Requests `id`, and all schemas that it refers to and that are not in `referenced`; waits at
    /// most `within` for all of them.
    pub async fn fetch(
        &self,
        id: u32,
        referenced: &mut ReferencedSchemas,
        within: Duration,
    ) -> Result<RegistryAnswer, NoAnswer> {
        let asked = tokio::time::timeout(within, self.schema(id, referenced)).await;
        asked.unwrap_or(Err((RegistryFailure::TimedOut, None)))
    }

    async fn schema(
        &self,
        id: u32,
        referenced: &mut ReferencedSchemas,
    ) -> Result<RegistryAnswer, NoAnswer> {
        let Some(found) = self
            .get(&["schemas", "ids", &id.to_string()], &[NO_SUCH_SCHEMA])
            .await?
        else {
            return Ok(RegistryAnswer::Unknown);
        };
        if let Some(kind) = found.kind.filter(|kind| kind != "AVRO") {
            return Ok(RegistryAnswer::Unusable(format!(
                "it is not an Avro schema, but of the type {kind}"
            )));
        }
        let links = found.references.unwrap_or_default();
        let references = match self.references(links, referenced).await? {
            Ok(references) => references,
            Err(Link {
                subject, version, ..
            }) => return Ok(RegistryAnswer::Missing { subject, version }),
        };
        if references.len() > MOST_REFERENCES {
            return Ok(RegistryAnswer::Unusable(format!(
                "it refers to more than {MOST_REFERENCES} schemas"
            )));
        }
        Ok(
            match WriterSchema::with_references(&found.schema, &references) {
                Ok(schema) => RegistryAnswer::Schema(schema),
                Err(error) => RegistryAnswer::Unusable(error.brief()),
            },
        )
    }

    /// Returns all schemas that `links` lead to, each after the schemas that it refers to, or the
    /// first link to a schema that the registry does not know. Follows at most one link more than
    /// the limit.
    async fn references(
        &self,
        links: Vec<Link>,
        referenced: &mut ReferencedSchemas,
    ) -> Result<Result<Vec<SchemaReference>, Link>, NoAnswer> {
        enum Next {
            Follow(Link),
            Place(SchemaReference),
        }
        let mut stack: Vec<Next> = links.into_iter().rev().map(Next::Follow).collect();
        let (mut seen, mut ordered) = (HashSet::new(), Vec::new());
        while let Some(next) = stack.pop() {
            match next {
                Next::Place(reference) => ordered.push(reference),
                Next::Follow(link)
                    if !seen.insert(link.clone()) || seen.len() > MOST_REFERENCES + 1 => {}
                Next::Follow(link) => {
                    let Some(found) = self.version(&link, referenced).await? else {
                        return Ok(Err(link));
                    };
                    stack.push(Next::Place(SchemaReference {
                        name: link.name,
                        text: found.schema,
                    }));
                    stack.extend(
                        found
                            .references
                            .into_iter()
                            .flatten()
                            .rev()
                            .map(Next::Follow),
                    );
                }
            }
        }
        Ok(Ok(ordered))
    }

    async fn version(
        &self,
        link: &Link,
        referenced: &mut ReferencedSchemas,
    ) -> Result<Option<RegistrySchema>, NoAnswer> {
        let key = (link.subject.clone(), link.version);
        if let Some(found) = referenced.0.get(&key) {
            return Ok(Some(found.clone()));
        }
        let version = link.version.to_string();
        let path = ["subjects", &link.subject, "versions", &version];
        let found = self.get(&path, &NO_SUCH_VERSION).await?;
        // A negative version means the newest one, which may change.
        if let Some(found) = found.as_ref().filter(|_| link.version > 0) {
            if referenced.0.len() >= MOST_REMEMBERED {
                referenced.0.clear();
            }
            referenced.0.insert(key, found.clone());
        }
        Ok(found)
    }

    /// Asks one server after another, starting with the one that answered last. Errors with the
    /// last server's silence.
    async fn get(
        &self,
        path: &[&str],
        unknown: &[u32],
    ) -> Result<Option<RegistrySchema>, NoAnswer> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut silence = (RegistryFailure::Busy, None);
        for turn in 0..self.servers.len() {
            let number = (first + turn) % self.servers.len();
            match self.ask(&self.servers[number], path, unknown).await {
                Ok(found) => {
                    self.preferred.store(number, Ordering::Relaxed);
                    return Ok(found);
                }
                Err(none) => silence = none,
            }
        }
        Err(silence)
    }

    /// Sends one request to one server. `None` if the registry answers with one of the codes in
    /// `unknown` that there is nothing at `path`.
    async fn ask(
        &self,
        server: &Url,
        path: &[&str],
        unknown: &[u32],
    ) -> Result<Option<RegistrySchema>, NoAnswer> {
        let mut url = server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.http.get(url).timeout(self.patience);
        let request = match &self.auth {
            RegistryAuth::None => request,
            RegistryAuth::Basic { user, password } => {
                request.basic_auth(user, Some(password.expose()))
            }
            RegistryAuth::Bearer(token) => request.bearer_auth(token.expose()),
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err((silence(&error), None)),
        };
        let status = response.status();
        let wanted = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let judged = match status {
            StatusCode::OK => found(&body(response).await.map_err(|why| (why, None))?).map(Some),
            StatusCode::NOT_FOUND => {
                not_found(&body(response).await.map_err(|why| (why, None))?, unknown)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(RegistryFailure::Refused(status.as_u16()))
            }
            _ => Err(RegistryFailure::Status(status.as_u16())),
        };
        judged.map_err(|why| (why, wanted.map(Duration::from_secs)))
    }
}

/// Returns the body. Errors if it is larger than a schema may be.
async fn body(mut response: Response) -> Result<Vec<u8>, RegistryFailure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| silence(&error))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(RegistryFailure::Malformed("it is too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn found(body: &[u8]) -> Result<RegistrySchema, RegistryFailure> {
    serde_json::from_slice(body).map_err(|_| RegistryFailure::Malformed("it holds no schema"))
}

fn not_found(body: &[u8], unknown: &[u32]) -> Result<Option<RegistrySchema>, RegistryFailure> {
    match serde_json::from_slice(body) {
        Ok(Failed { error_code }) if unknown.contains(&error_code) => Ok(None),
        _ => Err(RegistryFailure::WrongPlace),
    }
}

fn silence(error: &reqwest::Error) -> RegistryFailure {
    if error.is_timeout() {
        RegistryFailure::TimedOut
    } else {
        RegistryFailure::Unreachable(innermost(error))
    }
}

/// Returns the innermost cause: the message of the system or of TLS, without the URL that outer
/// errors repeat.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
