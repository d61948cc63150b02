//! A table as Ebbtide writes it: only stored values are found, and its log contains no personal
//! value.

use super::*;
use ebbtide_table::Table;
use ebbtide_table::janitor::MaintenanceSettings;
use ebbtide_table::testing::{MARKER, batch, noon, root, spec};

async fn filled() -> (tempfile::TempDir, ebbtide_table::Root) {
    let (folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    for from in [None, Some(100), Some(200)] {
        let work = batch(&table, 0, from, from.unwrap_or(0) + 100).await;
        table.commit(work).await.unwrap();
    }
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
    (folder, root)
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_values_are_not_found_in_a_table() {
    let (folder, _root) = filled().await;
    let values: Vec<String> = (0..2000)
        .map(|number| format!("canary-{number:05}@example.net"))
        .collect();
    let residue = searched(
        folder.path(),
        &values.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(
        (
            residue.verdict(),
            &residue.unsearched[..],
            &residue.findings[..]
        ),
        (ResidueOutcome::Clean, [].as_slice(), [].as_slice())
    );
    // Three segments; four versions of the log; a checkpoint and its hint file.
    assert_eq!((residue.values, residue.files), (2000, 3 + 4 + 2));
    assert_eq!(residue.blooms.filters, 3 * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_values_are_found_in_the_segments_alone() {
    let (folder, _root) = filled().await;
    let recipient = format!("{MARKER}-42");
    let body = format!("{MARKER} hello 42");
    let media = format!("{MARKER}-41-1");
    let residue = searched(
        folder.path(),
        &[&recipient, &body, &media, &noon().to_rfc3339()],
    );
    let columns_of = |line: u32| {
        let of = residue
            .findings
            .iter()
            .filter(move |f| f.line.0 == line && f.place == LocationKind::Value);
        of.map(|f| f.column.clone().unwrap())
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert!(columns_of(1).contains("recipient"), "{:?}", columns_of(1));
    assert_eq!(columns_of(2).into_iter().collect::<Vec<_>>(), ["body"]);
    assert!(
        columns_of(3)
            .iter()
            .any(|column| column.starts_with("media")),
        "{:?}",
        columns_of(3)
    );
    assert!(
        columns_of(4).contains("sent_at") && columns_of(4).contains("ingested_at"),
        "{:?}",
        columns_of(4)
    );
    let in_log = |finding: &&crate::residue::Finding| {
        finding.file.contains("_delta_log") && finding.line.0 < 4
    };
    assert_eq!(residue.findings.iter().filter(in_log).count(), 0);
    assert_eq!(residue.unsearched, []);
}
