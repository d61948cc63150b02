//! A registry in front of the real one: it has some schemas of its own, and receives others late.
//!
//! It simulates registries that accept what the real one refuses, and servers of one registry that
//! show different states.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The front's own answers.
#[derive(Default)]
pub struct Answers {
    /// Schemas of its own, by id.
    pub own: HashMap<u32, String>,
    /// Ids that are unknown until that time after their first request.
    pub late: HashMap<u32, Duration>,
    /// Ids for which the registry fails, with status 500.
    pub failing: HashSet<u32>,
    /// The time that each answer about an id takes.
    pub delay: Duration,
}

/// A registry in front of another one.
pub struct RegistryFront {
    port: u16,
    answers: Arc<Mutex<Answers>>,
}

#[derive(Default)]
struct Asked(Mutex<HashMap<u32, Instant>>);

impl RegistryFront {
    /// Starts a front of the registry at `port` of 127.0.0.1.
    pub fn of(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let answers = Arc::new(Mutex::new(Answers::default()));
        let (kept, asked) = (Arc::clone(&answers), Arc::new(Asked::default()));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (answers, asked) = (Arc::clone(&kept), Arc::clone(&asked));
                // A client that disconnects in the middle does not concern the test.
                std::thread::spawn(move || drop(serve(client, port, &answers, &asked)));
            }
        });
        Self {
            port: own_port,
            answers,
        }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Sets the front's own answers.
    pub fn set(&self, answers: Answers) {
        *self.answers.lock().unwrap() = answers;
    }
}

fn serve(
    mut client: TcpStream,
    port: u16,
    answers: &Mutex<Answers>,
    asked: &Asked,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    if head.contains("/schemas/ids/") {
        let delay = answers.lock().unwrap().delay;
        std::thread::sleep(delay);
    }
    if let Some((status, body)) = own_answer(&head, &answers.lock().unwrap(), asked) {
        return write!(
            client,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    // One request per connection, so that each is inspected.
    let closing = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(closing.as_bytes())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)
}

fn own_answer(head: &str, answers: &Answers, asked: &Asked) -> Option<(u16, String)> {
    let path = head.split(' ').nth(1)?;
    let id: u32 = path
        .split_once("/schemas/ids/")?
        .1
        .split('?')
        .next()?
        .parse()
        .ok()?;
    if answers.failing.contains(&id) {
        return Some((500, "{}".to_owned()));
    }
    let first = *asked
        .0
        .lock()
        .unwrap()
        .entry(id)
        .or_insert_with(Instant::now);
    if answers
        .late
        .get(&id)
        .is_some_and(|late| first.elapsed() < *late)
    {
        return Some((
            404,
            r#"{"error_code":40403,"message":"not found"}"#.to_owned(),
        ));
    }
    let schema = answers.own.get(&id)?;
    Some((200, serde_json::json!({ "schema": schema }).to_string()))
}
