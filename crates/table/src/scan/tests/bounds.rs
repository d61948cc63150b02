//! Bounds that must not exclude a row, and counts of nulls that may.

use parquet::file::metadata::PageIndexPolicy;

use super::*;
use crate::scan::{FileColumn, PartAnswer};

fn is(value: &str) -> Predicate {
    Predicate::Is {
        column: "caller".to_owned(),
        value: value.to_owned(),
    }
}

/// Returns a file without bloom filters whose only row group has these texts, in pages of two rows.
fn file_of(texts: &[Option<&str>]) -> (Bytes, RecordBatch) {
    let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
    let rows = RecordBatch::try_from_iter_with_nullable([("caller", texts, true)]).unwrap();
    let properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_write_batch_size(1)
        .set_data_page_row_count_limit(2)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    (writer.into_inner().unwrap().into(), rows)
}

#[test]
fn a_rewrite_does_not_trust_the_order_of_bounds() {
    let (file, rows) = file_of(&[Some("ä"), Some("x")]);
    // As signed bytes, "ä" is before "x".
    let metadata = metadata(Footer::SignedWithOrder, &file, &[rows]);
    for (text_bounds, found) in [(TextBounds::Ordered, false), (TextBounds::Ignored, true)] {
        let scanned = ScannedFile {
            metadata: &metadata,
            size: file.len() as u64,
            forms: None,
            blooms: &BloomPlaces::default(),
            text_bounds,
        };
        let (rest, _) = pruned(&file, scanned, &is("ä"));
        assert_eq!(rest, [found.then(|| is("ä"))], "{text_bounds:?}");
    }
}

#[test]
fn pages_of_nulls_are_left_out_whatever_the_order_of_texts() {
    let texts = [None, None, Some("b"), Some("c"), Some("d"), None];
    let (file, _) = file_of(&texts);
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let read = ArrowReaderMetadata::load(&file, options).unwrap();
    let index = &read.metadata().column_index().unwrap()[0][0];
    assert_eq!(index.num_pages(), 3);
    let answers = |condition: &Predicate, text_bounds| {
        let column = FileColumn::new(&read, "caller", text_bounds).unwrap();
        [0, 1, 2].map(|page| condition.answer(&column.in_page(index, page), None))
    };
    let null = Predicate::Null {
        column: "caller".to_owned(),
    };
    use PartAnswer::{Always, Maybe, Never};
    for text_bounds in [TextBounds::Ordered, TextBounds::Ignored] {
        assert_eq!(answers(&null, text_bounds), [Always, Never, Maybe]);
    }
    assert_eq!(answers(&is("a"), TextBounds::Ordered), [Never; 3]);
    assert_eq!(
        answers(&is("a"), TextBounds::Ignored),
        [Never, Maybe, Maybe]
    );
}
