//! Splice: segments of one bucket, profile and policy become one, without the columns of what is due.
//!
//! Promises that what stays is copied byte for byte, with its bloom filters and page indexes, and that nothing of what goes is
//! in the new file, footer included. Nothing is decoded, but where rows are sorted by what goes: their order would still tell of
//! it, so they are shuffled. Memory is that of a few parts and of the footers, whatever the segments' sizes, or that of a merge.

mod copy;
mod layout;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader};
use tokio::runtime::Handle;

use super::matching::Opened;
use super::merge::{Merge, Open, Order};
use super::upload::Parts;
use super::{RewriteError, blocking, upload};
use crate::ids::Category;
use crate::store::error::StoreError;
use crate::store::index::StoredSegment;
use crate::store::segment::{Contents, Home, Segment};
use crate::store::source::Source;
use crate::store::spec::{Role, TableSpec, expires_column};
use crate::store::table::Table;
pub(super) use copy::Copied;
use copy::Sources;
use layout::Footer;
pub(super) use layout::{Layout, Written, layouts};

/// Bytes that the shuffling of rows may take which are sorted by what goes.
const SHUFFLE_BYTES: usize = 64 << 20;

/// What became of the segments that were spliced.
#[derive(Debug, Clone)]
pub struct Spliced {
    /// What takes their place: a segment for each policy that they were tagged under, or more where two have a column of one
    /// name and not of one type.
    pub segments: Vec<Segment>,
    /// Rows of each of them together.
    pub rows: u64,
    /// Fields that were left out, by category, as far as it can be told without decoding: null ones are counted too where no
    /// statistics tell them apart.
    pub dropped: BTreeMap<Category, u64>,
    /// Bytes of column chunks that were copied.
    pub bytes_copied: u64,
    /// Bytes of column chunks that were left out.
    pub bytes_dropped: u64,
    /// Columns that the policy does not name any more. They were kept, since nothing says when they are due: where a policy was
    /// activated without them, they go by [`Table::reform`].
    pub unclassified: BTreeSet<String>,
}

