//! Later reads of the controls in force under a root read only the new entries.

use uuid::Uuid;

use crate::testing::{batch, noon, root, spec};
use crate::{ControlsVersion, Evidence, Root, Table, TableControlsCache, raise_controls};
use ebbtide_base::ids::ProductKey;

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

async fn raise(root: &Root, version: i64) {
    let evidence = Evidence::control("hold", Uuid::nil(), noon(), "2026-09-01".parse().unwrap());
    raise_controls(root, &sms(), ControlsVersion(version), evidence)
        .await
        .unwrap();
}

async fn controls(known: &mut TableControlsCache) -> Vec<i64> {
    known
        .look()
        .await
        .unwrap()
        .values()
        .map(|table| table.controls.0)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_needs_no_entry_that_the_first_read() {
    let (_folder, root) = root();
    let mut known = TableControlsCache::new(root.clone());
    assert_eq!(controls(&mut known).await, [0; 0]);
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 10).await;
    table.commit(work).await.unwrap();
    assert_eq!(controls(&mut known).await, [0]);
    raise(&root, 3).await;
    std::fs::remove_file(
        root.table_folder(&sms())
            .join("_delta_log/00000000000000000000.json"),
    )
    .unwrap();
    assert_eq!(controls(&mut known).await, [3]);
    assert!(
        TableControlsCache::new(root).look().await.is_err(),
        "from the start it cannot be read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_went_is_known_no_longer_and_one_of_its_name_is_another() {
    let (folder, root) = root();
    let mut known = TableControlsCache::new(root.clone());
    Table::open(&root, spec()).await.unwrap();
    raise(&root, 2).await;
    assert_eq!(controls(&mut known).await, [2]);
    std::fs::remove_dir_all(root.table_folder(&sms())).unwrap();
    assert_eq!(controls(&mut known).await, [0; 0]);
    Table::open(&root, spec()).await.unwrap();
    assert_eq!(controls(&mut known).await, [0]);
    raise(&root, 4).await;
    assert_eq!(controls(&mut known).await, [4]);
    // Between two calls another process replaces the table by one with as many versions.
    std::fs::remove_dir_all(root.table_folder(&sms())).unwrap();
    let elsewhere = Root::parse(folder.path().to_str().unwrap()).unwrap();
    let mut table = Table::open(&elsewhere, spec()).await.unwrap();
    let work = batch(&table, 0, None, 10).await;
    table.commit(work).await.unwrap();
    assert_eq!((table.version(), controls(&mut known).await), (1, vec![0]));
}
