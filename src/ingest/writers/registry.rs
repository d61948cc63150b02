//! The HTTP side of a Confluent-compatible schema registry: one request, one answer, judged.
//!
//! Promises that only the registry's own word (`error_code` 40403) makes an id unknown: a proxy's 404, an error, a strange
//! body or a refused login are silence, to be waited out. No redirect is followed and no credential is ever formatted.

use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::WritersError;
use crate::config::{Auth, Registry};
use crate::schema::WriterSchema;

/// The largest answer that is read.
const MOST_BYTES: usize = 8 << 20;
/// The registry's code for an id that it does not know.
const NO_SUCH_SCHEMA: u32 = 40403;

/// Why the registry gave no answer that can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
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
    /// A body that is no answer of a registry.
    #[error("its answer is malformed ({0})")]
    Malformed(&'static str),
    /// Other requests took all the time.
    #[error("it is too slow for all that is asked of it")]
    Busy,
}

/// The registry's word on one id.
#[derive(Debug)]
pub enum Answer {
    /// The schema.
    Schema(WriterSchema),
    /// There is one, but it cannot be used; why, in words.
    Unusable(&'static str),
    /// It knows none.
    Unknown,
}

/// The HTTP client of one registry. Holds its credentials, so it has no `Debug`.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    auth: Auth,
}

#[derive(Deserialize)]
struct Found {
    schema: String,
    #[serde(default, rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct Failed {
    error_code: u32,
}

impl Client {
    /// Builds the client; asks nothing yet. Errors on the authorities' file and on credentials that no header can hold.
    pub fn new(config: &Registry) -> Result<Self, WritersError> {
        let mut headers = HeaderMap::new();
        let accept = "application/vnd.schemaregistry.v1+json, application/json";
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Auth::Bearer(token) = &config.auth {
            HeaderValue::try_from(token.expose()).map_err(|_| WritersError::Credential)?;
        }
        let mut http = reqwest::Client::builder()
            .tls_backend_native()
            .user_agent(concat!("ebbtide/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(Policy::none())
            .timeout(config.timeout);
        if let Some(file) = &config.ca {
            let wrong = |why: String| WritersError::Authorities { file: file.clone(), why };
            let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
            let all = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(innermost(&error)))?;
            if all.is_empty() {
                return Err(wrong("it holds no PEM certificate".to_owned()));
            }
            for one in all {
                http = http.add_root_certificate(one);
            }
        }
        let http = http.build().map_err(|error| WritersError::Client(innermost(&error)))?;
        Ok(Self { http, base: config.url.clone(), auth: config.auth.clone() })
    }

    /// Asks for `id` and waits at most `within`. The second part of an error is the wait that the registry asks for.
    pub async fn fetch(&self, id: u32, within: Duration) -> Result<Answer, (Silence, Option<Duration>)> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["schemas", "ids", id.to_string().as_str()]);
        }
        let request = self.http.get(url).timeout(within);
        let request = match &self.auth {
            Auth::None => request,
            Auth::Basic { user, password } => request.basic_auth(user, Some(password.expose())),
            Auth::Bearer(token) => request.bearer_auth(token.expose()),
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err((silence(&error), None)),
        };
        let status = response.status();
        let wanted = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let judged = match status {
            StatusCode::OK => found(&body(response).await.map_err(|why| (why, None))?),
            StatusCode::NOT_FOUND => not_found(&body(response).await.map_err(|why| (why, None))?),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Silence::Refused(status.as_u16())),
            _ => Err(Silence::Status(status.as_u16())),
        };
        judged.map_err(|why| (why, wanted.map(Duration::from_secs)))
    }
}

/// The body, as far as it is of a size that a schema may have.
async fn body(mut response: Response) -> Result<Vec<u8>, Silence> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| silence(&error))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(Silence::Malformed("it is too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn found(body: &[u8]) -> Result<Answer, Silence> {
    let found: Found = serde_json::from_slice(body).map_err(|_| Silence::Malformed("it holds no schema"))?;
    if found.kind.is_some_and(|kind| kind != "AVRO") {
        return Ok(Answer::Unusable("it is no Avro schema"));
    }
    if found.references.is_some_and(|references| !references.is_empty()) {
        return Ok(Answer::Unusable("it leans on other schemas; put it in the folder, whole, under its id"));
    }
    Ok(match WriterSchema::parse(&found.schema) {
        Ok(schema) => Answer::Schema(schema),
        Err(_) => Answer::Unusable("it does not parse as Avro"),
    })
}

fn not_found(body: &[u8]) -> Result<Answer, Silence> {
    match serde_json::from_slice(body) {
        Ok(Failed { error_code: NO_SUCH_SCHEMA }) => Ok(Answer::Unknown),
        _ => Err(Silence::WrongPlace),
    }
}

fn silence(error: &reqwest::Error) -> Silence {
    if error.is_timeout() { Silence::TimedOut } else { Silence::Unreachable(innermost(error)) }
}

/// The innermost cause: what the system or TLS says, without the URL that outer ones repeat.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
