//! The findings of a search with their places, and the parts that could not be searched.
//!
//! No value is in a result: a value is identified by its line, and every name that is shown is
//! masked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::chance::beyond_chance;
use super::list_line::ListLine;
use super::values::{SearchCounts, SearchValues};

/// The kinds of places where a value may be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LocationKind {
    /// The name of a file or a folder, or the target of a link.
    Name,
    /// The raw bytes of a file.
    Bytes,
    /// The text of a file after its JSON or percent escapes are decoded.
    Escaped,
    /// The content of a compressed file (gzip, zstd).
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
    /// A bloom filter that answers "maybe" for more of the values than chance and its column
    /// explain.
    Bloom,
    /// The footer's key-value metadata.
    KeyValue,
    /// The rest of the footer.
    Footer,
    /// Bytes of a column that are in none of its pages.
    Chunk,
    /// Bytes of a Parquet file that its footer does not name.
    Unnamed,
}

impl fmt::Display for LocationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LocationKind::Name => "name",
            LocationKind::Bytes => "bytes",
            LocationKind::Escaped => "escaped text",
            LocationKind::Unpacked => "packed content",
            LocationKind::Dictionary => "dictionary page",
            LocationKind::Page => "data page",
            LocationKind::Value => "decoded value",
            LocationKind::PageBounds => "bounds in a page header",
            LocationKind::Bounds => "statistics",
            LocationKind::ColumnIndex => "column index",
            LocationKind::Bloom => "bloom filter",
            LocationKind::KeyValue => "key-value metadata",
            LocationKind::Footer => "footer",
            LocationKind::Chunk => "column chunk",
            LocationKind::Unnamed => "bytes that the footer does not name",
        })
    }
}

/// A place within a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileLocation {
    /// The kind of the place.
    pub place: LocationKind,
    /// The column, in a Parquet file.
    pub column: Option<Arc<str>>,
    /// The row group.
    pub row_group: Option<usize>,
}

impl From<LocationKind> for FileLocation {
    fn from(place: LocationKind) -> Self {
        FileLocation {
            place,
            column: None,
            row_group: None,
        }
    }
}

/// The number of times that a value is in a spot, and its first place there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Occurrences {
    /// The number of times.
    pub times: u64,
    /// The offset of the first occurrence in the file, if the spot is a place among the file's
    /// bytes.
    pub at: Option<u64>,
}

/// The findings in one file, collected during the search.
#[derive(Debug, Default)]
pub struct FileFindings {
    /// The places of each value.
    pub seen: BTreeMap<(ListLine, FileLocation), Occurrences>,
    /// The parts that could not be searched, with the reasons.
    pub unsearched: Vec<String>,
    /// The answers of the file's bloom filters.
    pub blooms: BloomCounts,
    /// The number of bytes of the file.
    pub bytes: u64,
}

impl FileFindings {
    /// Records that a value is in a spot, at offset `at` of the file if that is known.
    pub fn hit(&mut self, line: ListLine, spot: FileLocation, at: Option<u64>) {
        let seen = self.seen.entry((line, spot)).or_default();
        seen.times += 1;
        seen.at = seen.at.or(at);
    }

    /// Records that a part could not be searched, with the reason.
    pub fn missed(&mut self, why: impl Into<String>) {
        self.unsearched.push(why.into());
    }

    /// Removes findings that a more precise finding replaces: those in raw bytes that were also
    /// decoded.
    pub fn settle(&mut self) {
        let replacements = |place: LocationKind| match place {
            LocationKind::Chunk => [
                LocationKind::Dictionary,
                LocationKind::Page,
                LocationKind::PageBounds,
                LocationKind::Value,
            ]
            .as_slice(),
            LocationKind::Footer => [LocationKind::Bounds, LocationKind::KeyValue].as_slice(),
            LocationKind::Page => [LocationKind::Value].as_slice(),
            _ => [].as_slice(),
        };
        let better = |spot: &FileLocation, at: &FileLocation| {
            let same = spot.column.is_none()
                || (&at.column, at.row_group) == (&spot.column, spot.row_group);
            same && replacements(spot.place).contains(&at.place)
        };
        let keys: Vec<&(ListLine, FileLocation)> = self.seen.keys().collect();
        let needless = keys.chunk_by(|a, b| a.0 == b.0).flat_map(|of_one| {
            let needless =
                |key: &&&(ListLine, FileLocation)| of_one.iter().any(|(_, at)| better(&key.1, at));
            of_one.iter().filter(needless).map(|key| (*key).clone())
        });
        let needless: BTreeSet<(ListLine, FileLocation)> = needless.collect();
        self.seen.retain(|key, _| !needless.contains(key));
    }
}

