//! The client of an object store, created from the configuration.
//!
//! Requests are bounded in time and in the number of retries. All of them run on one runtime, so
//! that no connection is tied to a thread that ended. This module never reads the environment: the
//! configuration contains its variables.

use std::sync::{Arc, OnceLock};

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpConnector, SpawnedReqwestConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{Certificate, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::{Handle, Runtime};
use url::Url;

use super::CloudStore;
use super::unfinished::UnfinishedUploads;

/// The schemes of URLs of object stores.
pub const SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];

/// Threads that wait for stores: they copy bytes and do little else.
const THREADS: usize = 2;

/// The client of a store.
pub struct ConnectedStore {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Finds unfinished uploads, in a store that can list them.
    pub uploads: Option<UnfinishedUploads>,
}

/// Creates the client of the store that `url` is in. Errors with the reason if that is not
/// possible. Sends no request.
pub fn connect(
    url: &Url,
    settings: &ebbtide_config::ObjectStoreConfig,
) -> Result<ConnectedStore, String> {
    let to_reason = |error: object_store::Error| error.to_string();
    let plain = |inner: Arc<dyn ObjectStore>| ConnectedStore {
        store: Arc::new(CloudStore { inner }),
        uploads: None,
    };
    match url.scheme() {
        "gs" => Ok(plain(Arc::new(
            google(url, settings)?.build().map_err(to_reason)?,
        ))),
        "az" | "azure" | "abfs" | "abfss" => Ok(plain(Arc::new(
            azure(url, settings)?.build().map_err(to_reason)?,
        ))),
        _ => {
            let builder = amazon(url, settings)?;
            // The client's default.
            let region = builder
                .get_config_value(&AmazonS3ConfigKey::Region)
                .unwrap_or_else(|| "us-east-1".to_owned());
            let http =
                builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
            let http = http.is_some_and(|allowed| allowed == "true");
            let store = Arc::new(builder.build().map_err(to_reason)?);
            let options = options(settings)?.with_allow_http(http);
            let client = connector()?.connect(&options).map_err(to_reason)?;
            let uploads = UnfinishedUploads {
                store: Arc::clone(&store),
                region,
                client,
            };
            Ok(ConnectedStore {
                uploads: Some(uploads),
                ..plain(store)
            })
        }
    }
}

fn amazon(
    url: &Url,
    settings: &ebbtide_config::ObjectStoreConfig,
) -> Result<AmazonS3Builder, String> {
    let mut builder = AmazonS3Builder::new().with_client_options(options(settings)?);
    for (name, value) in variables(settings, "AWS_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(key)) = (&settings.access_key_id, &settings.secret_access_key) {
        builder = builder
            .with_access_key_id(id.expose())
            .with_secret_access_key(key.expose());
    }
    if settings.virtual_hosted_style {
        builder = builder.with_virtual_hosted_style_request(true);
    }
    if settings.allow_http {
        builder = builder.with_allow_http(true);
    }
    Ok(builder
        .with_url(url.as_str())
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_retry(retry(settings))
        .with_http_connector(connector()?))
}

fn google(
    url: &Url,
    settings: &ebbtide_config::ObjectStoreConfig,
) -> Result<GoogleCloudStorageBuilder, String> {
    let options = options(settings)?.with_allow_http(settings.allow_http);
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(options);
    for (name, value) in variables(settings, "GOOGLE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    Ok(builder
        .with_url(url.as_str())
        .with_retry(retry(settings))
        .with_http_connector(connector()?))
}

fn azure(
    url: &Url,
    settings: &ebbtide_config::ObjectStoreConfig,
) -> Result<MicrosoftAzureBuilder, String> {
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(options(settings)?);
    for (name, value) in variables(settings, "AZURE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if settings.allow_http {
        builder = builder.with_allow_http(true);
    }
    Ok(builder
        .with_url(url.as_str())
        .with_retry(retry(settings))
        .with_http_connector(connector()?))
}

/// Returns the variables of one cloud, by the client's names for them.
fn variables<'a>(
    settings: &'a ebbtide_config::ObjectStoreConfig,
    cloud: &'a str,
) -> impl Iterator<Item = (String, &'a str)> {
    let of_cloud = settings
        .variables
        .iter()
        .filter(move |(name, _)| name.starts_with(cloud));
    of_cloud.map(|(name, value)| (name.to_ascii_lowercase(), value.expose()))
}

fn options(settings: &ebbtide_config::ObjectStoreConfig) -> Result<ClientOptions, String> {
    let mut options = ClientOptions::new().with_timeout(settings.timeout);
    if let Some(file) = &settings.ca {
        let unusable =
            |why: String| format!("the authorities in {} are of no use: {why}", file.display());
        let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
        for authority in
            Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?
        {
            options = options.with_root_certificate(authority);
        }
    }
    Ok(options)
}

fn retry(settings: &ebbtide_config::ObjectStoreConfig) -> RetryConfig {
    RetryConfig {
        retry_timeout: settings.retry_for,
        ..RetryConfig::default()
    }
}

fn connector() -> Result<SpawnedReqwestConnector, String> {
    Ok(SpawnedReqwestConnector::new(runtime()?.clone()))
}

/// Returns the one runtime of all requests. It lives as long as the process.
pub fn runtime() -> Result<&'static Handle, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let made = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let made = builder
            .worker_threads(THREADS)
            .thread_name("object-store")
            .enable_all()
            .build();
        made.map_err(|error| format!("no threads for it: {error}"))
    });
    made.as_ref().map(Runtime::handle).map_err(Clone::clone)
}
