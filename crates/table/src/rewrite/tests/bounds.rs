//! Rewrites of files whose footers have wrong bounds of texts.

use parquet::data_type::ByteArray;
use parquet::file::metadata::{ParquetMetaDataReader, ParquetMetaDataWriter};
use parquet::file::statistics::Statistics;

use super::{all, filled};
use crate::testing::root;
use crate::{Predicate, SplitResult};

/// Returns the file with other bounds of a column of texts. Its footer defines the order of all
/// columns.
fn with_bounds(file: &bytes::Bytes, column: &str, (least, greatest): (&str, &str)) -> Vec<u8> {
    let read = ParquetMetaDataReader::new().parse_and_finish(file).unwrap();
    let bounds = || {
        let (least, greatest) = (ByteArray::from(least), ByteArray::from(greatest));
        Statistics::byte_array(Some(least), Some(greatest), None, Some(0), false)
    };
    let groups = read.row_groups().iter().map(|group| {
        let chunks = group.columns().iter().map(|chunk| {
            let is_it = chunk.column_path().parts() == [column];
            let builder = chunk.clone().into_builder();
            let chunk = match is_it {
                true => builder.set_statistics(bounds()).build(),
                false => builder.build(),
            };
            chunk.unwrap()
        });
        let builder = group.clone().into_builder();
        builder
            .set_column_metadata(chunks.collect())
            .build()
            .unwrap()
    });
    let changed = read.clone().into_builder().set_row_groups(groups.collect());
    let length = file[file.len() - 8..file.len() - 4].try_into().unwrap();
    let footer = usize::try_from(u32::from_le_bytes(length)).unwrap();
    let mut changed_file = file[..file.len() - 8 - footer].to_vec();
    let changed = changed.build();
    ParquetMetaDataWriter::new(&mut changed_file, &changed)
        .finish()
        .unwrap();
    changed_file
}

#[tokio::test(flavor = "multi_thread")]
async fn matching_rows_are_found_outside_the_bounds_of_texts() {
    let (_folder, root) = root();
    let (table, index) = filled(&root, 1).await;
    let old = all(&index);
    let path = root
        .table_folder(&"sms".parse().unwrap())
        .join(&*old[0].path);
    let file = super::bytes(&root, &old[0].path);
    std::fs::write(&path, with_bounds(&file, "customer_id", ("x", "y"))).unwrap();
    let customer = Predicate::Is {
        column: "customer_id".to_owned(),
        value: "customer-3".to_owned(),
    };
    assert_eq!(table.matches(&old[0], &customer).await.unwrap(), 14);
    let SplitResult::Both { matching, rest } = table.split(&old[0], &customer).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((matching.rows(), rest.rows()), (14, 86));
}
