//! A real schema registry with Confluent's API (Apicurio), shared by the whole binary. It keeps its
//! schemas in memory.

use std::sync::OnceLock;
use std::time::Duration;

use super::process::Process;
use super::python::{java, part};
use super::{Scratch, free_port, http_get};
use crate::args;

/// One registry.
pub struct Registry {
    port: u16,
    _process: Process,
    _scratch: Scratch,
}

/// Returns the registry that all tests share.
pub fn shared() -> &'static Registry {
    static SHARED: OnceLock<Registry> = OnceLock::new();
    SHARED.get_or_init(Registry::start)
}

impl Registry {
    fn start() -> Self {
        let scratch = Scratch::of_the_process();
        let port = free_port();
        let jar = part("registry").join("quarkus-run.jar");
        let arguments = args![
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dquarkus.http.host=127.0.0.1",
            format!("-Dquarkus.http.port={port}"),
            // Its second port would be 9000 on every address.
            "-Dquarkus.management.host=127.0.0.1",
            format!("-Dquarkus.management.port={}", free_port()),
            "-jar",
            jar.display()
        ];
        let mut process =
            Process::start(&java("21"), arguments, &[], &scratch.join("registry.log"));
        let url = format!("http://127.0.0.1:{port}/apis/ccompat/v7/subjects");
        process.until_it_answers("the registry", Duration::from_secs(180), || {
            http_get(&url).filter(|answer| answer.0 == 200)
        });
        Self {
            port,
            _process: process,
            _scratch: scratch,
        }
    }

    /// Returns its base URL, for producers: `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}