impl Table {
    /// Leaves the columns of some categories out of segments of one bucket and profile, and writes what stays as one segment of
    /// each policy that they were tagged under. Commits nothing.
    ///
    /// A column that one of them lacks is null there. Rows that are sorted by a column that goes are shuffled. Errors if they are not of one kind, or if one is gone or damaged; then
    /// nothing of the new segment is left.
    pub async fn splice(&self, sources: &[StoredSegment], drop: &BTreeSet<Category>) -> Result<Spliced, RewriteError> {
        alike(sources, drop)?;
        let due = Arc::new(Due::of(self.spec(), drop));
        let mut footers = Vec::with_capacity(sources.len());
        for segment in sources {
            footers.push(self.footer(segment, &due).await?);
        }
        let mut spliced = Spliced {
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
        layout: Layout,
        due: &Arc<Due>,
    ) -> Result<(Segment, Copied), RewriteError> {
        let members: Vec<&StoredSegment> = layout.members.iter().filter_map(|member| sources.get(*member)).collect();
        let Some(first) = members.first() else {
            return Err(StoreError::Refused("nothing to splice".to_owned()).into());
        };
        let cells = first.cells.then(|| members.iter().map(|segment| segment.records).sum());
        let home = Home { cells, ..Home::of_all(first, members.iter().copied()) };
        let (segment, copied) = self.copy_whole(&members, home, (layout, due)).await?;
        let staying = members.iter().flat_map(|segment| segment.deadlines.iter());
        let staying = staying.filter(|(category, _)| !due.has(&expires_column(category)));
        if let Err(error) = super::still_told(&segment.path, staying, &[&segment.contents]) {
            self.discard(vec![segment]).await;
            return Err(error);
        }
        Ok((segment, copied))
    }

    /// What a segment's footer says of what stays.
    pub(super) async fn footer(&self, segment: &StoredSegment, due: &Arc<Due>) -> Result<Footer, RewriteError> {
        let source = open(&self.log.object_store(None), &segment.path).await?;
        let (of, due) = (segment.clone(), Arc::clone(due));
        blocking(move || Footer::read(&source, &of, &due)).await
    }

    /// Writes what stays of segments, and the columns that the layout has written anew, as one segment at `home`.
    pub(super) async fn copy_whole(
        &self,
        members: &[&StoredSegment],
        home: Home,
        (layout, due): (Layout, &Arc<Due>),
    ) -> Result<(Segment, Copied), RewriteError> {
        let store = self.log.object_store(None);
        let path = home.path();
        let (parts, upload) = upload::begin(store.clone(), &path).await?;
        let (spec, going, from) = (self.spec().clone(), due.clone(), store.clone());
        let old: Vec<(Arc<str>, u64)> = members.iter().map(|segment| (segment.path.clone(), segment.rows)).collect();
        let runtime = Handle::current();
        if layout.ordered_by.iter().any(|column| due.has(column)) {
            let merge = Merge {
                spec,
                sources: old,
                order: Order::Chance,
                without: due.0.keys().cloned().collect(),
                memory: SHUFFLE_BYTES,
                folder: self.spills(),
            };
            let worked =
                blocking(move || shuffle(&merge, &going, &|path| runtime.block_on(Opened::open(&from, path)), parts));
            let (contents, size, copied) = upload::finished(&store, [(&path, upload)], worked.await).await?;
            return Ok((Segment { path, home, contents, size }, copied));
        }
        let worked = blocking(move || {
            // One after the other, so that a splice of many keeps few files open.
            let open = |path: &str| runtime.block_on(open(&from, path));
            copy::copy(&spec, &layout, &going, Sources { old, open }, parts)
        });
        let worked = worked.await;
        let (contents, size, copied) = upload::finished(&store, [(&path, upload)], worked).await?;
        Ok((Segment { path, home, contents, size }, copied))
    }
}

/// Writes what stays of segments in an order that tells nothing; what it holds, its size, and what was left out.
fn shuffle(merge: &Merge, due: &Due, open: Open<'_>, parts: Parts) -> Result<(Contents, u64, Copied), RewriteError> {
    let mut copied = Copied::default();
    for (path, _) in &merge.sources {
        let opened = open(path)?;
        opened.metadata.metadata().row_groups().iter().for_each(|group| copied.leave_out(group, due));
    }
    let (contents, size) = merge.run(open, parts)?;
    Ok((contents, size, copied))
}

async fn open(store: &Arc<dyn ObjectStore>, path: &str) -> Result<Source, RewriteError> {
    Source::open(store, Path::from(path)).await.map_err(|error| RewriteError::store(path, error))
}

/// Refuses segments that may not become one.
fn alike(sources: &[StoredSegment], drop: &BTreeSet<Category>) -> Result<(), RewriteError> {
    let refused = |why: &str| Err(StoreError::Refused(why.to_owned()).into());
    let Some(first) = sources.first() else { return refused("a splice of no segment") };
    let kind = |segment: &StoredSegment| (segment.bucket, segment.profile.clone(), segment.cells);
    if sources.iter().any(|segment| kind(segment) != kind(first)) {
        return refused("segments of several buckets or profiles, or cells and records, do not become one");
    }
    let mut deadlines = BTreeMap::new();
    for (category, deadline) in sources.iter().flat_map(|segment| segment.deadlines.iter()) {
        if !drop.contains(category) && deadlines.insert(category, deadline).is_some_and(|before| before != deadline) {
            return refused("segments of several deadlines of one category do not become one");
        }
    }
    Ok(())
}

/// The columns that go, each with its category; `None` for a tag.
pub(super) struct Due(BTreeMap<String, Option<Category>>);

impl Due {
    fn of(spec: &TableSpec, drop: &BTreeSet<Category>) -> Due {
        let personal = spec.columns.iter().filter_map(|column| match &column.role {
            Role::Personal(category) if drop.contains(category) => Some((column.name.clone(), Some(category.clone()))),
            _ => None,
        });
        Due(personal.chain(drop.iter().map(|category| (expires_column(category), None))).collect())
    }

    /// Tags that are written anew or left out.
    pub(super) fn tags(columns: impl IntoIterator<Item = String>) -> Due {
        Due(columns.into_iter().map(|column| (column, None)).collect())
    }

    fn has(&self, column: &str) -> bool {
        self.0.contains_key(column)
    }

    /// The category of a column that goes, if it is not a tag.
    fn category(&self, column: &str) -> Option<&Category> {
        self.0.get(column)?.as_ref()
    }
}

fn unclassified(spec: &TableSpec, footers: &[Footer]) -> BTreeSet<String> {
    let names = footers.iter().flat_map(|footer| footer.fields.iter().map(|field| field.name().to_owned()));
    names.filter(|name| spec.column(name).is_none()).collect()
}

/// The whole footer of a segment, page indexes too where `indexes` says so.
fn metadata(source: &Source, path: &str, indexes: bool) -> Result<ParquetMetaData, RewriteError> {
    let policy = if indexes { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
    ParquetMetaDataReader::new()
        .with_metadata_options(Some(ParquetMetaDataOptions::new().with_encoding_stats_as_mask(false)))
        .with_page_index_policy(policy)
        .parse_and_finish(source)
        .map_err(|error| RewriteError::read(path, source, &error))
}
