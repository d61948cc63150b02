//! Reform: the columns of segments become those of the table under the present policy. Columns that
//! the policy no longer names are dropped, renamed ones get their new names.
//!
//! All other columns, including tags, are copied byte for byte, and a column is renamed only if the
//! new name is free. Held rows must never be reformed: dropped values cannot be restored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::RewriteError;
use super::matching::OpenedSegment;
use super::splice::{CopyCounts, DueColumns, FileLayout};
use crate::index::StoredSegment;
use crate::segment::{Segment, SegmentLocation, recorded_order};
use crate::table::Table;
use ebbtide_policy::is_tag;

/// The result of adapting segments whose columns differ from the table's. Nothing is committed.
#[derive(Debug, Clone, Default)]
pub struct ReformResult {
    /// The segments to remove.
    pub replaced: Vec<StoredSegment>,
    /// The segments that replace them.
    pub segments: Vec<Segment>,
    /// Fields that the policy no longer names and that were therefore dropped, as far as can be
    /// counted without decoding.
    pub unclassified: u64,
    /// Bytes of column chunks that were copied.
    pub bytes_copied: u64,
    /// Bytes of column chunks that were left out.
    pub bytes_dropped: u64,
}

/// The differences between a segment's columns and the table's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct ColumnDifferences {
    dropped: BTreeSet<String>,
    /// The old name of each column that gets another, by its new one.
    renamed: BTreeMap<String, String>,
    unclassified: u64,
    /// True if the rows are sorted by a column that is dropped.
    shuffled: bool,
}

impl Table {
    /// Adapts segments of one bucket and profile to the table's columns. Returns `None` if no
    /// column differs. Commits nothing.
    ///
    /// `former` maps the old name of each renamed column to the new one. Errors if a segment is
    /// missing or damaged; then nothing of the new ones is left.
    pub async fn reform(
        &self,
        sources: &[StoredSegment],
        former: &BTreeMap<String, String>,
    ) -> Result<Option<ReformResult>, RewriteError> {
        let store = self.log.object_store(None);
        let mut done = ReformResult::default();
        for source in sources {
            let opened = OpenedSegment::open(&store, &source.path).await?;
            let amiss = self.amiss(&opened, former);
            if amiss.dropped.is_empty() && amiss.renamed.is_empty() {
                continue;
            }
            if let Err(error) = self.reform_one(source, amiss, &mut done).await {
                self.discard(done.segments).await;
                return Err(error);
            }
        }
        Ok(Some(done).filter(|done| !done.replaced.is_empty()))
    }

    async fn reform_one(
        &self,
        source: &StoredSegment,
        amiss: ColumnDifferences,
        done: &mut ReformResult,
    ) -> Result<(), RewriteError> {
        let ColumnDifferences {
            dropped,
            renamed,
            unclassified,
            shuffled,
        } = amiss;
        // A shuffle reads rows by the new names: rename the columns first.
        let (segment, copied) = if shuffled && !renamed.is_empty() {
            let (step, _) = self.reformed(source, &BTreeSet::new(), &renamed).await?;
            let between = StoredSegment {
                path: step.path().into(),
                size: step.size(),
                ..source.clone()
            };
            let reformed = self.reformed(&between, &dropped, &BTreeMap::new()).await;
            self.discard(vec![step]).await;
            reformed?
        } else {
            self.reformed(source, &dropped, &renamed).await?
        };
        let checked = super::check_deadlines_kept(
            segment.path(),
            source.deadlines.iter(),
            &[&segment.contents],
        );
        done.segments.push(segment);
        checked?;
        done.bytes_copied += copied.bytes_copied;
        done.bytes_dropped += copied.bytes_dropped;
        done.unclassified += unclassified;
        done.replaced.push(source.clone());
        Ok(())
    }

    /// Writes one segment without the columns to drop, the others under their new names.
    async fn reformed(
        &self,
        source: &StoredSegment,
        dropped: &BTreeSet<String>,
        renamed: &BTreeMap<String, String>,
    ) -> Result<(Segment, CopyCounts), RewriteError> {
        let due = Arc::new(DueColumns::tags(dropped.iter().cloned()));
        let mut layout = FileLayout::of(self.footer(source, &due).await?);
        layout
            .rename(renamed)
            .map_err(|error| RewriteError::damaged(&source.path, &error))?;
        self.copy_whole(&[source], SegmentLocation::of(source), layout, &due)
            .await
    }

    fn amiss(
        &self,
        opened: &OpenedSegment,
        former: &BTreeMap<String, String>,
    ) -> ColumnDifferences {
        let metadata = opened.metadata.metadata();
        let fields = metadata
            .file_metadata()
            .schema_descr()
            .root_schema()
            .get_fields();
        let names: BTreeSet<&str> = fields.iter().map(|field| field.name()).collect();
        let mut amiss = ColumnDifferences::default();
        for name in &names {
            if is_tag(name) || self.spec().column(name).is_some() {
                continue;
            }
            let new = former
                .get(*name)
                .filter(|new| self.spec().column(new).is_some());
            match new
                .filter(|new| !names.contains(new.as_str()) && !amiss.renamed.contains_key(*new))
            {
                Some(new) => drop(amiss.renamed.insert(new.clone(), (*name).to_owned())),
                None => drop(amiss.dropped.insert((*name).to_owned())),
            }
        }
        amiss.shuffled = recorded_order(metadata)
            .iter()
            .any(|column| amiss.dropped.contains(column));
        let groups = metadata.row_groups().iter();
        amiss.unclassified = groups
            .map(|group| {
                amiss
                    .dropped
                    .iter()
                    .map(|name| values(group, name))
                    .sum::<u64>()
            })
            .sum();
        amiss
    }
}

/// Returns the number of rows of a row group with a value in a column, as far as its statistics
/// show.
fn values(group: &RowGroupMetaData, column: &str) -> u64 {
    let mut chunks = group.columns().iter().filter(|chunk| {
        chunk
            .column_path()
            .parts()
            .first()
            .is_some_and(|of| of == column)
    });
    let Some(first) = chunks.next() else { return 0 };
    let nulls = match first.column_path().parts().len() {
        1 => first
            .statistics()
            .and_then(Statistics::null_count_opt)
            .unwrap_or(0),
        _ => 0,
    };
    u64::try_from(group.num_rows())
        .unwrap_or(0)
        .saturating_sub(nulls)
}
