//! Emulators of the object stores of Azure and Google, in the stead of stores that no test can reach: Azurite, which is
//! Microsoft's own, and `fake-gcs-server`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::bucket::Bucket;
use super::process::Process;
use super::python::{part, run};
use super::{Scratch, eventually, free_port};
use crate::args;

/// The account that Azurite has, and its key: both are in its documentation.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoMGMw==";

/// A store that answers, with one container or bucket `plain`.
pub struct Emulator {
    bucket: Bucket,
    _process: Process,
    _scratch: Scratch,
}

impl Emulator {
    /// A place in it; the same each time.
    pub fn bucket(&self) -> Bucket {
        self.bucket.clone()
    }

    /// Starts Azure's.
    pub fn azure() -> Self {
        let (scratch, port) = (Scratch::of_the_process(), free_port());
        let program = part("azurite").join("node_modules/.bin/azurite-blob");
        let arguments = args![
            "--silent",
            "--skipApiVersionCheck",
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            port,
            "--location",
            scratch.join("data").display()
        ];
        let process = started(Process::start(&program, arguments, &[], &scratch.join("azurite.log")), port);
        let endpoint = format!("http://127.0.0.1:{port}/{ACCOUNT}");
        run("container.py", args![endpoint, ACCOUNT, KEY, "plain"]);
        let account = [("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT), ("AZURE_STORAGE_ACCOUNT_KEY", KEY)];
        let account = account.map(|(name, value)| (name, value.to_owned()));
        let readers = [("AZURE_STORAGE_ENDPOINT", endpoint.clone()), ("AZURE_ALLOW_HTTP", "true".to_owned())];
        let bucket = Bucket {
            place: "az://plain/it".to_owned(),
            section: section(&endpoint),
            environment: account.to_vec(),
            readers: account.into_iter().chain(readers).collect(),
            secret: KEY,
        };
        Self { bucket, _process: process, _scratch: scratch }
    }

    /// Starts that of Google's.
    pub fn google() -> Self {
        let (scratch, port) = (Scratch::of_the_process(), free_port());
        let program = part("gcs").join("fake-gcs-server");
        let endpoint = format!("http://127.0.0.1:{port}");
        let arguments = args![
            "-backend",
            "memory",
            "-scheme",
            "http",
            "-host",
            "127.0.0.1",
            "-port",
            port,
            "-public-host",
            format!("127.0.0.1:{port}")
        ];
        let process = started(Process::start(&program, arguments, &[], &scratch.join("gcs.log")), port);
        post(port, "/storage/v1/b?project=tests", r#"{"name":"plain"}"#);
        let key = format!(
            r#"{{"gcs_base_url":"{endpoint}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#
        );
        let bucket = Bucket {
            place: "gs://plain/it".to_owned(),
            section: section(&endpoint),
            environment: vec![("GOOGLE_SKIP_SIGNATURE", "true".to_owned())],
            readers: vec![("GOOGLE_SERVICE_ACCOUNT_KEY", key)],
            secret: "no secret is asked for",
        };
        Self { bucket, _process: process, _scratch: scratch }
    }
}

fn section(endpoint: &str) -> String {
    format!("store:\n  endpoint: {endpoint}\n  allow_http: true\n")
}

/// The process, once somebody listens at the port.
fn started(mut process: Process, port: u16) -> Process {
    eventually("the emulator listens", Duration::from_secs(60), || {
        assert!(process.ended().is_none(), "the emulator ended:\n{}", process.tail());
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    process
}

fn post(port: u16, path: &str, json: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{json}", json.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
