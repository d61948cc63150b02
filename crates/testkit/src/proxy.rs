//! A proxy in front of a server: open, it passes bytes both ways; shut, it refuses and cuts every
//! connection.
//!
//! It simulates a server that is down, without harm to the other tests that use the server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The proxy.
pub struct Proxy {
    port: u16,
    open: Arc<AtomicBool>,
    passing: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Starts an open proxy to `target`, a port of 127.0.0.1.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = Arc::new(AtomicBool::new(true));
        let passing = Arc::new(Mutex::new(Vec::new()));
        let (door, kept) = (Arc::clone(&open), Arc::clone(&passing));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !door.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let pairs = [
                    (client.try_clone(), server.try_clone()),
                    (server.try_clone(), client.try_clone()),
                ];
                kept.lock().unwrap().extend([client, server]);
                for (from, to) in pairs {
                    if let (Ok(from), Ok(to)) = (from, to) {
                        std::thread::spawn(move || pump(from, to));
                    }
                }
            }
        });
        Self {
            port,
            open,
            passing,
        }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn shut(&self) {
        self.open.store(false, Ordering::SeqCst);
        for stream in self.passing.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..read])?;
    }
}
