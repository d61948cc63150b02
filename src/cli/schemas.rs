//! A policy file and the schemas that it names, read from disk.
//!
//! Promises that a schema's path is taken from the folder of the policy file, wherever the program was started.

use std::path::{Path, PathBuf};

use crate::policy::{Checked, SchemaSource, parse};

/// The schemas beside a policy file.
struct Beside {
    folder: PathBuf,
}

impl SchemaSource for Beside {
    fn load(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.folder.join(path)).map_err(|error| why(&error))
    }
}

/// Reads and checks the policy at `path`. Errors if the file itself cannot be read.
pub(super) fn read(path: &Path) -> Result<Checked, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the policy {} cannot be read: {}", path.display(), why(&error)))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(parse(&path.display().to_string(), &text, &Beside { folder }))
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
