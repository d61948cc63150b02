//! The policies under which the segments of a table were tagged, as far as log and footers show. A
//! policy that is about to become the first active one is compared with them.

use std::collections::BTreeSet;

use super::ViewError;
use ebbtide_base::ids::{PolicyVersion, ProductKey};
use ebbtide_policy::is_tag;
use ebbtide_table::error::StoreError;
use ebbtide_table::rewrite::{OpenedSegment, RewriteError};
use ebbtide_table::root::Root;
use ebbtide_table::snapshot::{ForeignFiles, LogSnapshot};
use ebbtide_table::table::ControlsVersion;

/// The evidence in a table of the policies under which its segments were tagged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredTags {
    /// The version of the table's controls.
    pub controls: ControlsVersion,
    /// The number of segments, without those of cells.
    pub segments: usize,
    /// The policies of the segments that have a single one.
    pub versions: BTreeSet<PolicyVersion>,
    /// The text of each profile that segments have, with the policy of those segments.
    pub profiles: BTreeSet<(PolicyVersion, String)>,
    /// The table's columns that are not tags. Not every segment has all of them.
    pub columns: BTreeSet<String>,
}

/// Returns the evidence in a product's table of the policies of its segments. `None` if the table
/// does not exist.
pub async fn stored_tags(
    root: &Root,
    product: &ProductKey,
) -> Result<Option<StoredTags>, StoreError> {
    let Some(table) = LogSnapshot::load(root, product, ForeignFiles::All).await? else {
        return Ok(None);
    };
    let state = table.state();
    let mut tags = StoredTags {
        controls: ControlsVersion(state.controls()),
        columns: state
            .columns()?
            .into_iter()
            .filter(|column| !is_tag(column))
            .collect(),
        ..StoredTags::default()
    };
    let property = |profile: &str| {
        state
            .metadata
            .configuration()
            .get(&format!("ebbtide.profile.{profile}"))
    };
    for segment in table.segments().iter().filter(|segment| !segment.cells) {
        tags.segments += 1;
        let Some(version) = &segment.policy_version else {
            continue;
        };
        tags.versions.insert(version.clone());
        if let Some(text) = property(segment.profile.as_str()) {
            tags.profiles.insert((version.clone(), text.clone()));
        }
    }
    Ok(Some(tags))
}

/// Returns those of `columns` that some segment of a product's table has. Reads the footers of its
/// segments until all are found.
pub async fn stored_columns(
    root: &Root,
    product: &ProductKey,
    mut columns: BTreeSet<String>,
) -> Result<BTreeSet<String>, ViewError> {
    let mut found = BTreeSet::new();
    let table = LogSnapshot::load(root, product, ForeignFiles::All).await?;
    let table = table.ok_or_else(|| ViewError::no_table(root, product))?;
    let store = table.log().object_store(None);
    for segment in table.segments().iter() {
        if columns.is_empty() {
            break;
        }
        let opened = match OpenedSegment::open(&store, &segment.path).await {
            Ok(opened) => opened,
            // The segment was replaced meanwhile: its columns are in the segments that replaced it.
            Err(RewriteError::SegmentDeleted { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        for field in opened
            .metadata
            .metadata()
            .file_metadata()
            .schema_descr()
            .root_schema()
            .get_fields()
        {
            if let Some(column) = columns.take(field.name()) {
                found.insert(column);
            }
        }
    }
    Ok(found)
}
