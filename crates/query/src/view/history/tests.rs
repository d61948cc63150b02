use chrono::TimeDelta;
use futures::TryStreamExt;

use super::{CommitFilter, CommitKind, CommitRecord, history};
use ebbtide_table::testing::{batch, noon, rewrite, root, spec};
use ebbtide_table::{Root, SegmentIndex, Table};

async fn commits(root: &Root, wanted: CommitFilter) -> Vec<CommitRecord> {
    let (span, found) = history(root, &"sms".parse().unwrap(), wanted)
        .await
        .unwrap();
    assert_eq!((span.oldest_entry, span.version), (0, 3));
    found.try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_are_listed_oldest_first_and_only_those_that_are_wanted() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    for (from, next, hours) in [(None, 100, 0), (Some(100), 150, 5)] {
        let mut work = batch(&table, 0, from, next).await;
        work.evidence.at = noon() + TimeDelta::hours(hours);
        table.commit(work).await.unwrap();
    }
    let index = SegmentIndex::load(&table).await.unwrap();
    let old: Vec<_> = index.iter().take(1).cloned().collect();
    let records = old[0].records;
    let mut removal = rewrite(&index, old, Vec::new());
    removal.evidence.operation = "remove".to_owned();
    removal.evidence.at = noon() + TimeDelta::days(90);
    table.commit_rewrite(removal).await.unwrap();

    let all = commits(&root, CommitFilter::default()).await;
    assert_eq!(
        all.iter().map(|commit| commit.version).collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert_eq!(all[0].did, CommitKind::NoEvidence { foreign: false });
    assert_eq!((all[3].added, all[3].removed), (0, 1));
    let CommitKind::Evidence(did) = &all[3].did else {
        panic!()
    };
    assert_eq!(did.rewrite.as_ref().unwrap().removed, records);

    let versions = async |wanted: CommitFilter| {
        commits(&root, wanted)
            .await
            .iter()
            .map(|commit| commit.version)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        versions(CommitFilter {
            operation: Some("remove".to_owned()),
            ..CommitFilter::default()
        })
        .await,
        [3]
    );
    assert_eq!(
        versions(CommitFilter {
            since: Some(noon() + TimeDelta::hours(5)),
            ..CommitFilter::default()
        })
        .await,
        [2, 3]
    );
    assert_eq!(
        versions(CommitFilter {
            until: Some(noon() + TimeDelta::hours(5)),
            ..CommitFilter::default()
        })
        .await,
        [1]
    );
    let bucket = |text: &str| CommitFilter {
        bucket: Some(text.parse().unwrap()),
        ..CommitFilter::default()
    };
    assert_eq!(versions(bucket("2026-09-21")).await, [1, 2, 3]);
    assert!(versions(bucket("2026-09-22")).await.is_empty());
}
