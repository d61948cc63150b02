//! Folders of tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

    /// Uses a folder that the caller deletes.
    pub fn in_folder(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            own: None,
        }
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
