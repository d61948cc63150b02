use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{CategoryState, RecordHints, RecordHistory, RecordKey, RecordStatus, why};
use ebbtide_base::ids::{Category, Offset, ProductKey};
use ebbtide_table::testing::{batch, filled, noon, partition, rewrite, root, segment, spec};
use ebbtide_table::{
    ColumnRole, IngestCommit, MaintenanceSettings, OffsetAdvance, Root, SegmentIndex, Table,
};

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

fn category(name: &str) -> Category {
    name.parse().unwrap()
}

/// Returns the knowledge of the product that a policy gives.
fn known() -> RecordHints {
    let mut known = RecordHints {
        tenant: Some("customer_id".to_owned()),
        ..RecordHints::default()
    };
    for column in &spec().columns {
        if let ColumnRole::Personal(category) = &column.role {
            known
                .fields
                .entry(category.clone())
                .or_default()
                .insert(column.name.clone());
        }
    }
    known
}

/// Splices all segments into one without `content`, and commits that.
async fn drop_content(table: &mut Table) -> u64 {
    let index = SegmentIndex::load(table).await.unwrap();
    let sources: Vec<_> = index.iter().cloned().collect();
    let spliced = table
        .splice(&sources, &BTreeSet::from([category("content")]))
        .await
        .unwrap();
    table
        .commit_rewrite(rewrite(&index, sources, spliced.segments))
        .await
        .unwrap()
}

async fn of(root: &Root, number: i32, offset: i64, known: &RecordHints) -> RecordHistory {
    let sought = RecordKey::Source {
        partition: partition(number),
        offset: Offset(offset),
    };
    let mut histories = why(root, &sms(), &sought, known).await.unwrap();
    assert_eq!(histories.len(), 1);
    histories.remove(0)
}

