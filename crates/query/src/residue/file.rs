//! Searches one file in every way that its content requires: as bytes, unescaped, unpacked, as
//! Parquet.
//!
//! The content decides how a file is searched, not its name. Anything that cannot be opened is
//! reported.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use parquet::file::reader::Length;

use super::escapes::{self, EscapeSigns};
use super::finding::{FileFindings, LocationKind};
use super::packed::PackedFormat;
use super::values::SearchValues;
use super::{ProgressMeter, columns, walk};
use ebbtide_table::source::StoreFile;

/// The first and last bytes of a Parquet file.
const PARQUET: &[u8; 4] = b"PAR1";

/// Searches the file at `path`, if it could be opened. A file that no longer exists has no
/// findings.
pub fn search(
    opened: io::Result<StoreFile>,
    path: &Path,
    values: &Arc<SearchValues>,
    meter: &ProgressMeter<'_>,
) -> FileFindings {
    let mut found = FileFindings::default();
    match opened {
        Ok(file) => {
            if let Err(error) = content(&file, path, values, meter, &mut found) {
                found.missed(format!("it cannot be read: {error}"));
            }
        }
        Err(error) if walk::is_missing(&error) => {}
        Err(error) => found.missed(format!("it cannot be opened: {error}")),
    }
    found
}

fn content(
    file: &StoreFile,
    path: &Path,
    values: &Arc<SearchValues>,
    meter: &ProgressMeter<'_>,
    found: &mut FileFindings,
) -> io::Result<()> {
    let length = file.len();
    let mut start = vec![0; length.min(16) as usize];
    file.read_exact_at(&mut start, 0)?;
    let mut end = [0; 4];
    let whole = length > 12 && file.read_exact_at(&mut end, length - 4).is_ok() && &end == PARQUET;
    if whole && start.starts_with(PARQUET) {
        return columns::search(file, length, values, meter, found);
    }
    let named = path
        .extension()
        .is_some_and(|extension| extension == "parquet");
    if start.starts_with(PARQUET) || (named && length > 0) {
        found.missed("it is a Parquet file without its end, or none: only its bytes were searched, as they are");
    } else if &end == b"PARE" && !start.starts_with(b"PARE") {
        found.missed("it is an encrypted Parquet file: only its bytes were searched, as they are");
    }
    plain(file, values, meter, found)?;
    match PackedFormat::from_start(&start) {
        None => {}
        Some(PackedFormat::Other(what)) => {
            found.missed(format!(
                "it is {what}: only its bytes were searched, as they are"
            ));
        }
        Some(packing) => {
            if let Err(error) = unpacked(file, packing, values, found) {
                found.missed(format!(
                    "its packed content cannot be read to its end: {error}"
                ));
            }
        }
    }
    Ok(())
}

/// Searches the raw bytes, and the text below every layer of escapes.
fn plain(
    file: &StoreFile,
    values: &SearchValues,
    meter: &ProgressMeter<'_>,
    found: &mut FileFindings,
) -> io::Result<()> {
    let mut signs = EscapeSigns::default();
    let seen = |bytes: &[u8]| {
        signs.see(bytes);
        meter.read(bytes.len());
    };
    found.bytes = values
        .automaton
        .stream(file.read_from(0), seen, |line, at| {
            found.hit(line, LocationKind::Bytes.into(), Some(at))
        })?;
    let open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(file.read_from(0))) };
    below(&open, signs, values, LocationKind::Escaped, found)
}

fn unpacked(
    file: &StoreFile,
    packing: PackedFormat,
    values: &SearchValues,
    found: &mut FileFindings,
) -> io::Result<()> {
    let open = || -> io::Result<Box<dyn Read>> {
        Ok(packing
            .open(file.read_from(0))?
            .unwrap_or_else(|| Box::new(io::empty())))
    };
    let mut signs = EscapeSigns::default();
    let see = |bytes: &[u8]| signs.see(bytes);
    values.automaton.stream(open()?, see, |line, _| {
        found.hit(line, LocationKind::Unpacked.into(), None)
    })?;
    below(&open, signs, values, LocationKind::Unpacked, found)
}

fn below(
    open: &escapes::OpenText<'_>,
    signs: EscapeSigns,
    values: &SearchValues,
    place: LocationKind,
    found: &mut FileFindings,
) -> io::Result<()> {
    escapes::each(open, signs, &mut |layer| {
        let mut signs = EscapeSigns::default();
        values.automaton.stream(
            layer,
            |bytes| signs.see(bytes),
            |line, _| found.hit(line, place.into(), None),
        )?;
        Ok(signs)
    })
}
