//! Random values at random places of random files are all found, whatever is next to them.

use std::sync::Arc;

use ::parquet::basic::Encoding;
use ::parquet::file::properties::WriterVersion;
use arrow::array::StringArray;
use proptest::prelude::*;

use super::parquet::{CODECS, bare, encoded};
use super::*;

/// The way in which a value is hidden.
#[derive(Debug, Clone)]
enum Hiding {
    Bytes(usize),
    Json,
    Name,
    Parquet {
        codec: usize,
        encoding: usize,
        second: bool,
    },
}

fn hiding() -> impl Strategy<Value = Hiding> {
    prop_oneof![
        (0..200_usize).prop_map(Hiding::Bytes),
        Just(Hiding::Json),
        Just(Hiding::Name),
        (0..CODECS.len(), 0..4_usize, any::<bool>()).prop_map(|(codec, encoding, second)| {
            Hiding::Parquet {
                codec,
                encoding,
                second,
            }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_value_is_found_wherever_it_is_hidden(
        hidden in prop::collection::vec(("[a-zA-Z0-9 \"\\\\%é@+:-]{6,60}", hiding()), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut values = Vec::new();
        for (number, (value, hiding)) in hidden.iter().enumerate() {
            if value.trim().len() < 6 {
                continue;
            }
            let file = folder.path().join(number.to_string());
            match hiding {
                Hiding::Bytes(at) => {
                    let bytes = [vec![1; *at], value.as_bytes().to_vec(), vec![2; 200 - at]].concat();
                    std::fs::write(file, bytes).unwrap();
                }
                Hiding::Json => {
                    let inner = serde_json::json!({ "min": value }).to_string();
                    std::fs::write(file, serde_json::json!({ "stats": inner }).to_string()).unwrap();
                }
                Hiding::Name => std::fs::write(folder.path().join(format!("{number}={value}")), "").unwrap(),
                Hiding::Parquet { codec, encoding, second } => {
                    let version = if *second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
                    let properties = bare().set_compression(CODECS[*codec]()).set_writer_version(version);
                    let properties = match encoding {
                        0 => properties.set_dictionary_enabled(true),
                        1 => properties.set_encoding(Encoding::PLAIN),
                        2 => properties.set_encoding(Encoding::DELTA_BYTE_ARRAY),
                        _ => properties.set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY),
                    };
                    let half: String = value.chars().take(value.chars().count() / 2).collect();
                    let column = StringArray::from(vec![half.as_str(), value, "other", half.as_str()]);
                    std::fs::write(file, encoded(vec![("name", Arc::new(column))], properties)).unwrap();
                }
            }
            values.push(value.as_str());
        }
        prop_assume!(!values.is_empty());
        let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
        let parsed = Arc::new(SearchValues::of_texts(&values, false).unwrap());
        let residue = search(&root, &parsed, &|_| {}).unwrap();
        prop_assert_eq!(residue.found(), values.len(), "{:?}", residue.findings);
        prop_assert_eq!(&residue.unsearched, &[]);
    }
}
