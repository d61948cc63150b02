//! The ranges that the pruner reads of bloom filters.

use super::*;

const STYLE: Style = Style {
    dictionary: true,
    blooms: true,
    statistics: EnabledStatistics::None,
    truncated: false,
    group_rows: 1000,
    has: [true; 3],
    empty: [false; 3],
    own_forms: true,
    footer: Footer::Written,
};

fn is(value: &str) -> Predicate {
    Predicate::Is {
        column: "caller".to_owned(),
        value: value.to_owned(),
    }
}

fn scanned<'f>(
    file: &Bytes,
    metadata: &'f ArrowReaderMetadata,
    blooms: &'f BloomPlaces,
) -> ScannedFile<'f> {
    ScannedFile {
        metadata,
        size: file.len() as u64,
        forms: None,
        blooms,
        text_bounds: TextBounds::Ordered,
    }
}

fn total<'r>(ranges: impl IntoIterator<Item = &'r Range<u64>>) -> u64 {
    ranges
        .into_iter()
        .map(|range| range.end - range.start)
        .sum()
}

#[test]
fn an_absent_text_costs_a_header_and_a_block_and_then_a_block() {
    let rows: Vec<Row> = (0..40).map(|number| (Some(number), None, None)).collect();
    let file = written(&STYLE, &batch(&STYLE, &rows));
    let groups = row_groups(&file);
    for (footer, cold) in [
        (Footer::Written, 64),
        (Footer::NoBloomLengths, 64),
        (Footer::WrongBloomLengths, 96),
    ] {
        let metadata = metadata(footer, &file, &groups);
        let blooms = BloomPlaces::default();
        for bytes in [cold, 32] {
            let absent = is("31600000000");
            let (rest, steps) = pruned(&file, scanned(&file, &metadata, &blooms), &absent);
            let read = total(steps.iter().flatten());
            assert_eq!((rest, read), (vec![None], bytes), "{footer:?}");
        }
    }
}

/// Returns a file of four row groups, whose bloom filters have more than 256 blocks each.
fn large_filters() -> Bytes {
    let people = StringArray::from_iter_values((0..8000).map(|number| format!("p{number}")));
    let rows = RecordBatch::try_from_iter([("caller", Arc::new(people) as ArrayRef)]).unwrap();
    let properties = WriterProperties::builder()
        .set_bloom_filter_fpp(1e-9)
        .set_bloom_filter_max_ndv(20_000)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(2000))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap().into()
}

#[test]
fn a_few_values_are_asked_of_all_row_groups_in_one_step() {
    let file = large_filters();
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
    let blooms = BloomPlaces::default();
    // The same value twice: its block is read once.
    let any = Predicate::Any(vec![is("x1"), is("x2"), is("x1")]);
    for ranges in [12, 8] {
        let (rest, steps) = pruned(&file, scanned(&file, &metadata, &blooms), &any);
        assert_eq!(rest, vec![None; 4]);
        let counts: Vec<usize> = steps.iter().map(Vec::len).collect();
        assert_eq!(counts, [ranges]);
    }
}

#[test]
fn many_values_are_asked_of_one_row_group_at_a_time() {
    let file = large_filters();
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
    let filter = |group: usize| {
        let chunk = metadata.metadata().row_group(group).column(0);
        let start = u64::try_from(chunk.bloom_filter_offset().unwrap()).unwrap();
        start..start + u64::try_from(chunk.bloom_filter_length().unwrap()).unwrap()
    };
    // Below and above the number of blocks from which a filter is read whole.
    for (count, most) in [(240, 240), (5000, 1)] {
        let blooms = BloomPlaces::default();
        let absent = (0..count).map(|number| is(&format!("x{number}")));
        let all = Predicate::Any(absent.chain([is("p5"), is("p7999")]).collect());
        let (rest, steps) = pruned(&file, scanned(&file, &metadata, &blooms), &all);
        let found = |value: &str| Some(is(value));
        assert_eq!(rest, [found("p5"), None, None, found("p7999")]);
        assert_eq!(steps.len(), if count < 256 { 2 } else { 4 }, "{count}");
        for (group, ranges) in steps.iter().enumerate() {
            if count > 256 {
                let of_group = filter(group);
                let is_inside =
                    |range: &Range<u64>| of_group.start <= range.start && range.end <= of_group.end;
                assert!(ranges.iter().all(is_inside), "another row group");
                // A header, and the blocks after it.
                assert_eq!(ranges.len(), 1 + most);
                assert!(total(ranges) <= of_group.end - of_group.start + 32);
            } else {
                assert!(ranges.len() <= 2 * (1 + most + 2));
                assert!(ranges.iter().all(|range| range.end - range.start == 32));
            }
        }
    }
}
