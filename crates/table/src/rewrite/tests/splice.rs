//! Splice on real tables: values, indexes, merging, refusals, and no leftovers after an error.

use parquet::file::properties::ReaderProperties;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

use super::{all, bytes, categories, column, filled, holds, read};
use crate::reports::{audit, show};
use crate::testing::{MARKER, log_bytes, noon, rewrite, root};
use crate::{MaintenanceSettings, RewriteError, SegmentIndex, StoreError, Table};

#[tokio::test(flavor = "multi_thread")]
async fn category_is_dropped_and_every_other_value_stays() {
    let (_folder, root) = root();
    let (mut table, mut index) = filled(&root, 3).await;
    let old = all(&index);
    let spliced = table.splice(&old, &categories(&["content"])).await.unwrap();
    assert_eq!((spliced.segments.len(), spliced.rows), (1, 300));
    let content = &"content".parse().unwrap();
    assert_eq!((spliced.dropped.len(), spliced.dropped[content]), (1, 600));
    assert!(
        spliced.bytes_copied > 0 && spliced.bytes_dropped > 0 && spliced.unclassified.is_empty()
    );
    let path = spliced.segments[0].path().to_owned();
    let new = bytes(&root, &path);
    assert_eq!(new.len() as u64, spliced.segments[0].size());
    let (after, before) = (
        read(new.clone()),
        old.iter().map(|segment| read(bytes(&root, &segment.path))),
    );
    let before: Vec<_> = before.collect();
    let dropped = ["body", "media", "expires_content"];
    for field in before[0].schema().fields() {
        let name = field.name().as_str();
        if dropped.contains(&name) {
            assert!(after.column_by_name(name).is_none(), "{name}");
            assert!(!holds(&new, name.as_bytes()), "{name}");
        } else {
            let expected: Vec<String> = before.iter().flat_map(|rows| column(rows, name)).collect();
            assert_eq!(column(&after, name), expected, "{name}");
        }
    }
    table
        .commit_rewrite(rewrite(&index, old, spliced.segments))
        .await
        .unwrap();
    index = SegmentIndex::load(&table).await.unwrap();
    let kept = index.get(&path).unwrap();
    assert_eq!(
        kept.deadlines
            .keys()
            .map(|category| category.as_str())
            .collect::<Vec<_>>(),
        ["phone_number"]
    );
    assert!(audit(&root, &"sms".parse().unwrap()).await.unwrap().holds());
    let seen = show(&root, &"sms".parse().unwrap(), noon()).await.unwrap();
    assert_eq!(
        (
            seen.records,
            seen.deadlines[0].open,
            seen.deadlines[1].later
        ),
        (300, 300, 300)
    );
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    table.maintain(noon(), &upkeep).await.unwrap();
    assert!(!holds(&log_bytes(&root), MARKER.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bloom_filters_and_page_indexes_of_what_stays_are_carried() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 2).await;
    let spliced = table
        .splice(&all(&index), &categories(&["content"]))
        .await
        .unwrap();
    let options = ReadOptionsBuilder::new()
        .with_reader_properties(
            ReaderProperties::builder()
                .set_read_bloom_filter(true)
                .build(),
        )
        .with_page_index()
        .build();
    let file =
        SerializedFileReader::new_with_options(bytes(&root, spliced.segments[0].path()), options)
            .unwrap();
    assert_eq!(file.num_row_groups(), 2);
    for number in 0..2 {
        let group = file.get_row_group(number).unwrap();
        let names: Vec<String> = group
            .metadata()
            .columns()
            .iter()
            .map(|chunk| chunk.column_path().string())
            .collect();
        let at = |name: &str| names.iter().position(|found| found == name).unwrap();
        let recipients = group.get_column_bloom_filter(at("recipient")).unwrap();
        assert!((0..100).all(|n| recipients.check(&format!("{MARKER}-{n}").as_str())));
        assert!(!recipients.check(&"absent") || !recipients.check(&"absent too"));
        let offsets = &file.metadata().offset_index().unwrap()[number][at("recipient")];
        let (start, length) = group.metadata().column(at("recipient")).byte_range();
        assert!(
            (start..start + length)
                .contains(&u64::try_from(offsets.page_locations()[0].offset).unwrap())
        );
        assert!(
            file.metadata().column_index().unwrap()[number][at("sent_at")]
                .get_boundary_order()
                .is_some()
        );
    }
    let footer = file.metadata().file_metadata();
    assert!(footer.key_value_metadata().is_none());
    assert_eq!(
        footer.created_by().unwrap(),
        format!("ebbtide {}", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_can_be_spliced_until_only_tags_and_plain_columns_are_left() {
    let (_folder, root) = root();
    let (mut table, mut index) = filled(&root, 2).await;
    for due in ["content", "phone_number"] {
        let old = all(&index);
        let spliced = table.splice(&old, &categories(&[due])).await.unwrap();
        table
            .commit_rewrite(rewrite(&index, old, spliced.segments))
            .await
            .unwrap();
        index = SegmentIndex::load(&table).await.unwrap();
        assert!(index.iter().all(|segment| {
            segment
                .deadlines
                .keys()
                .all(|category| category.as_str() != due)
        }));
    }
    let left = bytes(&root, &all(&index)[0].path);
    assert!(!holds(&left, MARKER.as_bytes()));
    let mut offsets: Vec<i64> = column(&read(left), "source_offset")
        .iter()
        .map(|n| n.parse().unwrap())
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (0..200).collect::<Vec<_>>());
    assert!(audit(&root, &"sms".parse().unwrap()).await.unwrap().holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_one_segment_lacks_is_null_there() {
    let (_folder, root) = root();
    let (mut table, index) = filled(&root, 2).await;
    let old = all(&index);
    let without = table
        .splice(&old[..1], &categories(&["content"]))
        .await
        .unwrap();
    table
        .commit_rewrite(rewrite(&index, old[..1].to_vec(), without.segments))
        .await
        .unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    let mixed = all(&index);
    let one = table
        .splice(&mixed, &categories(&["phone_number"]))
        .await
        .unwrap();
    assert_eq!(one.segments.len(), 1);
    let rows = read(bytes(&root, one.segments[0].path()));
    let nulls = |name: &str| rows.column_by_name(name).unwrap().null_count();
    assert_eq!(
        (
            rows.num_rows(),
            nulls("body"),
            nulls("expires_content"),
            nulls("records")
        ),
        (200, 100, 100, 0)
    );
    // Rows 0, 5, ... have no list; the rows of one segment have none at all.
    assert_eq!(nulls("media"), 120);
    table
        .commit_rewrite(rewrite(&index, mixed, one.segments))
        .await
        .unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    assert_eq!(index.iter().next().unwrap().deadlines.len(), 1);
    assert!(audit(&root, &"sms".parse().unwrap()).await.unwrap().holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_tagged_by_different_policies_are_not_merged() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 4).await;
    let mut old = all(&index);
    old[1].policy_version = Some("2027".parse().unwrap());
    old[3].policy_version = None;
    let spliced = table.splice(&old, &categories(&["content"])).await.unwrap();
    let rows: Vec<u64> = spliced
        .segments
        .iter()
        .map(|segment| segment.rows())
        .collect();
    assert_eq!((rows, spliced.rows), (vec![200, 100, 100], 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_missing_or_damaged_segments_are_refused_and_leave_nothing() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 2).await;
    let old = all(&index);
    let due = categories(&["content"]);
    let refused = |result: Result<_, RewriteError>| match result {
        Err(RewriteError::Store(StoreError::Refused(_))) => true,
        Err(error) => panic!("{error}"),
        Ok(_) => false,
    };
    assert!(refused(table.splice(&[], &due).await.map(|_| ())));
    let mut other = old.clone();
    other[1].profile = "ba9876543210".parse().unwrap();
    assert!(refused(table.splice(&other, &due).await.map(|_| ())));
    let mut later = old.clone();
    let mut deadlines = (*later[1].deadlines).clone();
    deadlines.insert(
        "phone_number".parse().unwrap(),
        ebbtide_base::ids::Deadline(noon()),
    );
    later[1].deadlines = deadlines.into();
    assert!(refused(table.splice(&later, &due).await.map(|_| ())));
    // Deadlines of dropped categories may differ.
    assert!(
        table
            .splice(&later, &categories(&["phone_number"]))
            .await
            .is_ok()
    );

    let folder = root.table_folder(&"sms".parse().unwrap());
    let before = files(&folder);
    let mut sooner = old.clone();
    for segment in &mut sooner {
        segment.deadlines = std::sync::Arc::new(
            [(
                "phone_number".parse().unwrap(),
                ebbtide_base::ids::Deadline(noon()),
            )]
            .into(),
        );
    }
    assert!(matches!(
        table.splice(&sooner, &due).await,
        Err(RewriteError::Damaged { .. })
    ));
    let mut fewer = old.clone();
    fewer[1].rows = 7;
    assert!(matches!(
        table.splice(&fewer, &due).await,
        Err(RewriteError::Damaged { .. })
    ));
    let whole = std::fs::read(folder.join(&*old[1].path)).unwrap();
    std::fs::write(folder.join(&*old[1].path), &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(
        table.splice(&old, &due).await,
        Err(RewriteError::Damaged { .. })
    ));
    std::fs::remove_file(folder.join(&*old[1].path)).unwrap();
    assert!(
        matches!(table.splice(&old, &due).await, Err(RewriteError::SegmentDeleted { path }) if *path == *old[1].path)
    );
    assert_eq!(files(&folder), before - 1);
}

fn files(folder: &std::path::Path) -> usize {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .filter(|entry| entry.as_ref().unwrap().file_type().is_file())
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_the_policy_no_longer_names_are_kept_and_reported() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 1).await;
    let mut narrower = crate::TableSpec::clone(table.spec());
    narrower.columns.retain(|column| column.name != "segments");
    let table = Table::open(&root, narrower.into()).await.unwrap();
    let spliced = table
        .splice(&all(&index), &categories(&["content"]))
        .await
        .unwrap();
    assert_eq!(spliced.unclassified, ["segments".to_owned()].into());
    assert!(
        read(bytes(&root, spliced.segments[0].path()))
            .column_by_name("segments")
            .is_some()
    );
}
