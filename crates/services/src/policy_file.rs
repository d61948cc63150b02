//! A policy file and the schemas that it names, read from disk.
//!
//! A schema's path is relative to the folder of the policy file, not to the folder in which the
//! program was started.

use std::path::{Path, PathBuf};

use ebbtide_policy::{CheckedPolicy, SchemaSource, parse};

/// A policy file that cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy {} cannot be read: {why}", path.display())]
pub struct ReadPolicyError {
    /// The file.
    pub path: PathBuf,
    /// The reason, in words for people.
    pub why: String,
}

/// The schemas next to a policy file.
struct SchemaFolder {
    folder: PathBuf,
}

impl SchemaSource for SchemaFolder {
    fn load(&self, path: &str) -> Result<String, String> {
        std::fs::read_to_string(self.folder.join(path)).map_err(|error| why(&error))
    }
}

/// Reads and checks the policy at `path`. Errors if the file itself cannot be read. The problems of
/// its content are in the result.
pub fn read_policy(path: &Path) -> Result<CheckedPolicy, ReadPolicyError> {
    let text = std::fs::read_to_string(path).map_err(|error| ReadPolicyError {
        path: path.to_owned(),
        why: why(&error),
    })?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok(parse(
        &path.display().to_string(),
        &text,
        &SchemaFolder { folder },
    ))
}

fn why(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
