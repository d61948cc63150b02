//! Splice: segments of one bucket, profile and policy become one, without the columns of due
//! categories.
//!
//! The kept columns are copied byte for byte, with their bloom filters and page indexes. Nothing of
//! the dropped ones is in the new file, including its footer. Nothing is decoded, unless rows are
//! sorted by a dropped column: their order would still reveal its values, so the rows are shuffled.
//! Memory is that of a few parts and of the footers, whatever the size of the segments, or that of
//! a merge.

mod copy;
mod layout;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
};
use tokio::runtime::Handle;

use super::matching::OpenedSegment;
use super::merge::{MergeJob, OpenSegment, RewriteSource, RowOrder};
use super::upload::PartWriter;
use super::{RewriteError, blocking, upload};
use crate::error::StoreError;
use crate::index::StoredSegment;
use crate::segment::{FileContents, Segment, SegmentLocation};
use crate::source::StoreFile;
use crate::spec::{ColumnRole, TableSpec, expires_column};
use crate::table::Table;
pub(super) use copy::CopyCounts;
use copy::CopySources;
use ebbtide_base::ids::Category;
use layout::FooterSummary;
pub(super) use layout::{FileLayout, RewrittenTag, layouts};

/// Memory in bytes for the shuffling of rows that are sorted by a dropped column.
const SHUFFLE_BYTES: usize = 64 << 20;

/// The result of a splice.
#[derive(Debug, Clone)]
pub struct SpliceResult {
    /// The segments that replace the old ones: one for each policy of their tags, or more if two
    /// have a column of one name with different types.
    pub segments: Vec<Segment>,
    /// The number of rows in all of them.
    pub rows: u64,
    /// Fields that were dropped, by category, as far as can be counted without decoding: nulls are
    /// counted too if the statistics have no null count.
    pub dropped: BTreeMap<Category, u64>,
    /// Bytes of column chunks that were copied.
    pub bytes_copied: u64,
    /// Bytes of column chunks that were left out.
    pub bytes_dropped: u64,
    /// Columns that the policy no longer names. They were kept, since their deadline is unknown:
    /// after the activation of a policy without them, [`Table::reform`] drops them.
    pub unclassified: BTreeSet<String>,
}

impl Table {
    /// Drops the columns of some categories from segments of one bucket and profile, and writes the
    /// rest as one segment for each policy of their tags. Commits nothing.
    ///
    /// A column that a segment lacks is null in its rows. Rows that are sorted by a dropped column
    /// are shuffled. Errors if the segments are not of one kind, or if one is missing or damaged;
    /// then nothing of the new segment is left.
    pub async fn splice(
        &self,
        sources: &[StoredSegment],
        drop: &BTreeSet<Category>,
    ) -> Result<SpliceResult, RewriteError> {
        alike(sources, drop)?;
        let due = Arc::new(DueColumns::of(self.spec(), drop));
        let mut footers = Vec::with_capacity(sources.len());
        for segment in sources {
            footers.push(self.footer(segment, &due).await?);
        }
        let mut spliced = SpliceResult {
            segments: Vec::new(),
            rows: 0,
            dropped: BTreeMap::new(),
            bytes_copied: 0,
            bytes_dropped: 0,
            unclassified: unclassified(self.spec(), &footers),
        };
        for layout in layouts(footers) {
            let (segment, copied) = match self.splice_one(sources, layout, &due).await {
                Ok(done) => done,
                Err(error) => {
                    self.discard(spliced.segments).await;
                    return Err(error);
                }
            };
            spliced.rows += segment.rows();
            spliced.bytes_copied += copied.bytes_copied;
            spliced.bytes_dropped += copied.bytes_dropped;
            for (category, fields) in copied.dropped {
                *spliced.dropped.entry(category).or_default() += fields;
            }
            spliced.segments.push(segment);
        }
        Ok(spliced)
    }

    async fn splice_one(
        &self,
        sources: &[StoredSegment],
        layout: FileLayout,
        due: &Arc<DueColumns>,
    ) -> Result<(Segment, CopyCounts), RewriteError> {
        let members: Vec<&StoredSegment> = layout
            .members
            .iter()
            .filter_map(|member| sources.get(*member))
            .collect();
        let Some(first) = members.first() else {
            return Err(StoreError::Refused("nothing to splice".to_owned()).into());
        };
        let cells = first
            .cells
            .then(|| members.iter().map(|segment| segment.records).sum());
        let home = SegmentLocation {
            cells,
            ..SegmentLocation::of_all(first, members.iter().copied())
        };
        let (segment, copied) = self.copy_whole(&members, home, layout, due).await?;
        let staying = members.iter().flat_map(|segment| segment.deadlines.iter());
        let staying = staying.filter(|(category, _)| !due.has(&expires_column(category)));
        if let Err(error) =
            super::check_deadlines_kept(&segment.path, staying, &[&segment.contents])
        {
            self.discard(vec![segment]).await;
            return Err(error);
        }
        Ok((segment, copied))
    }

    /// Reads from a segment's footer the parts that are kept.
    pub(super) async fn footer(
        &self,
        segment: &StoredSegment,
        due: &Arc<DueColumns>,
    ) -> Result<FooterSummary, RewriteError> {
        let source = open(&self.log.object_store(None), &segment.path).await?;
        let (of, due) = (segment.clone(), Arc::clone(due));
        blocking(move || FooterSummary::read(&source, &of, &due)).await
    }

