use chrono::TimeDelta;
use serde_json::Value;

use super::{AuditViolation, audit, products, show};
use ebbtide_base::ids::ProductKey;
use ebbtide_table::testing::{active_paths, batch, noon, partition, rewrite, root, segment, spec};
use ebbtide_table::{MaintenanceSettings, Root, SegmentIndex, Table};

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

async fn two_commits(root: &Root) -> Table {
    let mut table = Table::open(root, spec()).await.unwrap();
    for from in [None, Some(100)] {
        let work = batch(&table, 0, from, from.unwrap_or(0) + 100).await;
        table.commit(work).await.unwrap();
    }
    table
}

/// Changes an entry of the log in place.
fn tamper(root: &Root, version: u64, change: impl Fn(&mut Value)) {
    let path = root
        .table_folder(&sms())
        .join(format!("_delta_log/{version:020}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            change(&mut line);
            line.to_string()
        })
        .collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_listed_and_shown() {
    let (_folder, root) = root();
    assert_eq!(products(&root).await.unwrap(), vec![]);
    assert_eq!(
        show(&root, &sms(), noon())
            .await
            .unwrap_err()
            .to_string()
            .split(" under ")
            .next(),
        Some("there is no table sms")
    );
    two_commits(&root).await;
    assert_eq!(products(&root).await.unwrap(), vec![sms()]);
    let seen = show(&root, &sms(), noon() + TimeDelta::days(89))
        .await
        .unwrap();
    assert_eq!((seen.version, seen.records, seen.segments), (2, 200, 2));
    assert_eq!(seen.partitions[0].partition, partition(0));
    assert_eq!(seen.partitions[0].next.0, 200);
    let content = seen
        .deadlines
        .iter()
        .find(|ahead| ahead.category.as_str() == "content")
        .unwrap();
    assert_eq!(
        (
            content.due,
            content.within_a_day,
            content.within_a_week,
            content.later
        ),
        (0, 200, 0, 0)
    );
    let seen = show(&root, &sms(), noon() + TimeDelta::days(90))
        .await
        .unwrap();
    let content = seen
        .deadlines
        .iter()
        .find(|ahead| ahead.category.as_str() == "content")
        .unwrap();
    assert_eq!(
        (content.due, content.next.unwrap().0),
        (200, noon() + TimeDelta::days(90))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_table_passes_the_audit() {
    let (_folder, root) = root();
    two_commits(&root).await;
    let found = audit(&root, &sms()).await.unwrap();
    assert!(found.holds(), "{:?}", found.broken);
    assert_eq!(
        (found.commits, found.records, found.oldest_entry),
        (2, 200, 0)
    );
    assert_eq!(found.totals.unwrap().read, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_a_short_and_an_unlisted_file_are_found() {
    let (_folder, root) = root();
    two_commits(&root).await;
    let paths = active_paths(&root, &sms()).await.unwrap();
    std::fs::remove_file(root.table_folder(&sms()).join(&paths[0])).unwrap();
    std::fs::write(root.table_folder(&sms()).join(&paths[1]), b"short").unwrap();
    let broken = audit(&root, &sms()).await.unwrap().broken;
    assert_eq!(broken.len(), 2);
    assert!(broken.contains(&AuditViolation::Missing {
        path: paths[0].clone()
    }));
    assert!(matches!(
        &broken[..],
        [.., AuditViolation::Size { found: 5, .. }] | [AuditViolation::Size { found: 5, .. }, ..]
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_and_doubled_records_and_broken_chains_are_found() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 6] = [
        (
            |line| evidence(line, |e| e["read"] = 101.into()),
            "read 101, accounted for 100",
        ),
        (
            |line| evidence(line, |e| e["totals"]["stored"] = 150.into()),
            "running totals",
        ),
        (
            |line| evidence(line, |e| e["partitions"][0]["from"] = 90.into()),
            "traffic.sms/0 continues at 90, and the table had come to 100",
        ),
        (
            |line| evidence(line, |e| e["partitions"][0]["next"] = 190.into()),
            "continues in traffic.sms/0 at 200, and its evidence ends at 190",
        ),
        (
            |line| {
                if line.get("add").is_some() {
                    *line = serde_json::json!({"txn": {"appId": "x", "version": 1}})
                }
            },
            "its evidence stored 100, its files hold 0",
        ),
        (
            |line| {
                if line.get("commitInfo").is_some() {
                    line["commitInfo"]["ebbtide"] = Value::Null
                }
            },
            "continues in traffic.sms/0 at 200, and its evidence ends at 100",
        ),
    ];
    for (change, expected) in changes {
        let (_folder, root) = root();
        two_commits(&root).await;
        tamper(&root, 2, change);
        let listed: Vec<String> = audit(&root, &sms())
            .await
            .unwrap()
            .broken
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            listed.iter().any(|line| line.contains(expected)),
            "{expected}: {listed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rewrites_that_lose_records_are_found() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 6] = [
        (
            |line| evidence(line, |e| e["rewrite"]["removed"] = 21.into()),
            "of 200 records rewritten, 201 are accounted for",
        ),
        (
            |line| {
                evidence(line, |e| {
                    e["rewrite"]["records_in"] = 199.into();
                    e["rewrite"]["removed"] = 19.into();
                });
            },
            "its evidence took out 199 records, the files it removed held 200",
        ),
        (
            |line| {
                evidence(line, |e| {
                    e["rewrite"]["records_out"] = 190.into();
                    e["rewrite"]["removed"] = 10.into();
                });
            },
            "its evidence put back 190 records, the files it added hold 180",
        ),
        (
            |line| evidence(line, |e| e["totals"]["removed"] = 0.into()),
            "running totals",
        ),
        (
            |line| evidence(line, |e| e["totals"]["suppressed"] = 1.into()),
            "179 records were stored and have not ended",
        ),
        (
            |line| {
                if line.get("remove").is_some() {
                    *line = serde_json::json!({"txn": {"appId": "x", "version": 1}})
                }
            },
            "180 records were stored and have not ended, and the table's files hold 380",
        ),
    ];
    for (change, expected) in changes {
        let (_folder, root) = root();
        let mut table = two_commits(&root).await;
        let index = SegmentIndex::load(&table).await.unwrap();
        let old = index.iter().cloned().collect();
        let rest = segment(&table, 0, 0, 180).await;
        table
            .commit_rewrite(rewrite(&index, old, vec![rest]))
            .await
            .unwrap();
        assert!(audit(&root, &sms()).await.unwrap().holds());
        tamper(&root, 3, change);
        let listed: Vec<String> = audit(&root, &sms())
            .await
            .unwrap()
            .broken
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            listed.iter().any(|line| line.contains(expected)),
            "{expected}: {listed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_from_before_there_were_rewrites_is_read() {
    let (_folder, root) = root();
    two_commits(&root).await;
    for version in [1, 2] {
        tamper(&root, version, |line| {
            evidence(line, |evidence| {
                let totals = evidence["totals"].as_object_mut().unwrap();
                assert!(
                    totals.remove("removed").is_some() && totals.remove("suppressed").is_some()
                );
                assert!(evidence.get("rewrite").is_none());
            });
        });
    }
    let found = audit(&root, &sms()).await.unwrap();
    assert!(found.holds(), "{:?}", found.broken);
    assert_eq!((found.commits, found.totals.unwrap().kept()), (2, 200));
}

/// Adds 50 rows like another engine.
async fn append(root: &Root, table: &Table, version: u64) {
    let added = segment(table, 7, 0, 50).await;
    let (path, size) = (added.path(), added.size());
    let bucket = path.split(['=', '/']).nth(1).unwrap();
    let profile = path.split(['=', '/']).nth(3).unwrap();
    let add = serde_json::json!({"add": {
        "path": path, "size": size, "modificationTime": 0, "dataChange": true, "stats": "{\"numRecords\": 50}",
        "partitionValues": {"bucket": bucket, "profile": profile},
    }});
    let text = format!("{{\"commitInfo\":{{\"operation\":\"WRITE\"}}}}\n{add}\n");
    std::fs::write(
        root.table_folder(&sms())
            .join(format!("_delta_log/{version:020}.json")),
        text,
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_another_engine_stay_counted_after_its_entries_are_deleted() {
    let (_folder, root) = root();
    let mut table = two_commits(&root).await;
    append(&root, &table, 3).await;
    let found = audit(&root, &sms()).await.unwrap();
    assert_eq!(
        (found.broken.as_slice(), found.foreign_rows, found.records),
        (&[][..], 50, 250)
    );
    let more = batch(&table, 0, Some(200), 210).await;
    table.commit(more).await.unwrap();
    append(&root, &table, 5).await;
    let more = batch(
        &Table::open(&root, spec()).await.unwrap(),
        0,
        Some(210),
        220,
    )
    .await;
    table.commit(more).await.unwrap();
    let found = audit(&root, &sms()).await.unwrap();
    assert_eq!(
        (found.broken.as_slice(), found.foreign_rows, found.records),
        (&[][..], 100, 320)
    );
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    table.maintain(noon(), &upkeep).await.unwrap();
    let more = batch(&table, 0, Some(220), 230).await;
    table.commit(more).await.unwrap();
    table
        .maintain(noon() + TimeDelta::days(36_500), &upkeep)
        .await
        .unwrap();
    let found = audit(&root, &sms()).await.unwrap();
    assert!(found.oldest_entry > 5);
    assert_eq!(
        (found.broken.as_slice(), found.foreign_rows, found.records),
        (&[][..], 100, 330)
    );
}

fn evidence(line: &mut Value, change: impl Fn(&mut Value)) {
    if let Some(info) = line.get_mut("commitInfo") {
        change(&mut info["ebbtide"]);
    }
}
