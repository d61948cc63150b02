//! Common helpers of the tests: real servers, the program under test, the independent producer and
//! readers.
//!
//! Nothing started here outlives the test process. Files of a failed test stay for inspection.

pub mod azurite;
pub mod bucket;
pub mod ebbtide;
pub mod kafka;
pub mod minio;
pub mod process;
pub mod producer;
pub mod proxy;
pub mod python;
pub mod readers;
pub mod registry;
pub mod registry_front;
pub mod scene;
pub mod shifted;
pub mod swept;
pub mod volume;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// A folder of one test. It is deleted with the test, unless the test fails: then it stays and its
/// path is printed.
pub struct Scratch {
    path: PathBuf,
    /// Deletes the folder on drop; `None` if another process deletes it.
    own: Option<tempfile::TempDir>,
}

impl Scratch {
    pub fn new() -> Self {
        let own = tempfile::Builder::new()
            .prefix("ebbtide-")
            .tempdir()
            .unwrap();
        Self {
            path: own.path().to_owned(),
            own: Some(own),
        }
    }

    /// Creates a folder that all tests share. It is deleted after this process has ended, in any
    /// way: nothing drops it.
    pub fn of_the_process() -> Self {
        let path = tempfile::Builder::new()
            .prefix("ebbtide-shared-")
            .tempdir()
            .unwrap()
            .keep();
        // Its input closes when this process ends; then the guards kill the servers in the folder.
        let remover = Command::new("sh")
            .args(["-c", "cat; sleep 2; rm -rf \"$0\""])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        std::mem::forget(remover.unwrap());
        Self { path, own: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(kept) = self.own.take()
        {
            println!("what the test wrote stays in {}", kept.keep().display());
        }
    }
}

/// Returns a port of 127.0.0.1 that nothing listens on, below the range that the system assigns
/// ports from.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that start one after the other begin 601 ports apart.
    let start = 20_000 + u16::try_from(std::process::id().wrapping_mul(601) % 11_000).unwrap();
    for _ in 0..1000 {
        let port = 20_000 + (start - 20_000 + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}

/// Waits until `done` returns a value, and calls it five times a second.
pub fn eventually<T>(what: &str, patience: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = done() {
            return answer;
        }
        assert!(
            start.elapsed() < patience,
            "{what}: not within {patience:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Writes a list of values in double quotes, one per line, so that each is searched exactly as
/// written. Returns the file.
pub fn quoted(values: &std::path::Path) -> std::path::PathBuf {
    let list = std::fs::read_to_string(values).unwrap();
    let quoted = values.with_extension("quoted.txt");
    let lines = list
        .lines()
        .map(|value| format!("\"{}\"\n", value.replace('"', "\"\"")));
    std::fs::write(&quoted, lines.collect::<String>()).unwrap();
    quoted
}

/// Returns true if something listens on `port` of 127.0.0.1.
pub fn listens(port: u16) -> bool {
    std::net::TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(1))
        .is_ok()
}

pub fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Sends one GET request to an `http://` URL. Returns the status and the body; `None` if nothing
/// answers.
pub fn http_get(url: &str) -> Option<(u16, String)> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = std::net::TcpStream::connect(host).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
