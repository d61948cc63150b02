//! Tests of values outside the columns of a Parquet file: blooms of deleted columns, and bytes that
//! no footer describes.

use super::*;

/// Returns a file whose only column contains nothing, with a bloom filter of `values`.
fn only_a_bloom(values: &[String]) -> Vec<u8> {
    let mut filter = Sbbf::new_with_ndv_fpp(values.len() as u64, 0.01).unwrap();
    values
        .iter()
        .for_each(|value| filter.insert(value.as_str()));
    outlived(|close| close.bloom_filter = Some(filter))
}

#[test]
fn a_bloom_that_outlived_its_column_is_found_and_chance_is_not() {
    let known: Vec<String> = (0..1000).map(|number| format!("canary-{number}")).collect();
    let bytes = only_a_bloom(&known);
    let asked: Vec<&str> = known.iter().take(50).map(String::as_str).collect();
    let residue = found(&bytes, &asked);
    assert_eq!(residue.found(), 50);
    assert!(
        residue
            .findings
            .iter()
            .all(|finding| finding.place == LocationKind::Bloom)
    );
    assert_eq!(residue.verdict(), ResidueOutcome::Found);

    let strangers: Vec<String> = (0..3000)
        .map(|number| format!("stranger-{number}"))
        .collect();
    let strangers: Vec<&str> = strangers.iter().map(String::as_str).collect();
    let residue = found(&bytes, &strangers);
    assert!(
        residue.blooms.maybe > 0 && residue.blooms.expected > 1.0,
        "{:?}",
        residue.blooms
    );
    assert_eq!(
        (residue.verdict(), residue.findings.len()),
        (ResidueOutcome::Clean, 0)
    );
    // A nearly empty filter does not answer "maybe" by chance: one value is enough.
    let bytes = only_a_bloom(&["canary-7".to_owned()]);
    assert_eq!(
        places(&found(&bytes, &["CANARY-x", "canary-7"])),
        [(2, LocationKind::Bloom)]
    );
}

#[test]
fn a_bloom_of_what_its_column_holds_is_no_finding_of_its_own() {
    let properties = bare().set_bloom_filter_enabled(true);
    let residue = found(
        &encoded(vec![("name", texts(&["canary-one"]))], properties),
        &["canary-one"],
    );
    assert_eq!(places(&residue), [(1, LocationKind::Value)]);
    assert_eq!((residue.blooms.filters, residue.blooms.maybe), (1, 0));
}

/// Returns the file with the last column removed from its footer, and the bytes of that column
/// replaced by the result of `gap`.
fn without_the_last_column(bytes: &[u8], gap: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let whole = Bytes::copy_from_slice(bytes);
    let meta = ParquetMetaDataReader::new()
        .parse_and_finish(&whole)
        .unwrap();
    let root = meta.file_metadata().schema();
    let fields = root.get_fields();
    let schema = ::parquet::schema::types::Type::group_type_builder(root.name())
        .with_fields(fields[..fields.len() - 1].to_vec())
        .build()
        .unwrap();
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
    let groups = meta.row_groups().iter().map(|group| {
        let columns = group.columns()[..group.num_columns() - 1].to_vec();
        let columns = columns
            .into_iter()
            .zip(schema.columns())
            .map(|(column, described)| {
                ::parquet::file::metadata::ColumnChunkMetaData::builder(described.clone())
                    .set_compression(column.compression())
                    .set_num_values(column.num_values())
                    .set_data_page_offset(column.data_page_offset())
                    .set_total_compressed_size(column.compressed_size())
                    .set_total_uncompressed_size(column.uncompressed_size())
                    .set_encodings_mask(*column.encodings_mask())
                    .build()
                    .unwrap()
            });
        RowGroupMetaData::builder(schema.clone())
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_column_metadata(columns.collect())
            .build()
            .unwrap()
    });
    let groups = groups.collect();
    let file = FileMetaData::new(
        2,
        meta.file_metadata().num_rows(),
        None,
        None,
        schema.clone(),
        None,
    );
    let last = meta
        .row_group(0)
        .column(meta.row_group(0).num_columns() - 1);
    let start = usize::try_from(last.data_page_offset()).unwrap();
    let end = start + usize::try_from(last.compressed_size()).unwrap();
    let mut kept = bytes[..start].to_vec();
    kept.extend(gap(&bytes[start..end]));
    ParquetMetaDataWriter::new(&mut kept, &ParquetMetaData::new(file, groups))
        .finish()
        .unwrap();
    kept
}

#[test]
fn a_column_of_which_the_footer_is_silent_is_found() {
    for codec in CODECS {
        let columns = vec![("name", texts(&[])), ("gone", texts(&["canary-one"]))];
        let whole = encoded(columns, bare().set_compression(codec()));
        let residue = found(
            &without_the_last_column(&whole, <[u8]>::to_vec),
            &["canary-one", "someone-000017"],
        );
        let spots = places(&residue);
        assert!(
            spots.contains(&(1, LocationKind::Unnamed)),
            "{:?}: {spots:?}",
            codec()
        );
        assert!(
            spots.contains(&(2, LocationKind::Value)),
            "{:?}: {spots:?}",
            codec()
        );
    }
}

#[test]
fn bytes_that_no_codec_opens_and_no_footer_names_are_reported() {
    let whole = encoded(vec![("name", texts(&[])), ("gone", texts(&[]))], bare());
    let searched = |gap: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("part"),
            without_the_last_column(&whole, |_| gap.to_vec()),
        )
        .unwrap();
        searched(folder.path(), &["canary-one"])
    };
    let residue = searched(b"\xff\xff\xff\xffjunk canary-one");
    assert_eq!(places(&residue), [(1, LocationKind::Unnamed)]);
    assert_eq!(residue.unsearched.len(), 1, "{:?}", residue.unsearched);
    assert_eq!(searched(&[0xff; 24]).verdict(), ResidueOutcome::Incomplete);
}

#[test]
fn zeros_and_repeated_metadata_between_columns_are_nothing() {
    let pairs = vec![KeyValue::new("note".to_owned(), "canary-one".to_owned())];
    let columns = vec![("name", texts(&[])), ("gone", texts(&[]))];
    let whole = encoded(columns, bare().set_key_value_metadata(Some(pairs)));
    let zeros = without_the_last_column(&whole, |gap| vec![0; gap.len()]);
    assert_eq!(found(&zeros, &["canary"]).verdict(), ResidueOutcome::Clean);
    let length: [u8; 4] = whole[whole.len() - 8..][..4].try_into().unwrap();
    let footer = &whole[whole.len() - 8 - u32::from_le_bytes(length) as usize..whole.len() - 8];
    let repeated = without_the_last_column(&whole, |_| footer.to_vec());
    assert_eq!(
        found(&repeated, &["no one"]).verdict(),
        ResidueOutcome::Clean
    );
    assert_eq!(
        places(&found(&repeated, &["canary-one"])),
        [(1, LocationKind::Unnamed)]
    );
}
