use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use ebbtide_table::log::LogState;
use ebbtide_table::testing::{filled, noon, paths, rewrite, root};
use ebbtide_table::{
    MaintenanceSettings, MergeSettings, Predicate, SegmentIndex, SplitResult, StoredSegment, Table,
};

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

fn file(root: &Root, path: &str) -> PathBuf {
    root.table_folder(&sms()).join(path)
}

async fn listed(table: &Table) -> (SegmentIndex, Vec<StoredSegment>) {
    let index = SegmentIndex::load(table).await.unwrap();
    let segments = index.iter().cloned().collect();
    (index, segments)
}

/// Creates a table with a segment as ingest writes it, and one of each kind of rewrite.
async fn of_every_kind(root: &Root) -> Table {
    let mut table = filled(root, 6).await;
    let (index, all) = listed(&table).await;
    let merging = MergeSettings {
        sort_by: Vec::new(),
        memory: 1 << 20,
    };
    let merged = table.merge(&all[..2], &merging).await.unwrap();
    table
        .commit_rewrite(rewrite(&index, all[..2].to_vec(), vec![merged]))
        .await
        .unwrap();
    let (index, _) = listed(&table).await;
    let dropped = table
        .splice(&all[2..4], &["content".parse().unwrap()].into())
        .await
        .unwrap()
        .segments;
    table
        .commit_rewrite(rewrite(&index, all[2..4].to_vec(), dropped))
        .await
        .unwrap();
    let (index, _) = listed(&table).await;
    let one = Predicate::Is {
        column: "customer_id".to_owned(),
        value: "customer-1".to_owned(),
    };
    let SplitResult::Both { matching, rest } = table.split(&all[4], &one).await.unwrap() else {
        panic!("it does not part")
    };
    table
        .commit_rewrite(rewrite(&index, vec![all[4].clone()], vec![matching, rest]))
        .await
        .unwrap();
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_segment_has_a_digest() {
    let (_folder, root) = root();
    let mut table = of_every_kind(&root).await;
    for checkpointed in [false, true] {
        if checkpointed {
            let made = table
                .maintain(
                    noon(),
                    &MaintenanceSettings {
                        checkpoint_every: 1,
                        ..MaintenanceSettings::default()
                    },
                )
                .await
                .unwrap();
            assert!(made.checkpoint.is_some());
        }
        let found = audit_contents(&root, &sms()).await.unwrap();
        assert_eq!(found.broken, []);
        let contents = found.contents.unwrap();
        assert_eq!(contents.bytes, found.bytes, "checkpoint: {checkpointed}");
        assert_eq!(
            contents.digests, found.segments,
            "checkpoint: {checkpointed}"
        );
        assert!(contents.pages_without_checksum > 40, "{contents:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn overwritten_byte_anywhere_in_any_file_is_found() {
    let (_folder, root) = root();
    of_every_kind(&root).await;
    for path in paths(&root).await {
        let whole = std::fs::read(file(&root, &path)).unwrap();
        for part in 0..24 {
            let mut bytes = whole.clone();
            let at = (whole.len() - 1) * part / 23;
            bytes[at] ^= 0x55;
            std::fs::write(file(&root, &path), &bytes).unwrap();
            assert!(
                audit(&root, &sms()).await.unwrap().holds(),
                "its size and the log are as they were"
            );
            let found = audit_contents(&root, &sms()).await.unwrap();
            let [AuditViolation::Contents { path: named, .. }] = &found.broken[..] else {
                panic!("byte {at} of {path}: {:?}", found.broken)
            };
            let said = found.broken[0].to_string();
            assert!(
                *named == path && !said.contains('\n') && said.contains("restore it"),
                "{said}"
            );
        }
        std::fs::write(file(&root, &path), whole).unwrap();
    }
    assert!(audit_contents(&root, &sms()).await.unwrap().holds());
}

/// Returns the lines of an audit, or its error.
async fn said(root: &Root) -> Vec<String> {
    match audit(root, &sms()).await {
        Ok(found) => found.broken.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn entry(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

fn checkpoint_file(version: u64) -> String {
    format!("_delta_log/{version:020}.checkpoint.parquet")
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_entry_is_named_with_its_table_in_one_line() {
    for (version, checkpointed) in [(4, false), (2, false), (0, false), (3, true), (0, true)] {
        for damage in ["", "{\"add\": {\"path\"", "\u{0}\u{0}\u{0}\u{0}", "[1, 2]"] {
            let (_folder, root) = root();
            let mut table = filled(&root, 4).await;
            if checkpointed {
                table
                    .maintain(
                        noon(),
                        &MaintenanceSettings {
                            checkpoint_every: 1,
                            ..MaintenanceSettings::default()
                        },
                    )
                    .await
                    .unwrap();
            }
            std::fs::write(file(&root, &entry(version)), damage).unwrap();
            let lines = said(&root).await;
            let named = lines.iter().find(|line| line.contains(&entry(version)));
            let named =
                named.unwrap_or_else(|| panic!("{version} {damage:?} {checkpointed}: {lines:?}"));
            assert!(
                named.starts_with("table sms: ") && named.contains("restore the file"),
                "{named}"
            );
            assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
            assert_eq!(
                LogState::load(&root.table_log(&sms())).await.is_ok(),
                checkpointed,
                "{version} {damage:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_checkpoint_is_used_where_the_newest_cannot_be_read() {
    for damage in ["empty", "cut", "head", "middle", "tail"] {
        let (_folder, root) = root();
        let mut table = filled(&root, 3).await;
        let upkeep = MaintenanceSettings {
            checkpoint_every: 1,
            ..MaintenanceSettings::default()
        };
        table.maintain(noon(), &upkeep).await.unwrap();
        let older = table.version();
        let (_, all) = listed(&table).await;
        for segment in &all[..2] {
            let (index, _) = listed(&table).await;
            let dropped = table
                .splice(
                    std::slice::from_ref(segment),
                    &["content".parse().unwrap()].into(),
                )
                .await
                .unwrap()
                .segments;
            table
                .commit_rewrite(rewrite(&index, vec![segment.clone()], dropped))
                .await
                .unwrap();
        }
        table.maintain(noon(), &upkeep).await.unwrap();
        let newest = table.version();
        let before: BTreeSet<String> = paths(&root).await.into_iter().collect();
        let path = file(&root, &checkpoint_file(newest));
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        match damage {
            "empty" => bytes.clear(),
            "cut" => bytes.truncate(length / 2),
            "head" => bytes[..64].fill(0xff),
            "middle" => bytes[64..length - 64].fill(0),
            _ => bytes[length - 64..].fill(0x2a),
        }
        std::fs::write(&path, bytes).unwrap();

        let lines = said(&root).await;
        assert_eq!(lines.len(), 1, "{damage}: {lines:?}");
        assert!(
            lines[0].starts_with(&format!("table sms: {}", checkpoint_file(newest))),
            "{}",
            lines[0]
        );
        assert!(
            !lines[0].contains('\n') && lines[0].contains("older checkpoint"),
            "{}",
            lines[0]
        );
        assert_eq!(
            paths(&root).await.into_iter().collect::<BTreeSet<_>>(),
            before,
            "{damage}"
        );
        let mut again = Table::open(&root, ebbtide_table::testing::spec())
            .await
            .unwrap();
        assert_eq!((again.version(), listed(&again).await.1.len()), (newest, 3));

        // Entries that the damaged checkpoint made unnecessary are kept, however old they are.
        let old = noon() + chrono::TimeDelta::days(10_000);
        let plan = again.plan(old, &upkeep).await.unwrap();
        let missing: Vec<&String> = plan
            .log
            .iter()
            .filter(|path| path.as_str() >= entry(older + 1).as_str())
            .collect();
        assert_eq!(missing, Vec::<&String>::new(), "{damage}");
        // Without an older checkpoint and with an entry missing, nothing is guessed.
        std::fs::remove_file(file(&root, &checkpoint_file(older))).unwrap();
        std::fs::remove_file(file(&root, &entry(1))).unwrap();
        let lines = said(&root).await;
        let named = [checkpoint_file(newest), entry(1)];
        assert!(
            lines.len() == 1 && named.iter().any(|file| lines[0].contains(file)),
            "{damage}: {lines:?}"
        );
    }
}

/// Returns a table of several versions with a checkpoint at version 1 or later and at the newest.
async fn with_two_checkpoints(root: &Root) -> (u64, u64, BTreeSet<String>) {
    let mut table = filled(root, 3).await;
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    table.maintain(noon(), &upkeep).await.unwrap();
    let older = table.version();
    let (index, all) = listed(&table).await;
    let categories = ["content".parse().unwrap()].into();
    let dropped = table.splice(&all[..1], &categories).await.unwrap().segments;
    table
        .commit_rewrite(rewrite(&index, all[..1].to_vec(), dropped))
        .await
        .unwrap();
    table.maintain(noon(), &upkeep).await.unwrap();
    (
        older,
        table.version(),
        paths(root).await.into_iter().collect(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_that_was_moved_away_as_advised_is_not_needed() {
    for hint in ["as it was", "damaged", "missing"] {
        let (_folder, root) = root();
        let (older, newest, before) = with_two_checkpoints(&root).await;
        std::fs::remove_file(file(&root, &checkpoint_file(newest))).unwrap();
        let at = file(&root, "_delta_log/_last_checkpoint");
        match hint {
            "damaged" => std::fs::write(at, "{\"version\": 1").unwrap(),
            "missing" => std::fs::remove_file(at).unwrap(),
            _ => {}
        }
        assert_eq!(said(&root).await, [""; 0], "{hint}");
        assert_eq!(
            paths(&root).await.into_iter().collect::<BTreeSet<_>>(),
            before,
            "{hint}"
        );
        // Likewise without the older checkpoint, since every entry exists.
        std::fs::remove_file(file(&root, &checkpoint_file(older))).unwrap();
        assert_eq!(said(&root).await, [""; 0], "{hint}");
        let mut again = Table::open(&root, ebbtide_table::testing::spec())
            .await
            .unwrap();
        assert_eq!(again.version(), newest);
        let upkeep = MaintenanceSettings {
            checkpoint_every: 1,
            ..MaintenanceSettings::default()
        };
        assert_eq!(
            again.maintain(noon(), &upkeep).await.unwrap().checkpoint,
            Some(newest),
            "{hint}"
        );
        assert!(
            LogState::load(&root.table_log(&sms()))
                .await
                .unwrap()
                .is_some()
        );
        // Without an entry that no checkpoint replaces, the entry is named.
        std::fs::remove_file(file(&root, &checkpoint_file(newest))).unwrap();
        std::fs::remove_file(file(&root, &entry(1))).unwrap();
        let lines = said(&root).await;
        assert!(
            lines.len() == 1 && lines[0].starts_with("table sms: _delta_log/"),
            "{hint}: {lines:?}"
        );
    }
}

/// Writes a checkpoint again with some texts replaced by others of the same length.
fn overwrite_text(path: &std::path::Path, text: &str, other: &str) {
    use arrow::array::{Array, ArrayRef, StringArray, StructArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use std::sync::Arc;

    fn replaced(array: &ArrayRef, text: &str, other: &str) -> ArrayRef {
        if let Some(texts) = array.as_any().downcast_ref::<StringArray>() {
            let texts: StringArray = texts
                .iter()
                .map(|value| value.map(|value| value.replace(text, other)))
                .collect();
            return Arc::new(texts);
        }
        let Some(of) = array.as_any().downcast_ref::<StructArray>() else {
            return Arc::clone(array);
        };
        let columns = of
            .columns()
            .iter()
            .map(|column| replaced(column, text, other))
            .collect();
        Arc::new(StructArray::new(
            of.fields().clone(),
            columns,
            of.nulls().cloned(),
        ))
    }

    let bytes = bytes::Bytes::from(std::fs::read(path).unwrap());
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)
        .unwrap()
        .build()
        .unwrap();
    let batches: Vec<_> = reader
        .map(|batch| StructArray::from(batch.unwrap()))
        .collect();
    let replaced = batches.iter().map(|batch| {
        let all: ArrayRef = Arc::new(batch.clone());
        let all = replaced(&all, text, other);
        arrow::array::RecordBatch::from(all.as_any().downcast_ref::<StructArray>().unwrap())
    });
    let replaced: Vec<_> = replaced.collect();
    let mut writer = ArrowWriter::try_new(
        std::fs::File::create(path).unwrap(),
        replaced[0].schema(),
        None,
    )
    .unwrap();
    replaced
        .iter()
        .for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn older_checkpoint_is_used_where_the_content_of_the_newest_is_damaged() {
    for (text, other) in [("nullable", "nuxlable"), ("\"fields\"", "\u{1}fields\"")] {
        let (_folder, root) = root();
        let (older, newest, before) = with_two_checkpoints(&root).await;
        overwrite_text(&file(&root, &checkpoint_file(newest)), text, other);
        let lines = said(&root).await;
        assert_eq!(lines.len(), 1, "{text}: {lines:?}");
        let named = format!("table sms: {} is damaged: ", checkpoint_file(newest));
        assert!(
            lines[0].starts_with(&named) && lines[0].contains("older checkpoint"),
            "{}",
            lines[0]
        );
        assert!(!lines[0].contains('\n'), "{}", lines[0]);
        assert_eq!(
            paths(&root).await.into_iter().collect::<BTreeSet<_>>(),
            before,
            "{text}"
        );
        let again = Table::open(&root, ebbtide_table::testing::spec())
            .await
            .unwrap();
        assert_eq!(again.version(), newest);
        // Without the entry of its version, the table would be an older one.
        std::fs::rename(file(&root, &entry(newest)), file(&root, "kept")).unwrap();
        let lines = said(&root).await;
        assert!(
            lines.len() == 1 && lines[0].starts_with(&named),
            "{text}: {lines:?}"
        );
        std::fs::rename(file(&root, "kept"), file(&root, &entry(newest))).unwrap();
        // Without the older one and all entries, nothing is guessed.
        std::fs::remove_file(file(&root, &checkpoint_file(older))).unwrap();
        std::fs::remove_file(file(&root, &entry(1))).unwrap();
        let lines = said(&root).await;
        assert!(
            lines.len() == 1 && lines[0].starts_with(&named),
            "{text}: {lines:?}"
        );
    }
}
