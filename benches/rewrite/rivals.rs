//! The alternatives to a splice: a plain copy of the same number of bytes, decoding and encoding of
//! the surviving data, and the usual way of Delta users, which is an UPDATE to NULL by the Python
//! package `deltalake`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ebbtide_policy::expires_column;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Makes the system hold `bytes` bytes of memory that it can give to files. A virtual machine gets
/// each page of its memory from its host at the first access. That costs several times as much as
/// copying to the page, and the method that is measured first would pay for it.
pub fn make_room(bytes: u64, at: &Path) {
    let mut new = File::create_new(at).expect("a new file");
    // In pieces as large as any that is written later, so that the memory is available in whole
    // pieces.
    let piece = vec![1; 8 << 20];
    for _ in 0..bytes.div_ceil(piece.len() as u64) {
        new.write_all(&piece).expect("a fuller file");
    }
    sync(&new, at);
    std::fs::remove_file(at).expect("a file that can be deleted");
}

/// Copies the first `bytes` bytes of the files to a new one, as `cp` would, and syncs it. Returns
/// the time.
pub fn copy(files: &[PathBuf], bytes: u64, to: &Path) -> Duration {
    let started = Instant::now();
    let mut new = File::create_new(to).expect("a new file");
    let mut left = bytes;
    for file in files {
        let mut part = File::open(file).expect("a file").take(left);
        left -= std::io::copy(&mut part, &mut new).expect("a copy");
    }
    sync(&new, to);
    let took = started.elapsed();
    std::fs::remove_file(to).expect("a copy that can be deleted");
    took
}

/// Reads all columns except `without` and its deadline, and writes them to a new file. Returns the
/// time.
pub fn encode(files: &[PathBuf], without: &str, to: &Path) -> Duration {
    let started = Instant::now();
    let new = File::create_new(to).expect("a new file");
    let mut writer = None;
    for file in files {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("a file"))
            .expect("a segment");
        let dropped = [without.to_owned(), expires_column(without)];
        let names: Vec<String> = builder
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let stay = names
            .iter()
            .filter(|name| !dropped.contains(name))
            .map(String::as_str);
        let mask = ProjectionMask::columns(builder.parquet_schema(), stay);
        for batch in builder
            .with_projection(mask)
            .with_batch_size(8192)
            .build()
            .expect("a reader")
        {
            let batch = batch.expect("rows");
            let writer = writer.get_or_insert_with(|| {
                let level = ZstdLevel::try_new(1).expect("a level");
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .build();
                let new = new.try_clone().expect("the file");
                ArrowWriter::try_new(new, batch.schema(), Some(properties)).expect("a writer")
            });
            writer.write(&batch).expect("written rows");
        }
    }
    writer.expect("some rows").close().expect("a whole file");
    sync(&new, to);
    let took = started.elapsed();
    std::fs::remove_file(to).expect("a file that can be deleted");
    took
}

/// Sets `column` and its deadline to null in a copy of the table, by `deltalake`. Returns the time
/// without the start of Python.
pub fn update(table: &Path, column: &str, to: &Path) -> Duration {
    const SCRIPT: &str = "import sys, time, deltalake\ntable = deltalake.DeltaTable(sys.argv[1])\nstarted = time.time()\n\
                          table.update(updates={sys.argv[2]: 'NULL', 'expires_' + sys.argv[2]: 'NULL'})\n\
                          print(time.time() - started)";
    let done = |command: &mut Command| {
        let output = command.output().expect("a program");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    };
    done(Command::new("cp").arg("-r").args([table, to]));
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = done(Command::new(repo.join("tools/servers")).arg("python"));
    let said = done(
        Command::new(format!("{python}/bin/python"))
            .args(["-c", SCRIPT])
            .arg(to)
            .arg(column),
    );
    std::fs::remove_dir_all(to).expect("a copy that can be deleted");
    Duration::from_secs_f64(said.parse().expect("seconds"))
}

fn sync(file: &File, path: &Path) {
    file.sync_all().expect("a synced file");
    File::open(path.parent().expect("a folder"))
        .and_then(|folder| folder.sync_all())
        .expect("a synced folder");
}
