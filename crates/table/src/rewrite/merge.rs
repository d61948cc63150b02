//! Merge: several segments of one bucket, profile and set of tags become one with sorted rows. No
//! row changes.
//!
//! The rows and their tags are the same, dropped columns stay dropped, and bloom filters and page
//! indexes are built again. Memory is bounded: rows that do not fit are sorted in pieces, each
//! spilled to a file without a name, and merged from there. Rows of cells and rows of records never
//! share a file.

mod columns;
mod keys;
mod spill;
mod spill_merge;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::file::metadata::RowGroupMetaData;
use tokio::runtime::Handle;

use super::matching::{BATCH_ROWS, OpenedSegment};
use super::upload::{self, PartWriter};
use super::{RewriteError, blocking};
use crate::error::StoreError;
use crate::index::StoredSegment;
use crate::segment::{ExpectedRows, FileContents, RowWriter, Segment, SegmentLocation};
use crate::spec::TableSpec;
use crate::table::Table;
use columns::{LOT, MergedColumns};
use keys::SortKeys;
use spill::{Spill, SpillWriter};

/// The approximate maximum size of a page in bytes: a look-up of one subject decodes one page of
/// each column, so a small page is worth the few bytes that it costs. The limit is in bytes and not
/// in rows, so that columns of small values have no more pages than they need.
const PAGE_BYTES: usize = 32 << 10;

/// The maximum number of bytes sorted in one piece: texts of a piece are addressed with 31 bits.
const LARGEST_PIECE: usize = 1 << 30;

/// The maximum number of spills: each is an open file.
const MOST_SPILLS: usize = 256;

/// The minimum number of rows in a decoded batch.
const LEAST_ROWS: usize = 64;

/// Bytes of memory that any output file takes: the parts of its upload, and the pages that are
/// being encoded.
const ON_THE_WAY: usize = 32 << 20;

/// The minimum size in bytes at which a row group is closed.
const LEAST_GROUP: usize = 8 << 20;

/// Settings of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeSettings {
    /// The columns by which the rows are sorted, the most significant first. Columns that the
    /// segments lack are ignored; nulls sort last. If empty, rows keep their order.
    pub sort_by: Vec<String>,
    /// Memory to use in bytes, for rows, encoders and buffers of spills together. Below 64 MiB the
    /// limit is not kept: some 30 MiB more were measured at 64 MiB.
    pub memory: usize,
}

impl Table {
    /// Merges segments of one bucket, profile, policy version and set of deadlines into one.
    /// Commits nothing.
    ///
    /// A column that a segment lacks is null in its rows. Errors if the segments are not of one
    /// kind, contain cells, or have columns of one name with several types, or if one is missing
    /// or damaged; then nothing of the new segment is left.
    pub async fn merge(
        &self,
        sources: &[StoredSegment],
        how: &MergeSettings,
    ) -> Result<Segment, RewriteError> {
        let first = alike(sources)?;
        let home = SegmentLocation::of_all(first, sources);
        let path = home.path();
        let work = MergeJob {
            spec: self.spec().clone(),
            sources: sources.iter().map(RewriteSource::of).collect(),
            order: RowOrder::By(how.sort_by.clone()),
            without: BTreeSet::new(),
            memory: how.memory,
            folder: self.spills(),
        };
        let store = self.log.object_store(None);
        let (parts, upload) = upload::begin(store.clone(), &path).await?;
        let (from, runtime) = (store.clone(), Handle::current());
        let open = move |path: &str| runtime.block_on(OpenedSegment::open(&from, path));
        let worked = blocking(move || work.run(&open, parts)).await;
        let (contents, size) = upload::finished(&store, [(&path, upload)], worked).await?;
        if let Err(error) = super::check_deadlines_kept(&path, first.deadlines.iter(), &[&contents])
        {
            self.discard(vec![Segment {
                path,
                home,
                contents,
                size,
            }])
            .await;
            return Err(error);
        }
        Ok(Segment {
            path,
            home,
            contents,
            size,
        })
    }

    /// Returns the folder for spills: the table's folder, on the disk chosen for such data, or the
    /// machine's folder for temporary files if the table is in an object store. Spills have no name
    /// there.
    pub(super) fn spills(&self) -> PathBuf {
        self.log
            .root_url()
            .to_file_path()
            .unwrap_or_else(|()| std::env::temp_dir())
    }
}

