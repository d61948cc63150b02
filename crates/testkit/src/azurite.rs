//! Azurite, Microsoft's emulator of Azure's object store, in place of a real one, which no test can
//! reach.

use std::time::Duration;

use super::bucket::BucketSettings;
use super::process::Process;
use super::python::{part, run};
use super::{Scratch, free_port, listens};
use crate::args;

/// The account of Azurite and its key, from its documentation.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A store that answers, with one container `plain`.
pub struct Azurite {
    endpoint: String,
    _process: Process,
    _scratch: Scratch,
}

impl Azurite {
    /// Starts the store.
    pub fn start() -> Self {
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
        let mut process = Process::start(&program, arguments, &[], &scratch.join("azurite.log"));
        process.until_it_answers("the emulator", Duration::from_secs(60), || {
            listens(port).then_some(())
        });
        let endpoint = format!("http://127.0.0.1:{port}/{ACCOUNT}");
        run("container.py", args![endpoint, ACCOUNT, KEY, "plain"]);
        Self {
            endpoint,
            _process: process,
            _scratch: scratch,
        }
    }

    /// Returns its one place.
    pub fn bucket(&self) -> BucketSettings {
        let account = [
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
        ];
        let account = account.map(|(name, value)| (name, value.to_owned()));
        let readers = [
            ("AZURE_STORAGE_ENDPOINT", self.endpoint.clone()),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ];
        BucketSettings {
            place: "az://plain/it".to_owned(),
            section: format!(
                "store:\n  endpoint: {}\n  allow_http: true\n",
                self.endpoint
            ),
            environment: account.to_vec(),
            readers: account.into_iter().chain(readers).collect(),
            secret: KEY,
        }
    }
}