    /// Writes the kept parts of segments, and the columns that the layout replaces, as one segment
    /// at `home`.
    pub(super) async fn copy_whole(
        &self,
        members: &[&StoredSegment],
        home: SegmentLocation,
        layout: FileLayout,
        due: &Arc<DueColumns>,
    ) -> Result<(Segment, CopyCounts), RewriteError> {
        let store = self.log.object_store(None);
        let path = home.path();
        let (parts, upload) = upload::begin(store.clone(), &path).await?;
        let (spec, going, from) = (self.spec().clone(), due.clone(), store.clone());
        let sources = members
            .iter()
            .map(|segment| RewriteSource::of(segment))
            .collect();
        let runtime = Handle::current();
        if layout.ordered_by.iter().any(|column| due.has(column)) {
            let merge = MergeJob {
                spec,
                sources,
                order: RowOrder::Chance,
                without: due.0.keys().cloned().collect(),
                memory: SHUFFLE_BYTES,
                folder: self.spills(),
            };
            let worked = blocking(move || {
                shuffle(
                    &merge,
                    &going,
                    &|path| runtime.block_on(OpenedSegment::open(&from, path)),
                    parts,
                )
            });
            let (contents, size, copied) =
                upload::finished(&store, [(&path, upload)], worked.await).await?;
            return Ok((
                Segment {
                    path,
                    home,
                    contents,
                    size,
                },
                copied,
            ));
        }
        let worked = blocking(move || {
            // One after the other, so that a splice of many keeps few files open.
            let open = |path: &str| runtime.block_on(open(&from, path));
            copy::copy(&spec, &layout, &going, CopySources { sources, open }, parts)
        });
        let worked = worked.await;
        let (contents, size, copied) = upload::finished(&store, [(&path, upload)], worked).await?;
        Ok((
            Segment {
                path,
                home,
                contents,
                size,
            },
            copied,
        ))
    }
}

/// Writes the kept parts of segments in random order. Returns the contents, the size in bytes, and
/// the counts of what was dropped.
fn shuffle(
    merge: &MergeJob,
    due: &DueColumns,
    open: OpenSegment<'_>,
    parts: PartWriter,
) -> Result<(FileContents, u64, CopyCounts), RewriteError> {
    let mut copied = CopyCounts::default();
    for source in &merge.sources {
        let opened = open(&source.path)?;
        opened
            .metadata
            .metadata()
            .row_groups()
            .iter()
            .for_each(|group| copied.leave_out(group, due));
    }
    let (contents, size) = merge.run(open, parts)?;
    Ok((contents, size, copied))
}

async fn open(store: &Arc<dyn ObjectStore>, path: &str) -> Result<StoreFile, RewriteError> {
    StoreFile::open(store, Path::from(path))
        .await
        .map_err(|error| RewriteError::store(path, error))
}

/// Refuses segments that may not be spliced into one.
fn alike(sources: &[StoredSegment], drop: &BTreeSet<Category>) -> Result<(), RewriteError> {
    let refused = |why: &str| Err(StoreError::Refused(why.to_owned()).into());
    let Some(first) = sources.first() else {
        return refused("a splice of no segment");
    };
    let kind = |segment: &StoredSegment| (segment.bucket, segment.profile.clone(), segment.cells);
    if sources.iter().any(|segment| kind(segment) != kind(first)) {
        return refused(
            "segments of several buckets or profiles, or cells and records, are not merged",
        );
    }
    let mut deadlines = BTreeMap::new();
    for (category, deadline) in sources.iter().flat_map(|segment| segment.deadlines.iter()) {
        if !drop.contains(category)
            && deadlines
                .insert(category, deadline)
                .is_some_and(|before| before != deadline)
        {
            return refused("segments of several deadlines of one category are not merged");
        }
    }
    Ok(())
}

/// The columns to drop, each with its category; `None` for a tag.
pub(super) struct DueColumns(BTreeMap<String, Option<Category>>);

impl DueColumns {
    fn of(spec: &TableSpec, drop: &BTreeSet<Category>) -> DueColumns {
        let personal = spec.columns.iter().filter_map(|column| match &column.role {
            ColumnRole::Personal(category) if drop.contains(category) => {
                Some((column.name.clone(), Some(category.clone())))
            }
            _ => None,
        });
        DueColumns(
            personal
                .chain(drop.iter().map(|category| (expires_column(category), None)))
                .collect(),
        )
    }

    /// Creates a set of tags that are replaced or dropped.
    pub(super) fn tags(columns: impl IntoIterator<Item = String>) -> DueColumns {
        DueColumns(columns.into_iter().map(|column| (column, None)).collect())
    }

    fn has(&self, column: &str) -> bool {
        self.0.contains_key(column)
    }

    /// Returns the category of a column to drop, if it is not a tag.
    fn category(&self, column: &str) -> Option<&Category> {
        self.0.get(column)?.as_ref()
    }
}

fn unclassified(spec: &TableSpec, footers: &[FooterSummary]) -> BTreeSet<String> {
    let names = footers
        .iter()
        .flat_map(|footer| footer.fields.iter().map(|field| field.name().to_owned()));
    names.filter(|name| spec.column(name).is_none()).collect()
}

/// Reads the whole footer of a segment, with the page indexes if `indexes` is true.
fn metadata(
    source: &StoreFile,
    path: &str,
    indexes: bool,
) -> Result<ParquetMetaData, RewriteError> {
    let policy = if indexes {
        PageIndexPolicy::Optional
    } else {
        PageIndexPolicy::Skip
    };
    ParquetMetaDataReader::new()
        .with_metadata_options(Some(
            ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false),
        ))
        .with_page_index_policy(policy)
        .parse_and_finish(source)
        .map_err(|error| RewriteError::read(path, source, &error))
}
