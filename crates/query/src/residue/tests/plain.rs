//! Names, bytes, escapes and packed files.

use std::io::Write;

use super::*;

#[test]
fn a_value_in_any_files_bytes_is_found_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/.b")).unwrap();
    std::fs::write(folder.path().join("a/.b/.7f3a.tmp"), b"0123 canary-one 456").unwrap();
    let mut long = vec![b'-'; 3 << 20];
    long[(1 << 20) - 4..][..10].copy_from_slice(b"CANARY-two");
    std::fs::write(folder.path().join("long"), long).unwrap();
    let residue = searched(folder.path(), &["canary-one", "canary-two", "canary-three"]);
    let spots: Vec<_> = residue
        .findings
        .iter()
        .map(|f| (f.line.0, f.place, f.file.as_str(), f.at))
        .collect();
    assert_eq!(
        spots,
        [
            (1, LocationKind::Bytes, "a/.b/.7f3a.tmp", Some(5)),
            (2, LocationKind::Bytes, "long", Some((1 << 20) - 4))
        ]
    );
    assert_eq!(
        (residue.verdict(), residue.found()),
        (ResidueOutcome::Found, 2)
    );
}

#[test]
fn a_value_in_a_name_is_found_and_veiled() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "x-canary-one.json",
        "bucket=canary%2Dtwo",
        "c%2561nary-three",
        "+31612345678",
    ] {
        std::fs::create_dir_all(folder.path().join("tables").join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/elsewhere/canary-four", folder.path().join("link")).unwrap();
    let values = [
        "canary-one",
        "canary-two",
        "canary-three",
        "canary-four",
        "0031 6 12345678",
    ];
    let residue = searched(folder.path(), &values);
    let spots: Vec<_> = residue
        .findings
        .iter()
        .map(|f| (f.line.0, f.place, f.file.as_str()))
        .collect();
    assert_eq!(
        spots,
        [
            (1, LocationKind::Name, "tables/x-[value 1].json"),
            (2, LocationKind::Name, "tables/[value 2]"),
            (3, LocationKind::Name, "tables/[value 3]"),
            (4, LocationKind::Name, "link"),
            (5, LocationKind::Name, "tables/+[value 5]"),
        ]
    );
}

#[test]
fn a_value_that_the_log_escapes_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("_delta_log");
    std::fs::create_dir_all(&log).unwrap();
    let stats = serde_json::json!({ "minValues": { "name": "Zo\u{eb} \"O\\N\" Doe" } }).to_string();
    let entry =
        serde_json::json!({ "add": { "path": "name=a%2540b%2Eorg/x.parquet", "stats": stats } })
            .to_string();
    std::fs::write(
        log.join("00000000000000000001.json"),
        format!("{{}}\n{entry}\n"),
    )
    .unwrap();
    std::fs::write(
        log.join("00000000000000000001.crc"),
        r#"{"x":"line\u0020one"}"#,
    )
    .unwrap();
    std::fs::write(log.join("_last_checkpoint"), r#"{"tags":"\u0063anary"}"#).unwrap();
    let residue = searched(
        folder.path(),
        &["Zo\u{eb} \"O\\N\" Doe", "a@b.org", "line one", "canary"],
    );
    let spots: Vec<_> = residue
        .findings
        .iter()
        .map(|f| (f.line.0, f.file.rsplit('/').next().unwrap()))
        .collect();
    for wanted in [
        (1, "00000000000000000001.json"),
        (2, "00000000000000000001.json"),
        (3, "00000000000000000001.crc"),
        (4, "_last_checkpoint"),
    ] {
        assert!(spots.contains(&wanted), "{wanted:?} of {spots:?}");
    }
    assert!(
        residue
            .findings
            .iter()
            .any(|finding| finding.place == LocationKind::Escaped)
    );
}

#[test]
fn a_value_in_a_packed_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}canary-one{}", "a".repeat(1000), "b\\u0063".repeat(1000));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    std::fs::write(folder.path().join("old.json.gz"), gzip.finish().unwrap()).unwrap();
    std::fs::write(
        folder.path().join("old.zst"),
        zstd::encode_all(text.as_bytes(), 3).unwrap(),
    )
    .unwrap();
    let residue = searched(folder.path(), &["canary-one", "bcbcbc"]);
    let unpacked = residue
        .findings
        .iter()
        .filter(|finding| finding.place == LocationKind::Unpacked);
    let spots: Vec<_> = unpacked
        .map(|finding| (finding.line.0, finding.file.as_str()))
        .collect();
    assert_eq!(
        spots,
        [
            (1, "old.json.gz"),
            (1, "old.zst"),
            (2, "old.json.gz"),
            (2, "old.zst")
        ]
    );
}
