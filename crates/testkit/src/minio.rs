//! A real object store (MinIO), shared by the whole binary. It ends with the process that started
//! it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ebbtide_config::{ObjectStoreConfig, Secret};

use super::bucket::BucketSettings;
use super::process::Process;
use super::python::part;
use super::{Scratch, free_port, http_get};
use crate::args;

/// The user and the password; MinIO accepts no shorter password.
pub(super) const KEY: &str = "ebbtide-tests";

/// The buckets of a store.
const BUCKETS: [&str; 3] = ["plain", "versioned", "suspended"];

/// One store, with empty buckets.
pub struct Minio {
    port: u16,
    _process: Process,
    _scratch: Scratch,
}

/// Returns the store that all tests share.
pub fn shared() -> &'static Minio {
    static SHARED: OnceLock<Minio> = OnceLock::new();
    SHARED.get_or_init(Minio::start)
}

impl Minio {
    fn start() -> Self {
        Self::start_in(Scratch::of_the_process())
    }

    /// Starts a separate store with its data in a folder.
    pub fn start_in(scratch: Scratch) -> Self {
        let (port, data) = (free_port(), scratch.join("data"));
        for bucket in BUCKETS {
            std::fs::create_dir_all(data.join(bucket)).unwrap();
        }
        let environment = [
            ("ROOT_USER", KEY),
            ("ROOT_PASSWORD", KEY),
            ("BROWSER", "off"),
            ("UPDATE", "off"),
        ]
        .map(|(name, value)| (format!("MINIO_{name}"), value.to_owned()));
        let arguments = args![
            "server",
            "--quiet",
            "--address",
            format!("127.0.0.1:{port}"),
            data.display()
        ];
        let program = part("minio").join("minio");
        let mut process = Process::start(
            &program,
            arguments,
            &environment,
            &scratch.join("minio.log"),
        );
        let url = format!("http://127.0.0.1:{port}/minio/health/live");
        process.until_it_answers("the object store", Duration::from_secs(60), || {
            http_get(&url).filter(|answer| answer.0 == 200)
        });
        Self {
            port,
            _process: process,
            _scratch: scratch,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the settings to reach the store.
    pub fn settings(&self) -> ObjectStoreConfig {
        settings_at(self.port)
    }

    /// Returns a place in the bucket `plain` that no other test has.
    pub fn bucket(&self) -> BucketSettings {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        BucketSettings {
            place: place_in("plain"),
            section: format!(
                "store:\n  endpoint: {endpoint}\n  region: us-east-1\n  allow_http: true\n  access_key_id: {KEY}\n  \
                 secret_access_key: {KEY}\n"
            ),
            environment: Vec::new(),
            readers: vec![
                ("AWS_ENDPOINT_URL", endpoint),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("AWS_ALLOW_HTTP", "true".to_owned()),
                ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
                ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
            ],
            secret: KEY,
        }
    }
}

/// Returns the settings to reach a store at `port` of 127.0.0.1, or a proxy of it.
pub fn settings_at(port: u16) -> ObjectStoreConfig {
    ObjectStoreConfig {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some(Secret::new(KEY)),
        secret_access_key: Some(Secret::new(KEY)),
        allow_http: true,
        ..ObjectStoreConfig::default()
    }
}

/// Returns the URL of a place in a bucket that no other test has.
pub fn place_in(bucket: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("s3://{bucket}/it/{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
