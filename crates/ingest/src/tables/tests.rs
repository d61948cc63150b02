use serde_json::json;

use super::LaneTables;
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{CommitIdentity, HoldOrder, Scope, SharedControls, place, release};
use ebbtide_query::audit;
use ebbtide_table::testing::{batch, noon, root, spec};
use ebbtide_table::{CommitError, ControlLog, ControlsVersion, Evidence, Root, StoreError, Table};

struct Scene {
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
    root: Root,
    tables: LaneTables,
    sms: ProductKey,
}

fn scene() -> Scene {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (folder, root) = root();
    let table = runtime.block_on(Table::open(&root, spec())).unwrap();
    let opened = [(table, vec!["traffic.sms".parse().unwrap()])];
    let tables = LaneTables::new(runtime.handle(), SharedControls::new(root.clone()), opened);
    Scene {
        runtime,
        _folder: folder,
        root,
        tables,
        sms: "sms".parse().unwrap(),
    }
}

fn signature() -> CommitIdentity {
    CommitIdentity {
        writer: uuid::Uuid::nil(),
        at: noon(),
        policy_version: "2026-09-01".parse().unwrap(),
    }
}

#[test]
fn a_writer_reads_unseen_holds_and_releases_and_commits_its_batch_once() {
    let Scene {
        runtime,
        _folder,
        root,
        tables,
        sms,
    } = scene();
    runtime.block_on(async {
        let scope = Scope {
            tenant: Some("customer-1".to_owned()),
            ..Scope::default()
        };
        let (case, basis) = ("case-1".to_owned(), "order".to_owned());
        let order = HoldOrder {
            case,
            basis,
            until: noon() + chrono::TimeDelta::days(9),
            placed_by: None,
            scope,
        };
        let placed = place(&root, order, &signature()).await.unwrap();
        release(&root, &placed.id, &signature()).await.unwrap();
    });
    let table = runtime.block_on(Table::open(&root, spec())).unwrap();
    let mut unaware = runtime.block_on(batch(&table, 0, None, 100));
    assert_eq!(unaware.controls, ControlsVersion(0));
    assert_eq!(tables.commit(&sms, &mut unaware).unwrap(), 3);
    assert_eq!(unaware.controls, ControlsVersion(2));
    // Committed again, as after an error: the first commit succeeded.
    assert_eq!(tables.commit(&sms, &mut unaware).unwrap(), 3);
    let found = runtime.block_on(audit(&root, &sms)).unwrap();
    assert_eq!(
        (found.broken, found.records, found.commits),
        (vec![], 100, 3)
    );
}

#[test]
fn nothing_is_committed_while_a_control_of_an_unknown_kind_is_in_the_log() {
    let Scene {
        runtime,
        _folder,
        root,
        tables,
        sms,
    } = scene();
    let mut table = runtime.block_on(Table::open(&root, spec())).unwrap();
    let mut work = runtime.block_on(batch(&table, 0, None, 100));
    runtime.block_on(async {
        let log = ControlLog::open(&root);
        let control = json!({ "format": 1, "kind": "suppression", "subject": "31612345678" });
        log.append(ControlsVersion(1), &control).await.unwrap();
        let evidence = Evidence::control(
            "suppression",
            uuid::Uuid::nil(),
            noon(),
            signature().policy_version,
        );
        table
            .commit_controls(ControlsVersion(1), evidence)
            .await
            .unwrap();
    });
    let refused = tables.commit(&sms, &mut work).unwrap_err();
    assert!(
        matches!(
            refused,
            CommitError::Store(StoreError::ControlsUnreadable { version: 1, .. })
        ),
        "{refused}"
    );
    assert!(!refused.to_string().contains("316"), "{refused}");
}
