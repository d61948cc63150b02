//! One bad message among good ones, for every fault of a body.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;

use super::{decoder, record};
use ebbtide_base::record::Fault;

const GOOD: [u8; 24] = [
    2, // n
    4, b'h', b'i', // text
    2, 4, 0, // list
    2, 2, b'k', 2, b'v', 0, // map
    1, // flag
    2, 2, // state: 1
    0, // maybe: null
    2, 0x55, // price
    0x10, 0, // at
    2, 2, // items: one block of one
    0,
];

fn schema() -> String {
    record(&[
        r#""name":"n","type":"int""#,
        r#""name":"text","type":"string""#,
        r#""name":"list","type":{"type":"array","items":"int"}"#,
        r#""name":"map","type":{"type":"map","values":"string"}"#,
        r#""name":"flag","type":"boolean""#,
        r#""name":"state","type":["null",{"type":"enum","name":"E","symbols":["a","b"]}]"#,
        r#""name":"maybe","type":["null","string"]"#,
        r#""name":"price","type":{"type":"bytes","logicalType":"decimal","precision":3,"scale":0}"#,
        r#""name":"at","type":{"type":"long","logicalType":"timestamp-millis"}"#,
        r#""name":"id","type":["null",{"type":"string","logicalType":"uuid"}]"#,
        r#""name":"items","type":{"type":"array","items":"int"}"#,
    ])
}

/// Returns the good body with the byte at an offset replaced by `bytes`.
fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut body = GOOD.to_vec();
    body.splice(at..at + 1, bytes.iter().copied());
    body
}

fn bad() -> Vec<(&'static str, Vec<u8>, Fault)> {
    let huge = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
    let least = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1];
    let mut cases = vec![
        ("no bytes at all", Vec::new(), Fault::Truncated),
        ("a byte left over", with(23, &[0, 0]), Fault::TrailingBytes),
        (
            "twice the record",
            [GOOD, GOOD].concat(),
            Fault::TrailingBytes,
        ),
        (
            "an int of more than 32 bits",
            with(0, &[0xFE, 0xFF, 0xFF, 0xFF, 0x1F]),
            Fault::BadBody,
        ),
        ("a number without end", with(0, &[0x80; 11]), Fault::BadBody),
        ("a negative length", with(1, &[1]), Fault::BadBody),
        (
            "a length beyond the end",
            with(1, &[0x7E]),
            Fault::Truncated,
        ),
        ("the largest length", with(1, &huge), Fault::Truncated),
        ("text that is not UTF-8", with(2, &[0xFF]), Fault::BadUtf8),
        (
            "a block of more than there is",
            with(4, &huge),
            Fault::Truncated,
        ),
        (
            "the least block count",
            with(4, &[&least[..], &[0]].concat()),
            Fault::BadBody,
        ),
        ("a key that is not UTF-8", with(9, &[0xC3]), Fault::BadUtf8),
        ("a boolean of two", with(13, &[2]), Fault::BadBody),
        ("a branch that is not there", with(14, &[4]), Fault::BadBody),
        ("a negative branch", with(14, &[1]), Fault::BadBody),
        ("a symbol that is not there", with(15, &[4]), Fault::BadBody),
        (
            "a decimal of more digits",
            with(17, &[4, 0x7F]),
            Fault::BadBody,
        ),
        (
            "a time beyond any calendar",
            with(19, &huge),
            Fault::BadBody,
        ),
        (
            "a uuid that is invalid",
            with(20, &[2, 2, b'x']),
            Fault::BadBody,
        ),
    ];
    cases.extend(
        (0..GOOD.len()).map(|end| ("an early end", GOOD[..end].to_vec(), Fault::Truncated)),
    );
    cases
}

#[test]
fn a_bad_message_is_named_and_its_neighbours_stay_whole_and_in_order() {
    let schema = schema();
    for (what, body, fault) in bad() {
        let mut decoder = decoder(&schema, &schema).unwrap();
        for n in [2, 4, 6] {
            decoder.push(&with(0, &[n])).unwrap();
            assert_eq!(decoder.push(&body), Err(fault), "{what}");
        }
        assert_eq!(decoder.len(), 3, "{what}");
        let flushed = decoder.flush();
        assert!(flushed.faults.is_empty() && decoder.is_empty(), "{what}");
        assert_eq!(
            flushed.batch.column(0).as_primitive::<Int32Type>().values(),
            &[1, 2, 3],
            "{what}"
        );
        let mut alone = super::decoder(&schema, &schema).unwrap();
        [2, 4, 6]
            .iter()
            .for_each(|n| alone.push(&with(0, &[*n])).unwrap());
        assert_eq!(flushed.batch, alone.flush().batch, "{what}");
    }
}

#[test]
fn a_flush_of_nothing_gives_no_rows_of_the_right_columns() {
    let schema = schema();
    let mut decoder = decoder(&schema, &schema).unwrap();
    assert_eq!(decoder.push(&[]), Err(Fault::Truncated));
    let batch = decoder.flush().batch;
    assert_eq!((batch.num_rows(), batch.num_columns()), (0, 11));
    assert_eq!(batch.column(3).as_map().len(), 0);
}