/// Checks that segments may be merged, and returns the first.
fn alike(sources: &[StoredSegment]) -> Result<&StoredSegment, RewriteError> {
    let refused = |why: &str| Err(StoreError::Refused(why.to_owned()).into());
    let Some(first) = sources.first() else {
        return refused("a merge of no segment");
    };
    let place = |segment: &StoredSegment| (segment.bucket, segment.profile.clone());
    if sources.iter().any(|segment| segment.cells) {
        return refused("cells are not merged");
    }
    if sources.iter().any(|segment| place(segment) != place(first)) {
        return refused("segments of several buckets or profiles are not merged");
    }
    let tags =
        |segment: &StoredSegment| (segment.policy_version.clone(), segment.deadlines.clone());
    if sources.iter().any(|segment| tags(segment) != tags(first)) {
        return refused("segments of several policies or deadlines are not merged");
    }
    Ok(first)
}

/// The order of the output rows.
pub(super) enum RowOrder {
    /// Sorted by those of these columns that the segments have; unchanged if they have none of
    /// them.
    By(Vec<String>),
    /// Random.
    Chance,
}

/// A segment to read.
pub(super) struct RewriteSource {
    pub(super) path: Arc<str>,
    /// The number of its rows by the log.
    pub(super) rows: u64,
}

impl RewriteSource {
    pub(super) fn of(segment: &StoredSegment) -> RewriteSource {
        RewriteSource {
            path: Arc::clone(&segment.path),
            rows: segment.rows,
        }
    }
}

/// One merge, on a thread that may block.
pub(super) struct MergeJob {
    pub(super) spec: Arc<TableSpec>,
    pub(super) sources: Vec<RewriteSource>,
    pub(super) order: RowOrder,
    /// The columns that are dropped.
    pub(super) without: BTreeSet<String>,
    /// Memory to use in bytes.
    pub(super) memory: usize,
    /// The folder for spills.
    pub(super) folder: PathBuf,
}

/// A function that opens a segment.
pub(super) type OpenSegment<'a> = &'a dyn Fn(&str) -> Result<OpenedSegment, RewriteError>;

impl MergeJob {
    /// Writes the new file. Returns its contents and its size in bytes.
    pub(super) fn run(
        &self,
        open: OpenSegment<'_>,
        parts: PartWriter,
    ) -> Result<(FileContents, u64), RewriteError> {
        let columns = MergedColumns::of(&self.spec, &self.sources, &self.without, open)?;
        let (columns, sort_by) = match &self.order {
            RowOrder::By(sort_by) => (columns, sort_by.clone()),
            RowOrder::Chance => (columns.with_lots(), vec![LOT.to_owned()]),
        };
        let keys = SortKeys::of(columns.rows_schema(), &sort_by)?;
        let writer = RowWriter::new(
            self.spec.clone(),
            columns
                .schema()
                .fields()
                .iter()
                .map(|field| field.as_ref().clone())
                .collect(),
            |name| columns.is_run(name),
            Vec::new(),
            parts,
        );
        let mut writer = writer.expecting(ExpectedRows {
            rows: usize::try_from(columns.rows()).ok(),
            sorted_by: match (&self.order, &keys) {
                (RowOrder::By(_), Some(keys)) => keys.names().to_vec(),
                _ => Vec::new(),
            },
            // The sort is stable: rows of equal keys keep their order.
            ordered_by: match self.order {
                RowOrder::By(_) => columns.ordered_by().clone(),
                RowOrder::Chance => BTreeSet::new(),
            },
            page_bytes: Some(PAGE_BYTES),
            group_bytes: Some((self.room() / 4).max(LEAST_GROUP)),
        });
        let mut write = |rows: &RecordBatch| Ok(writer.write(&columns.without_lots(rows)?)?);
        match &keys {
            None => self.each(open, &columns, &mut |rows| write(&rows))?,
            Some(keys) => self.sort(open, &columns, keys, &mut write)?,
        }
        if writer.rows() != columns.rows() {
            let why = format!("of {} rows {} were written", columns.rows(), writer.rows());
            let path = self
                .sources
                .first()
                .map_or_else(String::new, |source| source.path.to_string());
            return Err(RewriteError::Damaged { path, why });
        }
        let (contents, parts) = writer.finish()?;
        Ok((contents, parts.finish().map_err(StoreError::from)?))
    }