fn states(history: &RecordHistory) -> Vec<(&str, &CategoryState)> {
    let RecordStatus::Here(place) = &history.fate else {
        panic!("{:?}", history.fate)
    };
    place
        .categories
        .iter()
        .map(|standing| (standing.category.as_str(), &standing.state))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_record_shows_its_deadline_and_the_commit_that_read_it() {
    let (_folder, root) = root();
    filled(&root, 5).await;
    for (offset, version) in [(0, 1), (99, 1), (100, 2), (250, 3), (499, 5)] {
        let history = of(&root, 0, offset, &RecordHints::default()).await;
        assert_eq!(history.ingest.as_ref().unwrap().version, version);
        let found: Vec<_> = states(&history)
            .into_iter()
            .map(|(category, state)| (category, state.clone()))
            .collect();
        let due = |days| CategoryState::Here {
            until: Some(ebbtide_base::ids::Deadline(noon() + TimeDelta::days(days))),
        };
        assert_eq!(found, [("content", due(90)), ("phone_number", due(180))]);
    }
    let RecordStatus::Here(place) = of(&root, 0, 250, &known()).await.fate else {
        panic!()
    };
    assert_eq!(place.tenant.as_deref(), Some("customer-5"));
    assert_eq!(
        (
            place.jurisdiction.unwrap().as_str(),
            place.policy_version.unwrap().as_str()
        ),
        ("NL", "2026-09-01")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_category_is_shown_with_the_commit_that_deleted_it() {
    let (_folder, root) = root();
    let mut table = filled(&root, 3).await;
    assert_eq!(drop_content(&mut table).await, 4);
    for known in [RecordHints::default(), known()] {
        let history = of(&root, 0, 150, &known).await;
        assert_eq!(history.ingest.as_ref().unwrap().version, 2);
        let found = states(&history);
        let CategoryState::Deleted { by: Some(by) } = found[0].1 else {
            panic!("{found:?}")
        };
        assert_eq!((by.version, by.operation.as_deref()), (4, Some("drop")));
        assert!(matches!(found[1].1, CategoryState::Here { until: Some(_) }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_record_is_shown_with_its_commit_however_often_rewritten() {
    let (_folder, root) = root();
    let mut table = filled(&root, 2).await;
    drop_content(&mut table).await;
    let more = batch(&table, 0, Some(200), 300).await;
    table.commit(more).await.unwrap();
    let index = SegmentIndex::load(&table).await.unwrap();
    let old: Vec<_> = index
        .iter()
        .filter(|segment| segment.rows == 200)
        .cloned()
        .collect();
    let version = table
        .commit_rewrite(rewrite(&index, old, Vec::new()))
        .await
        .unwrap();
    let history = of(&root, 0, 150, &known()).await;
    let RecordStatus::Ended {
        by,
        perhaps_never_stored: false,
    } = &history.fate
    else {
        panic!("{:?}", history.fate)
    };
    assert_eq!(
        by.iter().map(|step| step.version).collect::<Vec<_>>(),
        [version]
    );
    assert!(matches!(
        of(&root, 0, 250, &known()).await.fate,
        RecordStatus::Here(_)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn never_stored_record_is_distinguished_from_one_not_yet_read() {
    let (_folder, root) = root();
    let mut table = filled(&root, 1).await;
    let mut work = batch(&table, 0, Some(100), 110).await;
    work.evidence.partitions[0].records = 15;
    work.evidence.partitions[0].next = Offset(115);
    work.advances = vec![OffsetAdvance {
        partition: partition(0),
        from: Some(Offset(100)),
        next: Offset(115),
        topic: None,
    }];
    (work.evidence.read, work.evidence.expired) = (15, 3);
    work.evidence.dead_letters = [("corrupt".to_owned(), 2)].into();
    table.commit(IngestCommit { ..work }).await.unwrap();
    let history = of(&root, 0, 112, &known()).await;
    assert_eq!(history.ingest.unwrap().version, 2);
    assert_eq!(
        history.fate,
        RecordStatus::NeverStored {
            expired: 3,
            skipped: 0,
            dead_letters: [("corrupt".to_owned(), 2)].into()
        }
    );
    assert_eq!(
        of(&root, 0, 115, &known()).await.fate,
        RecordStatus::NotRead {
            next: Some(Offset(115))
        }
    );
    assert_eq!(
        of(&root, 7, 0, &known()).await.fate,
        RecordStatus::NotRead { next: None }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_category_that_was_due_on_arrival_was_never_stored() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let mut work = batch(&table, 0, None, 100).await;
    let whole = ebbtide_table::testing::rows(0, 0, 100);
    let kept: Vec<usize> = (0..whole.num_columns())
        .filter(|column| {
            !["body", "media"].contains(&whole.schema().field(*column).name().as_str())
        })
        .collect();
    let mut tags = ebbtide_table::testing::segment_tags();
    tags.deadlines[0].1 = None;
    let absent = ["body".to_owned(), "media".to_owned()];
    let mut writer = ebbtide_table::SegmentWriter::new(spec(), tags, &absent).unwrap();
    writer.write(&whole.project(&kept).unwrap()).unwrap();
    work.segments = vec![table.put(writer.finish().unwrap()).await.unwrap()];
    table.commit(work).await.unwrap();
    assert_eq!(
        states(&of(&root, 0, 5, &known()).await)[0].1,
        &CategoryState::LeftOut
    );
    assert_eq!(
        states(&of(&root, 0, 5, &RecordHints::default()).await)[0].1,
        &CategoryState::Unsure
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_found_by_a_value_of_text_or_of_another_type() {
    let (_folder, root) = root();
    let mut table = filled(&root, 3).await;
    drop_content(&mut table).await;
    let find = async |column: &str, value: &str, known: RecordHints| {
        let sought = RecordKey::Value {
            column: column.to_owned(),
            value: value.to_owned(),
        };
        why(&root, &sms(), &sought, &known).await
    };
    let found = find("source_offset", "123", known()).await.unwrap();
    assert_eq!(
        (
            found.len(),
            found[0].offset,
            found[0].ingest.as_ref().unwrap().version
        ),
        (1, Some(Offset(123)), 2)
    );
    assert_eq!(
        find("customer_id", "customer-3", known())
            .await
            .unwrap()
            .len(),
        super::MOST
    );
    assert!(
        find("customer_id", "customer-33", known())
            .await
            .unwrap()
            .is_empty()
    );
    let elsewhere = RecordHints {
        bucket: Some("2026-09-22".parse().unwrap()),
        ..known()
    };
    assert!(
        find("source_offset", "123", elsewhere)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        find("nothing", "1", known()).await.unwrap_err().to_string(),
        "table sms has no column nothing to find a record by"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_log_entries_are_reported_instead_of_a_history() {
    let (_folder, root) = root();
    let mut table = filled(&root, 2).await;
    drop_content(&mut table).await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let part = segment(&table, 0, 100, 200).await;
    let old: Vec<_> = index.iter().cloned().collect();
    table
        .commit_rewrite(rewrite(&index, old, vec![part]))
        .await
        .unwrap();
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    table.maintain(noon(), &upkeep).await.unwrap();
    let more = batch(&table, 1, None, 10).await;
    table.commit(more).await.unwrap();
    table
        .maintain(noon() + TimeDelta::days(36_500), &upkeep)
        .await
        .unwrap();
    let history = of(&root, 0, 50, &known()).await;
    let RecordStatus::Unknown { oldest_entry } = history.fate else {
        panic!("{:?}", history.fate)
    };
    assert!(oldest_entry > 2);
    let here = of(&root, 0, 150, &known()).await;
    assert!((matches!(here.fate, RecordStatus::Here(_)), here.ingest) == (true, None));
}

#[test]
fn states_keep_their_words_in_json() {
    let word = |status: RecordStatus| serde_json::to_value(status).unwrap()["is"].clone();
    let ended = RecordStatus::Ended {
        by: Vec::new(),
        perhaps_never_stored: false,
    };
    assert_eq!(word(ended), "gone");
    assert_eq!(word(RecordStatus::Unknown { oldest_entry: 1 }), "untold");
    let deleted = serde_json::to_value(CategoryState::Deleted { by: None }).unwrap();
    assert_eq!(deleted["state"], "gone");
}
