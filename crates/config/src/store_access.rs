//! The access to an object store: the section `store`, and the variables in which clouds provide
//! their credentials.
//!
//! The client receives every such variable from here, so that nothing else reads the environment
//! for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::declare::settings;
use super::forms::Time;
use super::units::{MINUTE, SECOND};
use super::{ConfigInputs, Secret};

/// The prefixes of the variables that describe the access to a cloud's store, by the clouds' own
/// names.
const CLOUDS: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

settings! {
    /// The access to an object store. Not used if the root is a folder.
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
        #[serde(with = "super::forms::path")]
        pub ca: Option<PathBuf>,
        /// The longest time that one request may take.
        #[serde(with = "Time::<SECOND, { 10 * MINUTE }>")]
        pub timeout: Duration = Duration::from_secs(30),
        /// The time for which a request that the store rejected is retried before the failure is
        /// reported.
        #[serde(with = "Time::<SECOND, { 4 * MINUTE }>")]
        pub retry_for: Duration = Duration::from_mins(1),
        /// The environment's variables of the three clouds. Any may be secret.
        #[serde(skip)]
        pub variables: BTreeMap<String, Secret>,
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