    /// Passes on all rows, in their present order.
    fn each(
        &self,
        open: OpenSegment<'_>,
        columns: &MergedColumns,
        take: &mut dyn FnMut(RecordBatch) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        for source in &self.sources {
            // One after the other, so that a merge of many keeps one file open.
            let opened = open(&source.path)?;
            let names: Vec<&str> = columns
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().as_str())
                .collect();
            for (number, group) in opened.metadata.metadata().row_groups().iter().enumerate() {
                let reader = opened
                    .reader(vec![number], Some(&names))
                    .with_batch_size(self.batch_rows(group));
                for rows in reader.build().map_err(|error| opened.damaged(&error))? {
                    let rows = rows.map_err(|error| opened.damaged(&error.into()))?;
                    take(columns.conform(&rows)?)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the bytes that rows in memory may take. While a piece is sorted, its keys are in
    /// memory too; while spills are read, a row group is.
    fn room(&self) -> usize {
        self.memory.saturating_sub(ON_THE_WAY).max(self.memory / 4)
    }

    /// Returns the number of rows of a group in a decoded batch: fewer if the rows are large.
    fn batch_rows(&self, group: &RowGroupMetaData) -> usize {
        let of = |number: i64| usize::try_from(number).unwrap_or(0).max(1);
        let each = of(group.total_byte_size()).div_ceil(of(group.num_rows()));
        (self.room() / 16 / each).clamp(LEAST_ROWS, BATCH_ROWS)
    }

    /// Passes on all rows, sorted.
    fn sort(
        &self,
        open: OpenSegment<'_>,
        columns: &MergedColumns,
        keys: &SortKeys,
        write: &mut dyn FnMut(&RecordBatch) -> Result<(), RewriteError>,
    ) -> Result<(), RewriteError> {
        let most = (self.room() / 5).clamp(1, LARGEST_PIECE);
        let (mut piece, mut bytes, mut spills) = (Vec::new(), 0, Vec::new());
        self.each(open, columns, &mut |rows| {
            bytes += rows.get_array_memory_size();
            piece.push(rows);
            if bytes >= most {
                bytes = 0;
                spills.push(self.spill(columns, |take| {
                    keys.sorted(&std::mem::take(&mut piece), take)
                })?);
                if spills.len() >= MOST_SPILLS {
                    self.join(columns, keys, &mut spills)?;
                }
            }
            Ok(())
        })?;
        if spills.is_empty() {
            return keys.sorted(&piece, write);
        }
        if !piece.is_empty() {
            spills.push(self.spill(columns, |take| {
                keys.sorted(&std::mem::take(&mut piece), take)
            })?);
        }
        while spills.len() > self.merge_width() {
            self.join(columns, keys, &mut spills)?;
        }
        spill_merge::merge(keys, spills, write)
    }

    /// Merges the oldest spills into one, up to the number that one step may merge.
    fn join(
        &self,
        columns: &MergedColumns,
        keys: &SortKeys,
        spills: &mut Vec<Spill>,
    ) -> Result<(), RewriteError> {
        let oldest: Vec<Spill> = spills
            .drain(..self.merge_width().min(spills.len()))
            .collect();
        spills.push(self.spill(columns, |take| spill_merge::merge(keys, oldest, take))?);
        Ok(())
    }

    fn merge_width(&self) -> usize {
        spill_merge::merge_width(self.room() / 3)
    }

    /// Writes the rows that `fill` passes on to a file that has no name.
    fn spill(
        &self,
        columns: &MergedColumns,
        fill: impl FnOnce(
            &mut dyn FnMut(&RecordBatch) -> Result<(), RewriteError>,
        ) -> Result<(), RewriteError>,
    ) -> Result<Spill, RewriteError> {
        let mut into = SpillWriter::create(&self.folder, columns.rows_schema())?;
        fill(&mut |rows| into.write(rows))?;
        into.finish()
    }
}
