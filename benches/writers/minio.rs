//! A real object store for the measurement, from the cache that `tools/servers` fills.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ebbtide_config::{ObjectStoreConfig, Secret};

/// The user and the password. Both are long enough for MinIO.
const KEY: &str = "ebbtide-bench";

/// A running store with a bucket `plain`. It is stopped when this value is dropped.
pub struct Minio {
    child: Child,
    port: u16,
}

impl Minio {
    /// Starts a store with its data under `folder` and waits until it listens.
    pub fn start(folder: &Path) -> Self {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/servers");
        let place = Command::new(tools)
            .arg("minio")
            .output()
            .expect("tools/servers");
        assert!(
            place.status.success(),
            "{}",
            String::from_utf8_lossy(&place.stderr)
        );
        let place = String::from_utf8(place.stdout).expect("a path");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        std::fs::create_dir_all(folder.join("plain")).expect("a bucket");
        let child = Command::new(Path::new(place.trim()).join("minio"))
            .args([
                "server",
                "--quiet",
                "--address",
                &format!("127.0.0.1:{port}"),
            ])
            .arg(folder)
            .envs([("MINIO_ROOT_USER", KEY), ("MINIO_ROOT_PASSWORD", KEY)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the object store");
        let minio = Self { child, port };
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the object store does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        // The store accepts connections shortly before it can answer.
        std::thread::sleep(Duration::from_secs(3));
        minio
    }

    /// Returns the settings to reach the store.
    pub fn settings(&self) -> ObjectStoreConfig {
        ObjectStoreConfig {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: Some("us-east-1".to_owned()),
            access_key_id: Some(Secret::new(KEY)),
            secret_access_key: Some(Secret::new(KEY)),
            allow_http: true,
            ..ObjectStoreConfig::default()
        }
    }
}

impl Drop for Minio {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
