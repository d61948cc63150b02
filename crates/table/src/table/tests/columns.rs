//! Tables whose columns are not those of the policy, and tables of hours.

use std::sync::Arc;

use arrow::datatypes::DataType;
use deltalake_core::kernel::{Action, MetadataExt};

use super::{foreign, keep};
use crate::reports::audit;
use crate::spec::{ColumnRole, TableColumn, TableSpec, instant};
use crate::testing::{batch, encoded, noon, partition, root, rows, spec};
use crate::{CommitError, MaintenanceSettings, OpenError, StoreError, Table};
use ebbtide_base::ids::{BucketUnit, Offset};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_lost_a_column_or_gained_a_feature_takes_no_commit() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let ours = batch(&table, 0, None, 100).await;
    let schema = table.state.metadata.parse_schema().unwrap();
    let kept = schema
        .fields()
        .filter(|field| field.name() != "body")
        .cloned();
    let kept = deltalake_core::kernel::StructType::try_new(kept).unwrap();
    let narrowed = table.state.metadata.clone().with_schema(&kept).unwrap();
    foreign(&table, vec![Action::Metadata(narrowed)]).await;
    assert!(matches!(
        table.commit(ours.clone()).await,
        Err(CommitError::SchemaMoved)
    ));
    let mut table = Table::open(&root, spec()).await.unwrap();
    let forgetful = table.state.metadata.clone();
    let forgetful = forgetful.add_config_key(
        "delta.setTransactionRetentionDuration".to_owned(),
        "interval 1 days".to_owned(),
    );
    foreign(&table, vec![Action::Metadata(forgetful.unwrap())]).await;
    assert!(matches!(
        table.commit(ours).await,
        Err(CommitError::Unknown(StoreError::Unsupported(_)))
    ));
    assert!(matches!(
        Table::open(&root, spec()).await,
        Err(OpenError::Store(StoreError::Unsupported(_)))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_column_is_added_and_old_segments_stay() {
    let (_folder, root) = root();
    let mut table = Table::open(&root, spec()).await.unwrap();
    let work = batch(&table, 0, None, 10).await;
    table.commit(work).await.unwrap();
    let mut wider = TableSpec::clone(&spec());
    let (role, bloom) = (ColumnRole::Plain, false);
    let column = TableColumn {
        name: "carrier".to_owned(),
        data_type: DataType::Utf8,
        role,
        doc: None,
        bloom,
    };
    wider.columns.insert(2, column);
    let wider = Arc::new(wider);
    let table = Table::open(&root, wider.clone()).await.unwrap();
    assert_eq!(table.version(), 2);
    assert!(
        table
            .state
            .columns()
            .unwrap()
            .contains(&"carrier".to_owned())
    );
    // A column that the policy no longer names stays in the table; nothing is written for it.
    assert_eq!(Table::open(&root, spec()).await.unwrap().version(), 2);
    assert_eq!(Table::open(&root, wider).await.unwrap().version(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_column_type_and_other_bucket_unit_are_refused_with_a_fix() {
    let (_folder, root) = root();
    Table::open(&root, spec()).await.unwrap();
    let mut other = TableSpec::clone(&spec());
    other
        .columns
        .iter_mut()
        .find(|column| column.name == "segments")
        .unwrap()
        .data_type = DataType::Utf8;
    let refused = Table::open(&root, Arc::new(other))
        .await
        .err()
        .unwrap()
        .to_string();
    assert_eq!(
        refused,
        "column segments of table sms is integer and the policy's schema makes it string; rename the field in the schema, \
         or start a new product"
    );
    let mut hourly = TableSpec::clone(&spec());
    hourly.unit = BucketUnit::Hour;
    hourly
        .columns
        .iter_mut()
        .find(|column| column.name == "bucket")
        .unwrap()
        .data_type = instant();
    let refused = Table::open(&root, Arc::new(hourly))
        .await
        .err()
        .unwrap()
        .to_string();
    assert_eq!(
        refused,
        "table sms holds buckets of a day and the policy says hour; set `bucket: day` in the policy, or start a new root"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_hours_is_committed_to_and_opened_again() {
    let (_folder, root) = root();
    let mut hourly = TableSpec::clone(&spec());
    hourly.unit = BucketUnit::Hour;
    hourly
        .columns
        .iter_mut()
        .find(|column| column.name == "bucket")
        .unwrap()
        .data_type = instant();
    let hourly = Arc::new(hourly);
    let mut table = Table::open(&root, hourly.clone()).await.unwrap();
    let mut work = batch(&table, 0, None, 10).await;
    let mut one = encoded(&rows(0, 0, 10));
    one.tags.bucket = ebbtide_base::ids::Bucket::Hour(noon());
    work.segments = vec![table.put(one).await.unwrap()];
    assert!(
        work.segments[0]
            .path()
            .starts_with("bucket=2026-09-21T14:13:20Z/"),
        "{}",
        work.segments[0].path()
    );
    table.commit(work).await.unwrap();
    let upkeep = MaintenanceSettings {
        checkpoint_every: 1,
        ..MaintenanceSettings::default()
    };
    assert_eq!(
        table.maintain(noon(), &upkeep).await.unwrap().checkpoint,
        Some(1)
    );
    assert_eq!(
        Table::open(&root, hourly)
            .await
            .unwrap()
            .next_offset(&partition(0)),
        Some(Offset(10))
    );
    assert!(audit(&root, &"sms".parse().unwrap()).await.unwrap().holds());
    keep(&root, "hours");
}
