//! Cells that replace records: their permitted columns, and the sums of the audit.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};

use super::{all, bytes, filled, read};
use crate::testing::{noon, rewrite, root};
use ebbtide_query::AuditViolation;

use crate::reports::{audit, show};
use crate::{RewriteError, SegmentIndex};

fn cells(records: Vec<Option<i64>>) -> RecordBatch {
    let rows = records.len();
    let columns: [(&str, ArrayRef); 3] = [
        (
            "customer_id",
            Arc::new(StringArray::from_iter(
                (0..rows).map(|n| (n > 0).then(|| format!("customer-{n}"))),
            )),
        ),
        (
            "segments",
            Arc::new(Int32Array::from_iter((0..rows).map(|n| Some(n as i32)))),
        ),
        ("records", Arc::new(Int64Array::from(records))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_replace_records_and_the_audit_balances() {
    let (_folder, root) = root();
    let (mut table, mut index) = filled(&root, 2).await;
    let old = all(&index);
    let (bucket, profile) = (old[0].bucket, old[0].profile.clone());
    let put = table
        .put_cells(bucket, &profile, cells(vec![Some(60), Some(120)]))
        .await
        .unwrap();
    assert_eq!((put.rows(), put.records(), put.cells()), (2, 180, true));
    let path = put.path().to_owned();
    let names: Vec<String> = read(bytes(&root, &path))
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(names, ["customer_id", "segments", "records"]);
    let mut work = rewrite(&index, old, vec![put]);
    let did = work.evidence.rewrite.as_mut().unwrap();
    (did.removed, did.suppressed) = (0, 20);
    table.commit_rewrite(work).await.unwrap();
    index = SegmentIndex::load(&table).await.unwrap();
    let cells = index.get(&path).unwrap();
    assert_eq!(
        (
            cells.cells,
            cells.rows,
            cells.records,
            cells.deadlines.len()
        ),
        (true, 2, 180, 0)
    );
    assert_eq!(
        (cells.bucket, &cells.profile, &cells.policy_version),
        (bucket, &profile, &None)
    );
    let found = audit(&root, &"sms".parse().unwrap()).await.unwrap();
    assert_eq!(
        (found.records, found.segments, found.broken),
        (180, 1, vec![])
    );
    let totals = found.totals.unwrap();
    assert_eq!(
        (
            totals.stored,
            totals.removed,
            totals.suppressed,
            totals.kept()
        ),
        (200, 0, 20, 180)
    );
    assert_eq!(
        show(&root, &"sms".parse().unwrap(), noon())
            .await
            .unwrap()
            .records,
        180
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_with_a_wrong_number_of_records_do_not_pass_the_audit() {
    let (_folder, root) = root();
    let (mut table, index) = filled(&root, 2).await;
    let old = all(&index);
    let put = table
        .put_cells(old[0].bucket, &old[0].profile, cells(vec![Some(200)]))
        .await
        .unwrap();
    let other = table
        .put_cells(old[0].bucket, &old[0].profile, cells(vec![Some(150)]))
        .await
        .unwrap();
    let folder = root.table_folder(&"sms".parse().unwrap());
    let path = put.path().to_owned();
    std::fs::rename(folder.join(other.path()), folder.join(&path)).unwrap();
    table
        .commit_rewrite(rewrite(&index, old, vec![put]))
        .await
        .unwrap();
    let broken = audit(&root, &"sms".parse().unwrap()).await.unwrap().broken;
    assert!(
        broken.contains(&AuditViolation::Cells {
            path,
            named: 200,
            found: 150
        }),
        "{broken:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_has_nothing_personal_no_tag_and_a_count() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 1).await;
    let segment = all(&index)[0].clone();
    let good = cells(vec![Some(1), Some(2)]);
    let with = |name: &str, column: ArrayRef| {
        let schema = good.schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .zip(good.columns().iter().cloned());
        let columns = columns
            .filter(|(of, _)| *of != name)
            .chain([(name, column)]);
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
            .unwrap()
    };
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    for wrong in [
        with("body", text.clone()),
        with("jurisdiction", text.clone()),
        with("unheard_of", text.clone()),
        with("segments", text),
        cells(vec![Some(1), None]),
        cells(vec![Some(0), Some(2)]),
        cells(vec![Some(-1), Some(2)]),
        good.project(&[0, 1]).unwrap(),
    ] {
        let refused = table
            .put_cells(segment.bucket, &segment.profile, wrong)
            .await;
        assert!(
            matches!(refused, Err(RewriteError::Column { .. })),
            "{refused:?}"
        );
    }
    assert!(
        table
            .put_cells(segment.bucket, &segment.profile, good.slice(0, 0))
            .await
            .is_err()
    );
    assert_eq!(SegmentIndex::load(&table).await.unwrap().len(), 1);
}
