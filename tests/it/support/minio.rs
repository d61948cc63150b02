//! A real object store (MinIO), shared by the whole binary.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::bucket::Bucket;
use super::process::Process;
use super::python::part;
use super::{Scratch, free_port, http_get};
use crate::args;

/// The user and the password; MinIO accepts no shorter password.
const KEY: &str = "ebbtide-tests";

/// One store, with a bucket `plain`.
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
        let scratch = Scratch::of_the_process();
        let (port, data) = (free_port(), scratch.join("data"));
        std::fs::create_dir_all(data.join("plain")).unwrap();
        let environment = [("USER", KEY), ("PASSWORD", KEY)]
            .map(|(of, key)| (format!("MINIO_ROOT_{of}"), key.to_owned()));
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

    /// Returns a new place in the bucket.
    pub fn bucket(&self) -> Bucket {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        Bucket {
            place: format!("s3://plain/it/{}", NEXT.fetch_add(1, Ordering::Relaxed)),
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
