//! What a search found and where, and what it could not search.
//!
//! Promises that no value is in it: a value is its line, and every name that is shown has been veiled.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::values::{Line, SearchedFor, Values};

/// Kinds of places where a value may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The name of a file, a folder or what a link names.
    Name,
    /// The bytes of a file as they are.
    Bytes,
    /// Text of a file once its JSON or percent escapes are undone.
    Escaped,
    /// What a packed file (gzip, zstd) holds.
    Unpacked,
    /// A dictionary page.
    Dictionary,
    /// A data page.
    Page,
    /// A value of a column, decoded.
    Value,
    /// The bounds in a page's header.
    PageBounds,
    /// The bounds of a column in the footer.
    Bounds,
    /// The bounds of a column's pages in the column index.
    ColumnIndex,
    /// A bloom filter that knows more of the values than chance explains and its column holds.
    Bloom,
    /// The footer's key-value metadata.
    KeyValue,
    /// The rest of the footer.
    Footer,
    /// The bytes of a column that no page of it holds.
    Chunk,
    /// Bytes of a Parquet file that its footer does not name.
    Unnamed,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::Name => "name",
            Place::Bytes => "bytes",
            Place::Escaped => "escaped text",
            Place::Unpacked => "packed content",
            Place::Dictionary => "dictionary page",
            Place::Page => "data page",
            Place::Value => "decoded value",
            Place::PageBounds => "bounds in a page header",
            Place::Bounds => "statistics",
            Place::ColumnIndex => "column index",
            Place::Bloom => "bloom filter",
            Place::KeyValue => "key-value metadata",
            Place::Footer => "footer",
            Place::Chunk => "column chunk",
            Place::Unnamed => "bytes that the footer does not name",
        })
    }
}

/// A place within a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// Its kind.
    pub place: Place,
    /// The column, in a Parquet file.
    pub column: Option<Arc<str>>,
    /// The row group.
    pub row_group: Option<usize>,
}

impl From<Place> for Spot {
    fn from(place: Place) -> Self {
        Spot { place, column: None, row_group: None }
    }
}

/// How often a value stands in a spot, and where it does first, where that is a place among the file's bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// How often.
    pub times: u64,
    /// The first byte of the first.
    pub at: Option<u64>,
}

/// What is found in one file, as the search of it goes on.
#[derive(Debug, Default)]
pub struct FileFound {
    /// Where which value stands.
    pub seen: BTreeMap<(Line, Spot), Seen>,
    /// What could not be searched, and why.
    pub unsearched: Vec<String>,
    /// What its bloom filters said.
    pub blooms: Blooms,
    /// Its bytes.
    pub bytes: u64,
}

impl FileFound {
    /// A value stands in a spot.
    pub fn hit(&mut self, line: Line, spot: Spot, at: Option<u64>) {
        let seen = self.seen.entry((line, spot)).or_default();
        seen.times += 1;
        seen.at = seen.at.or(at);
    }

    /// Something could not be searched.
    pub fn missed(&mut self, why: impl Into<String>) {
        self.unsearched.push(why.into());
    }

    /// Leaves out what says the same less well: the raw bytes of what was decoded too.
    pub fn settle(&mut self) {
        let told = |place: Place| match place {
            Place::Chunk => [Place::Dictionary, Place::Page, Place::PageBounds, Place::Value].as_slice(),
            Place::Footer => [Place::Bounds, Place::KeyValue].as_slice(),
            Place::Page => [Place::Value].as_slice(),
            _ => [].as_slice(),
        };
        let better = |spot: &Spot, at: &Spot| {
            let same = spot.column.is_none() || (&at.column, at.row_group) == (&spot.column, spot.row_group);
            same && told(spot.place).contains(&at.place)
        };
        let keys: Vec<&(Line, Spot)> = self.seen.keys().collect();
        let needless = keys.chunk_by(|a, b| a.0 == b.0).flat_map(|of_one| {
            let needless = |key: &&&(Line, Spot)| of_one.iter().any(|(_, at)| better(&key.1, at));
            of_one.iter().filter(needless).map(|key| (*key).clone())
        });
        let needless: BTreeSet<(Line, Spot)> = needless.collect();
        self.seen.retain(|key, _| !needless.contains(key));
    }
}

