//! A proxy in front of an HTTP server that throttles requests, or loses requests or answers, as a
//! test requests it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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

/// A proxy in front of a server that speaks HTTP.
pub struct FaultProxy {
    port: u16,
    judge: Arc<Mutex<Arc<RequestRule>>>,
}

impl FaultProxy {
    /// Creates a proxy of the server at `server` of 127.0.0.1. It forwards everything at first.
    pub fn new(server: u16) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let through: Arc<RequestRule> = Arc::new(|_: &str, _: &str| RequestOutcome::Answered);
        let judge = Arc::new(Mutex::new(through));
        let judging = Arc::clone(&judge);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let judging = Arc::clone(&judging);
                std::thread::spawn(move || pass(client, server, &judging));
            }
        });
        FaultProxy { port, judge }
    }

    /// Returns the port of the proxy.
    pub fn port(&self) -> u16 {
        self.port
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