/// The answers of bloom filters for values that their own columns do not contain.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct BloomCounts {
    /// The number of filters that were asked.
    pub filters: u64,
    /// The number of "maybe" answers for a value that the filter's column does not contain.
    pub maybe: u64,
    /// The number of such answers that is expected by chance, from how full the filters are.
    pub expected: f64,
}

impl BloomCounts {
    /// Adds the counts of another file.
    pub fn add(&mut self, other: &BloomCounts) {
        self.filters += other.filters;
        self.maybe += other.maybe;
        self.expected += other.expected;
    }

    /// Returns true if chance cannot explain the number of "maybe" answers.
    #[must_use]
    pub fn beyond_chance(&self) -> bool {
        beyond_chance(self.maybe, self.expected)
    }
}

/// A value that was found, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The value's line.
    pub line: ListLine,
    /// The kind of the place.
    pub place: LocationKind,
    /// The column, in a Parquet file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The row group, in a Parquet file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_group: Option<usize>,
    /// The file's path relative to the root, masked.
    pub file: String,
    /// The offset of the first occurrence, if the place is among the file's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// The number of times that it was found there.
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

/// A file, or a part of it, that could not be searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnsearchedPart {
    /// The path relative to the root, masked.
    pub file: String,
    /// The part that could not be searched, and the reason.
    pub why: String,
}

/// The outcome of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResidueOutcome {
    /// Everything was searched, and none of the values was found.
    Clean,
    /// Values were found. Some parts may not have been searched.
    Found,
    /// No value was found, but some parts could not be searched.
    Incomplete,
}

/// The result of a search.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ResidueReport {
    /// The number of values that were searched for.
    pub values: u64,
    /// The number of forms that were searched for.
    pub searched_for: SearchCounts,
    /// The number of files that were searched.
    pub files: u64,
    /// The number of bytes of those files.
    pub bytes: u64,
    /// The places where values were found, sorted by line.
    pub findings: Vec<Finding>,
    /// The parts that could not be searched.
    pub unsearched: Vec<UnsearchedPart>,
    /// The answers of bloom filters.
    pub blooms: BloomCounts,
}

impl ResidueReport {
    /// Returns the outcome of the search.
    #[must_use]
    pub fn verdict(&self) -> ResidueOutcome {
        if !self.findings.is_empty() || self.blooms.beyond_chance() {
            ResidueOutcome::Found
        } else if self.unsearched.is_empty() {
            ResidueOutcome::Clean
        } else {
            ResidueOutcome::Incomplete
        }
    }

    /// Returns the number of values that were found.
    #[must_use]
    pub fn found(&self) -> usize {
        self.findings.chunk_by(|a, b| a.line == b.line).count()
    }

    /// Adds the findings of a file, with its name masked.
    pub(super) fn take(&mut self, path: &str, mut found: FileFindings, values: &SearchValues) {
        found.settle();
        self.bytes += found.bytes;
        self.blooms.add(&found.blooms);
        let file = veiled(path, values);
        self.unsearched
            .extend(found.unsearched.into_iter().map(|why| UnsearchedPart {
                file: file.clone(),
                why: values.veil(&why),
            }));
        self.findings
            .extend(found.seen.into_iter().map(|((line, spot), seen)| Finding {
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

/// Returns a path with each of its parts masked separately, and then masked as a whole.
fn veiled(path: &str, values: &SearchValues) -> String {
    values.veil(
        &path
            .split('/')
            .map(|part| values.veil(part))
            .collect::<Vec<_>>()
            .join("/"),
    )
}
