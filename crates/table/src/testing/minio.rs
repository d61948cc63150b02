//! A real object store (MinIO) for tests of this layer, started once for the whole binary, and a
//! proxy in front of it that fails as requested.
//!
//! The store ends with the test process, however that ends: a guard kills the store when its pipe
//! closes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::Root;
use ebbtide_config::{ObjectStoreConfig, Secret};

const KEY: &str = "ebbtide-tests";

/// A running store.
struct Minio {
    port: u16,
    _guard: Child,
}

/// Returns the one store of this process, with a bucket `plain`.
fn shared() -> &'static Minio {
    static SHARED: OnceLock<Minio> = OnceLock::new();
    SHARED.get_or_init(start)
}

fn start() -> Minio {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fetched = Command::new(repo.join("tools/servers"))
        .arg("minio")
        .output()
        .unwrap();
    assert!(
        fetched.status.success(),
        "{}",
        String::from_utf8_lossy(&fetched.stderr)
    );
    let program = Path::new(String::from_utf8(fetched.stdout).unwrap().trim()).join("minio");
    let folder = tempfile::tempdir().unwrap().keep();
    for bucket in ["plain", "versioned", "suspended"] {
        std::fs::create_dir_all(folder.join("data").join(bucket)).unwrap();
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let log = || {
        std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .unwrap()
    };
    // The guard deletes the folder after the store ends: the test process runs no code at its end.
    let until_we_end =
        "\"$0\" \"$1/pid\" \"$2\" server --quiet --address 127.0.0.1:$3 \"$1/data\"; rm -rf \"$1\"";
    let guard = Command::new("sh")
        .args(["-c", until_we_end])
        .args([&repo.join("tests/servers/guard"), &folder, &program])
        .arg(port.to_string())
        .env("MINIO_ROOT_USER", KEY)
        .env("MINIO_ROOT_PASSWORD", KEY)
        .env("MINIO_BROWSER", "off")
        .env("MINIO_UPDATE", "off")
        .stdin(Stdio::piped())
        .stdout(log())
        .stderr(log())
        .spawn()
        .unwrap();
    let minio = Minio {
        port,
        _guard: guard,
    };
    for _ in 0..600 {
        if status(port, "/minio/health/live") == Some(200) {
            return minio;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!(
        "no answer of the store: {}",
        std::fs::read_to_string(folder.join("log")).unwrap_or_default()
    );
}

fn status(port: u16, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.split(' ').nth(1)?.parse().ok()
}

fn settings(port: u16) -> ObjectStoreConfig {
    ObjectStoreConfig {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some(Secret::new(KEY)),
        secret_access_key: Some(Secret::new(KEY)),
        allow_http: true,
        timeout: Duration::from_secs(5),
        retry_for: Duration::from_secs(5),
        ..ObjectStoreConfig::default()
    }
}

/// Returns a root in a bucket, under a prefix that no other test has.
pub fn root() -> Root {
    Root::open(&place("plain"), &settings(shared().port)).unwrap()
}

fn place(bucket: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("s3://{bucket}/it/{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the text from which another process can open a root of this one.
pub fn told(root: &Root) -> String {
    if root.local().is_some() {
        root.to_string()
    } else {
        format!("{}|{root}", shared().port)
    }
}

/// Opens the root described by the test that started this process.
pub fn open(told: &str) -> Root {
    match told.split_once('|') {
        Some((port, root)) => Root::open(root, &settings(port.parse().unwrap())).unwrap(),
        None => Root::parse(told).unwrap(),
    }
}

/// Returns the same root through a proxy.
pub fn behind(root: &Root, door: &FaultProxy) -> Root {
    Root::open(&root.to_string(), &settings(door.port)).unwrap()
}

/// Returns a root in a separate bucket that keeps versions.
pub fn versioned() -> Root {
    versioning("versioned", "Enabled");
    Root::open(&place("versioned"), &settings(shared().port)).unwrap()
}

/// Returns a root in a separate bucket that kept versions before, and has an old version of a
/// deleted object.
pub fn suspended() -> Root {
    let root = Root::open(&place("suspended"), &settings(shared().port)).unwrap();
    let object = format!("{}/old", root.to_string().replace("s3://", ""));
    versioning("suspended", "Enabled");
    asked("PUT", &object, "what is gone");
    asked("DELETE", &object, "");
    versioning("suspended", "Suspended");
    root
}

fn versioning(bucket: &str, status: &str) {
    let body =
        format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    asked("PUT", &format!("{bucket}?versioning="), &body);
}

/// Returns the number of unfinished uploads below a root in the plain bucket.
pub fn unfinished(root: &Root) -> usize {
    let prefix = root.to_string().replace("s3://plain/", "");
    // MinIO lists the uploads of one object, or of the whole bucket.
    asked("GET", "plain?uploads=", "")
        .matches(&format!("<Key>{prefix}/"))
        .count()
}

/// Returns the answer to a signed request that the store's client has no call for.
fn asked(method: &str, what: &str, body: &str) -> String {
    let url = format!("http://127.0.0.1:{}/{what}", shared().port);
    let hash: String = Sha256::digest(body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let asked = Command::new("curl")
        .args([
            "-sS",
            "--fail-with-body",
            "-X",
            method,
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
        ])
        .args([
            "--user",
            &format!("{KEY}:{KEY}"),
            "-H",
            &format!("x-amz-content-sha256: {hash}"),
        ])
        .args(["--data-binary", body, &url])
        .output()
        .unwrap();
    let text = String::from_utf8(asked.stdout).unwrap();
    assert!(
        asked.status.success(),
        "{method} {what}: {text}{}",
        String::from_utf8_lossy(&asked.stderr)
    );
    text
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// It is answered.
    Answered,
    /// It is refused with 503 SlowDown.
    Throttled,
    /// The store processes it, and the answer is lost.
    AnswerLost,
    /// It never reaches the store.
    Lost,
}

/// Decides the outcome of a request by its method and its path with the query.
pub type RequestRule = dyn Fn(&str, &str) -> RequestOutcome + Send + Sync;

/// A proxy in front of the store.
pub struct FaultProxy {
    port: u16,
    judge: Arc<Mutex<Arc<RequestRule>>>,
}

impl FaultProxy {
    /// Creates a proxy that forwards everything.
    pub fn ajar() -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let through: Arc<RequestRule> = Arc::new(|_: &str, _: &str| RequestOutcome::Answered);
        let judge = Arc::new(Mutex::new(through));
        let (judging, store) = (Arc::clone(&judge), shared().port);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let judging = Arc::clone(&judging);
                std::thread::spawn(move || pass(client, store, &judging));
            }
        });
        FaultProxy { port, judge }
    }

    /// Lets `judge` decide the outcome of all further requests.
    pub fn judge(&self, judge: impl Fn(&str, &str) -> RequestOutcome + Send + Sync + 'static) {
        *self.judge.lock().unwrap() = Arc::new(judge);
    }
}

/// Forwards the requests of one connection, each by a separate connection.
fn pass(mut client: TcpStream, store: u16, judging: &Mutex<Arc<RequestRule>>) -> Option<()> {
    while let Some(request) = message(&mut client) {
        let line = String::from_utf8_lossy(&request).lines().next()?.to_owned();
        let mut words = line.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let judge = judging.lock().unwrap().clone();
        match judge(method, path) {
            RequestOutcome::Lost => break,
            RequestOutcome::Throttled => {
                let body = "<Error><Code>SlowDown</Code></Error>";
                write!(
                    client,
                    "HTTP/1.1 503 Slow Down\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .ok()?;
            }
            fate => {
                let mut server = TcpStream::connect(("127.0.0.1", store)).ok()?;
                server.write_all(&request).ok()?;
                let answer = answer(&mut server, method)?;
                if fate == RequestOutcome::AnswerLost {
                    break;
                }
                client.write_all(&answer).ok()?;
            }
        }
    }
    client.shutdown(Shutdown::Both).ok()
}

/// Reads one message with its body, whose length is in its head.
fn message(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = head(from)?;
    let length = header(&bytes, "content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let start = bytes.len();
    bytes.resize(start + length, 0);
    from.read_exact(&mut bytes[start..]).ok()?;
    Some(bytes)
}

fn answer(from: &mut TcpStream, method: &str) -> Option<Vec<u8>> {
    if method == "HEAD" {
        return head(from);
    }
    let mut bytes = head(from)?;
    if header(&bytes, "transfer-encoding").is_some() {
        while !bytes.ends_with(b"0\r\n\r\n") {
            let mut byte = [0];
            from.read_exact(&mut byte).ok()?;
            bytes.push(byte[0]);
        }
        return Some(bytes);
    }
    let length = header(&bytes, "content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let start = bytes.len();
    bytes.resize(start + length, 0);
    from.read_exact(&mut bytes[start..]).ok()?;
    Some(bytes)
}

fn head(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        from.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    Some(bytes)
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head).into_owned();
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

/// Returns the same root for a key that may do everything but delete objects below `folder`.
pub fn without_deletes(root: &Root, folder: &str) -> Root {
    let below = root.to_string().replace("s3://", "");
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}},
            {{"Effect":"Deny","Action":["s3:DeleteObject","s3:AbortMultipartUpload"],"Resource":["arn:aws:s3:::{below}/{folder}"]}}]}}"#
    );
    let url = format!("http://127.0.0.1:{}/", shared().port);
    let policy: String = url::form_urlencoded::byte_serialize(policy.as_bytes()).collect();
    let body = format!("Action=AssumeRole&Version=2011-06-15&DurationSeconds=3600&Policy={policy}");
    let hash: String = Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let answer = Command::new("curl")
        .args([
            "-sS",
            "--fail-with-body",
            "-X",
            "POST",
            "--aws-sigv4",
            "aws:amz:us-east-1:sts",
        ])
        .args([
            "--user",
            &format!("{KEY}:{KEY}"),
            "-H",
            &format!("x-amz-content-sha256: {hash}"),
        ])
        .args([
            "-H",
            "Content-Type: application/x-www-form-urlencoded",
            "--data-binary",
            &body,
            &url,
        ])
        .output()
        .unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    let within = |tag: &str| {
        let (_, rest) = answer
            .split_once(&format!("<{tag}>"))
            .unwrap_or_else(|| panic!("{answer}"));
        Secret::new(rest.split_once('<').unwrap().0)
    };
    let mut settings = settings(shared().port);
    (settings.access_key_id, settings.secret_access_key) =
        (Some(within("AccessKeyId")), Some(within("SecretAccessKey")));
    settings
        .variables
        .insert("AWS_SESSION_TOKEN".to_owned(), within("SessionToken"));
    Root::open(&root.to_string(), &settings).unwrap()
}
