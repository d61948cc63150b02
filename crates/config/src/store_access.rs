//! The access to an object store: the section `store`, and the variables in which clouds provide
//! their credentials.
//!
//! The client receives every such variable from here, so that nothing else reads the environment
//! for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;
use super::sections::{choice, within};
use super::units::duration;
use super::{ConfigInputs, Secret};
use ebbtide_base::problem::Problems;

/// The prefixes of the variables that describe the access to a cloud's store, by the clouds' own
/// names.
const CLOUDS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// The access to an object store. Not used if the root is a folder.
#[derive(Debug, Clone)]
pub struct ObjectStoreConfig {
    /// The base URL, if it is not the cloud's own.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The access key id, if neither a variable nor the machine provides it.
    pub access_key_id: Option<Secret>,
    /// The secret of the access key.
    pub secret_access_key: Option<Secret>,
    /// True if the bucket's name is part of the host name.
    pub virtual_hosted_style: bool,
    /// True if connections without TLS are allowed.
    pub allow_http: bool,
    /// A PEM file of the authorities to trust in addition to the system's.
    pub ca: Option<PathBuf>,
    /// The longest time that one request may take.
    pub timeout: Duration,
    /// The time for which a request that the store rejected is retried before the failure is
    /// reported.
    pub retry_for: Duration,
    /// The environment's variables of the three clouds. Any may be secret.
    pub variables: BTreeMap<String, Secret>,
}

impl Default for ObjectStoreConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            virtual_hosted_style: false,
            allow_http: false,
            ca: None,
            timeout: Duration::from_secs(30),
            retry_for: Duration::from_secs(60),
            variables: BTreeMap::new(),
        }
    }
}

impl ObjectStoreConfig {
    /// Returns the access that the environment alone describes, for callers without a
    /// configuration.
    #[must_use]
    pub fn of(around: &ConfigInputs) -> ObjectStoreConfig {
        let of_cloud = |name: &str| CLOUDS.iter().any(|cloud| name.starts_with(cloud));
        let variables = around.variables.iter().filter(|(name, _)| of_cloud(name));
        let variables = variables
            .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
            .collect();
        ObjectStoreConfig {
            variables,
            ..ObjectStoreConfig::default()
        }
    }
}

/// Reads the section.
pub(super) fn reach(
    section: &Section<'_>,
    around: &ConfigInputs,
    problems: &mut Problems,
) -> ObjectStoreConfig {
    let mut switch = |key: &str| {
        section.value(key, false, problems, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(choice(text, "true or false")),
        })
    };
    let (virtual_hosted_style, allow_http) = (switch("virtual_hosted_style"), switch("allow_http"));
    let usual = ObjectStoreConfig::of(around);
    let store = ObjectStoreConfig {
        endpoint: section.text("endpoint", problems).map(str::to_owned),
        region: section.text("region", problems).map(str::to_owned),
        access_key_id: section.secret("access_key_id", around, problems),
        secret_access_key: section.secret("secret_access_key", around, problems),
        virtual_hosted_style,
        allow_http,
        ca: section.file("ca", around, problems),
        timeout: section.value("timeout", usual.timeout, problems, |text| {
            within(
                duration(text)?,
                Duration::from_secs(1),
                Duration::from_secs(600),
                "1s and 10m",
            )
        }),
        retry_for: section.value("retry_for", usual.retry_for, problems, |text| {
            within(
                duration(text)?,
                Duration::from_secs(1),
                Duration::from_secs(240),
                "1s and 4m",
            )
        }),
        ..usual
    };
    if store.access_key_id.is_some() != store.secret_access_key.is_some() {
        let (there, missing) = if store.access_key_id.is_some() {
            ("access_key_id", "secret_access_key")
        } else {
            ("secret_access_key", "access_key_id")
        };
        section.error(
            there,
            format!("it is of no use without `{missing}`"),
            "write both, or neither",
            problems,
        );
    }
    let plain = store
        .endpoint
        .as_deref()
        .is_some_and(|endpoint| !endpoint.starts_with("https://"));
    if plain && !store.allow_http {
        let mend = "write https://HOST:PORT, or allow_http: true where what is sent may be seen";
        section.error(
            "endpoint",
            "the endpoint is not one of https",
            mend,
            problems,
        );
    }
    store
}
