//! A folder of Avro schemas: every `*.avsc` below it by fingerprint, and `NAME.ID.avsc` and
//! `ID.avsc` also by that id.
//!
//! A schema that was read is kept even if its file is changed or removed: records written with it
//! may still arrive.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{LOOK_AGAIN_AFTER, SchemaRef, SetUpSchemasError};
use ebbtide_policy::schema::WriterSchema;

/// The maximum depth of folders that are read. Schemas are usually in one folder, and links may
/// form a cycle.
const DEEPEST: usize = 8;

/// The content of the folder when it was last read.
pub struct ProducerSchemaFolder {
    path: PathBuf,
    found: HashMap<SchemaRef, Arc<WriterSchema>>,
    looked: Duration,
}

/// The result of a look-up.
pub enum FolderLookup {
    /// The schema.
    Found(Arc<WriterSchema>),
    /// The folder does not have the schema.
    Not,
    /// The folder did not have the schema, so long ago that it should be read again.
    Stale,
}

impl ProducerSchemaFolder {
    /// Reads all of `path`. Errors on the first file that is not a schema, and on two schemas for
    /// one id.
    pub fn read(path: &Path, now: Duration) -> Result<Self, SetUpSchemasError> {
        let mut folder = Self {
            path: path.to_path_buf(),
            found: HashMap::new(),
            looked: now,
        };
        folder.look_again(now)?;
        Ok(folder)
    }

    /// Looks up the schema, as of the last read of the folder.
    pub fn get(&self, schema: SchemaRef, now: Duration) -> FolderLookup {
        match self.find(schema) {
            Some(found) => FolderLookup::Found(found),
            None if now.saturating_sub(self.looked) < LOOK_AGAIN_AFTER => FolderLookup::Not,
            None => FolderLookup::Stale,
        }
    }

    /// Returns the schema, if the folder had it when it was last read.
    pub fn find(&self, schema: SchemaRef) -> Option<Arc<WriterSchema>> {
        self.found.get(&schema).cloned()
    }

    /// Adds the new files of the folder. On an error it keeps the schemas that it had, reads the
    /// other files, and returns the first error.
    pub fn look_again(&mut self, now: Duration) -> Result<(), SetUpSchemasError> {
        self.looked = now;
        let mut files = Vec::new();
        schema_files(&self.path, DEEPEST, &mut files)?;
        files.sort();
        let added = files.into_iter().map(|file| self.add(file));
        added.fold(Ok(()), Result::and)
    }

    fn add(&mut self, file: PathBuf) -> Result<(), SetUpSchemasError> {
        let text = std::fs::read_to_string(&file).map_err(unreadable(&file))?;
        let schema = match WriterSchema::parse(&text) {
            Ok(schema) => Arc::new(schema),
            Err(source) => return Err(SetUpSchemasError::NotAvro { file, source }),
        };
        if let Some(id) = id_of(&file) {
            let before = self
                .found
                .entry(SchemaRef::Id(id))
                .or_insert_with(|| schema.clone());
            if before.fingerprint() != schema.fingerprint() {
                return Err(SetUpSchemasError::TwoForOneId { file, id });
            }
        }
        self.found
            .entry(SchemaRef::Fingerprint(schema.fingerprint()))
            .or_insert(schema);
        Ok(())
    }
}

fn schema_files(
    folder: &Path,
    deeper: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), SetUpSchemasError> {
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.is_dir() && deeper > 0 {
            schema_files(&path, deeper - 1, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "avsc")
        {
            found.push(path);
        }
    }
    Ok(())
}

/// Returns the id in `NAME.ID.avsc` or `ID.avsc`.
fn id_of(file: &Path) -> Option<u32> {
    let stem = file.file_stem()?.to_str()?;
    let last = stem.rsplit('.').next()?;
    if last.bytes().all(|b| b.is_ascii_digit()) {
        last.parse().ok()
    } else {
        None
    }
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> SetUpSchemasError {
    let path = path.to_path_buf();
    move |source| SetUpSchemasError::Unreadable {
        path: path.clone(),
        source,
    }
}
