//! Finds out from the statistics of a row group which rows have a tag. Reads nothing.

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

/// The rows of a row group that have a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagCoverage {
    /// All are null, or there is no such column.
    NoRow,
    SomeRows,
    EveryRow,
    /// The null count is unknown.
    Unknown,
}

impl TagCoverage {
    pub fn of(group: &RowGroupMetaData, tag: &str) -> TagCoverage {
        let Some(chunk) = group
            .columns()
            .iter()
            .find(|chunk| chunk.column_path().parts() == [tag])
        else {
            return TagCoverage::NoRow;
        };
        let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
        match nulls.zip(u64::try_from(chunk.num_values()).ok()) {
            None => TagCoverage::Unknown,
            Some((nulls, rows)) if nulls == rows => TagCoverage::NoRow,
            Some((0, _)) => TagCoverage::EveryRow,
            Some(_) => TagCoverage::SomeRows,
        }
    }

    /// Returns true if only reading the rows can show which of them have the tag.
    pub fn differs(self) -> bool {
        matches!(self, TagCoverage::SomeRows | TagCoverage::Unknown)
    }
}
