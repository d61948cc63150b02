//! Values planted in every kind of place are found there by their line and never printed. Clean
//! data stays clean.

use std::path::Path;
use std::sync::Arc;

use super::{
    LocationKind, ResidueOutcome, ResidueReport, ResidueSearchError, Root, SearchValues,
    default_countries, search,
};

mod clean;
mod parquet;
mod plain;
mod random;

/// Returns the result of a search for `values`, one per line, under `folder`. Fails if any of them
/// is in the result.
fn searched(folder: &Path, values: &[&str]) -> ResidueReport {
    let root = Root::parse(folder.to_str().unwrap()).unwrap();
    let residue = search(
        &root,
        &Arc::new(SearchValues::of_texts(values, false).unwrap()),
        &|_| {},
    );
    let residue = residue.unwrap();
    let text = serde_json::to_string(&residue).unwrap()
        + &residue
            .findings
            .iter()
            .map(|f| format!("{f}\n"))
            .collect::<String>();
    for value in values {
        assert!(
            !text.to_lowercase().contains(&value.to_lowercase()),
            "{value} is shown: {text}"
        );
    }
    residue
}

/// Returns the lines and places of a result, each once.
fn places(residue: &ResidueReport) -> Vec<(u32, LocationKind)> {
    let mut places: Vec<_> = residue
        .findings
        .iter()
        .map(|finding| (finding.line.0, finding.place))
        .collect();
    places.dedup();
    places
}

#[test]
fn a_root_with_nothing_under_it_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let values = Arc::new(SearchValues::parse(b"canary", false, &[]).unwrap());
    for root in [folder.path().to_owned(), folder.path().join("nowhere")] {
        let root = Root::parse(root.to_str().unwrap()).unwrap();
        assert!(matches!(
            search(&root, &values, &|_| {}),
            Err(ResidueSearchError::Nothing(_))
        ));
    }
}

#[test]
fn short_values_are_refused_by_their_line_unless_they_are_wanted() {
    let parse = |text: &str, short| {
        SearchValues::parse(text.as_bytes(), short, &[])
            .map(|values| values.len())
            .map_err(|e| e.to_string())
    };
    assert_eq!(parse("canary\n\n+316\nabc\n", true), Ok(3));
    let refused = parse("canary\n\nabc\n", false).unwrap_err();
    assert!(
        refused.starts_with("line 3 has fewer than 4 bytes"),
        "{refused}"
    );
    assert_eq!(
        parse("\n \n", false).unwrap_err(),
        "there are no values: give one a line"
    );
    let bytes = SearchValues::parse(b"canary\n\xff\xfe\xfd\xfc", false, &[])
        .unwrap_err()
        .to_string();
    assert!(bytes.starts_with("line 2 is not UTF-8"), "{bytes}");
}

#[test]
fn national_number_is_searched_for_by_the_countries_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
    write("s3-0b3a.parquet", b"31611112222 and others");
    let list = b"06-11112222\n(020) 123-4567\n";
    assert!(
        SearchValues::parse(list, false, &default_countries(&root))
            .unwrap_err()
            .to_string()
            .starts_with("line 1 ")
    );
    write("s3NL-0b3a.parquet", b"nothing");
    write("s3US-0b3a.parquet", b"nothing");
    let homes = default_countries(&root);
    assert_eq!(
        homes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["NL", "US"]
    );
    let found = search(
        &root,
        &Arc::new(SearchValues::parse(list, false, &homes).unwrap()),
        &|_| {},
    )
    .unwrap();
    assert_eq!(places(&found), [(1, LocationKind::Bytes)]);
    // In quotes too.
    let values = SearchValues::parse(b"\"06-11112222\"\n", false, &homes).unwrap();
    assert_eq!(
        search(&root, &Arc::new(values), &|_| {}).unwrap().found(),
        1
    );
}

#[test]
fn files_that_cannot_be_opened_are_never_clean() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("half.tmp", b"PAR1 and then nothing");
    write("named.parquet", b"not Parquet at all");
    write("damaged", b"PAR1 no footer here PAR1");
    write("secret", b"PARE something PARE");
    write("archive", b"PK\x03\x04.....");
    write("cut.gz", &[0x1f, 0x8b, 8, 0, 0]);
    write("fine", b"nothing of interest");
    std::os::unix::fs::symlink("/nowhere", folder.path().join("link")).unwrap();
    let residue = searched(folder.path(), &["canary"]);
    let missed: Vec<&str> = residue
        .unsearched
        .iter()
        .map(|missed| missed.file.as_str())
        .collect();
    assert_eq!(
        missed,
        [
            "archive",
            "cut.gz",
            "damaged",
            "half.tmp",
            "link",
            "named.parquet",
            "secret"
        ]
    );
    assert_eq!(
        (residue.verdict(), residue.files),
        (ResidueOutcome::Incomplete, 7)
    );
}

#[test]
fn files_added_during_the_search_are_searched_and_deleted_ones_skipped() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["1", "2", "3"] {
        std::fs::write(folder.path().join(name), "nothing yet").unwrap();
    }
    let root = Root::parse(folder.path().to_str().unwrap()).unwrap();
    let values = Arc::new(SearchValues::parse(b"canary-one\ncanary-two", false, &[]).unwrap());
    let once = std::sync::Once::new();
    let meanwhile = || {
        std::fs::create_dir(folder.path().join("new")).unwrap();
        std::fs::write(folder.path().join("new/canary-two"), "").unwrap();
        std::fs::write(folder.path().join("1"), "and now canary-one").unwrap();
        std::fs::remove_file(folder.path().join("3")).unwrap();
    };
    let residue = search(&root, &values, &|_| once.call_once(meanwhile)).unwrap();
    let listed: Vec<_> = residue
        .findings
        .iter()
        .map(|f| (f.line.0, f.place, f.file.as_str()))
        .collect();
    assert_eq!(
        listed,
        [
            (1, LocationKind::Bytes, "1"),
            (2, LocationKind::Name, "new/[value 2]")
        ]
    );
    assert_eq!(residue.unsearched, []);
}
