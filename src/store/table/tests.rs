use crate::ids::Offset;
use crate::store::testing::{batch, partition, spec};
use crate::store::{CommitError, Root, Table};

fn root() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
    (folder, root)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_there_after_opening_again() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    assert_eq!(table.version(), 0);
    assert_eq!(table.next_offset(&partition(0)), None);
    let first = batch(&table, 0, None, 100).await;
    assert_eq!(table.commit(first).await.unwrap(), 1);
    let second = batch(&table, 0, Some(100), 250).await;
    assert_eq!(table.commit(second).await.unwrap(), 2);
    let again = Table::open(&root, spec()).await.unwrap();
    assert_eq!(again.version(), 2);
    assert_eq!(again.next_offset(&partition(0)), Some(Offset(250)));
    assert_eq!(again.state.totals, table.state.totals);
    if let Ok(keep) = std::env::var("EBBTIDE_KEEP") {
        std::process::Command::new("cp").arg("-r").arg(root.folder()).arg(keep).status().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_of_the_same_offsets_one_wins_whole() {
    let (_folder, root) = root();
    let mut one = Table::open(&root, spec()).await.unwrap();
    let mut other = Table::open(&root, spec()).await.unwrap();
    let (a, b) = (batch(&one, 0, None, 100).await, batch(&other, 0, None, 70).await);
    one.commit(a).await.unwrap();
    assert!(matches!(other.commit(b).await, Err(CommitError::OffsetsMoved(moved)) if moved == partition(0)));
    assert_eq!(other.next_offset(&partition(0)), Some(Offset(100)));
    assert_eq!(other.version(), 1);
}