/// What bloom filters said of the values that their own columns do not hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Blooms {
    /// Filters that were asked.
    pub filters: u64,
    /// Times that one said "maybe" of a value that its column does not hold.
    pub maybe: u64,
    /// As many are expected by chance, by how full the filters are.
    pub expected: f64,
}

impl Blooms {
    /// Adds another file's.
    pub fn add(&mut self, other: &Blooms) {
        self.filters += other.filters;
        self.maybe += other.maybe;
        self.expected += other.expected;
    }

    /// Whether chance cannot explain how often they said so.
    #[must_use]
    pub fn beyond_chance(&self) -> bool {
        super::columns::blooms::beyond_chance(self.maybe, self.expected)
    }
}

/// A value that stands somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The value's line.
    pub line: Line,
    /// The kind of the place.
    pub place: Place,
    /// The column, in a Parquet file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The row group, in a Parquet file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_group: Option<usize>,
    /// The file's path from the root, veiled.
    pub file: String,
    /// The first byte of the first, where that is a place among the file's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// How often it stands there.
    pub times: u64,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(column) = &self.column {
            write!(f, " of {column}")?;
        }
        if let Some(group) = self.row_group {
            write!(f, ", row group {group}")?;
        }
        write!(f, ": {}", self.file)?;
        if let Some(at) = self.at {
            write!(f, ", byte {at}")?;
        }
        if self.times > 1 {
            write!(f, ", {} times", self.times)?;
        }
        Ok(())
    }
}

/// Something that could not be searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsearched {
    /// Its path from the root, veiled.
    pub file: String,
    /// Why, and what of it.
    pub why: String,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was searched and none of the values found.
    Clean,
    /// Values were found, whether or not everything could be searched.
    Found,
    /// None was found, and something could not be searched.
    Incomplete,
}

/// The result of a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Residue {
    /// Values that were searched for.
    pub values: u64,
    /// The number of forms that were searched for.
    pub searched_for: SearchedFor,
    /// Files that were searched.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where values stand, by line.
    pub findings: Vec<Finding>,
    /// What could not be searched.
    pub unsearched: Vec<Unsearched>,
    /// What bloom filters said.
    pub blooms: Blooms,
}

impl Residue {
    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.findings.is_empty() || self.blooms.beyond_chance() {
            Verdict::Found
        } else if self.unsearched.is_empty() {
            Verdict::Clean
        } else {
            Verdict::Incomplete
        }
    }

    /// How many of the values were found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.findings.chunk_by(|a, b| a.line == b.line).count()
    }

    /// Takes what was found in a file, its name veiled.
    pub(super) fn take(&mut self, path: &str, mut found: FileFound, values: &Values) {
        found.settle();
        self.bytes += found.bytes;
        self.blooms.add(&found.blooms);
        let file = veiled(path, values);
        self.unsearched
            .extend(found.unsearched.into_iter().map(|why| Unsearched { file: file.clone(), why: values.veil(&why) }));
        self.findings.extend(found.seen.into_iter().map(|((line, spot), seen)| Finding {
            line,
            place: spot.place,
            column: spot.column.map(|column| values.veil(&column)),
            row_group: spot.row_group,
            file: file.clone(),
            at: seen.at,
            times: seen.times,
        }));
    }
}

/// A path with every part of it veiled on its own, and then as a whole.
fn veiled(path: &str, values: &Values) -> String {
    values.veil(&path.split('/').map(|part| values.veil(part)).collect::<Vec<_>>().join("/"))
}
