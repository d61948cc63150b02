//! Asks DuckDB, Polars and chdb the same question, in one Python process that has asked each of
//! them once before.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Answer;

/// The version of chdb. The tests do not need it, so it is not in their environment.
const CHDB: &str = "chdb==4.4.0";

/// Returns for each engine its name, its median time in milliseconds, and its answers.
pub fn ask(files: &[PathBuf], asked: &[String]) -> Vec<(String, f64, Vec<Answer>)> {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = PathBuf::from(done(Command::new(repo.join("tools/servers")).arg("python")))
        .join("bin/python");
    let extra = chdb(&python);
    let mut command = Command::new(&python);
    command
        .env("PYTHONPATH", &extra)
        .arg("-B")
        .arg(repo.join("benches/lookup/rivals.py"));
    command.arg(asked.join(",")).args(files);
    let said: serde_json::Value = serde_json::from_str(&done(&mut command)).expect("JSON");
    let engine = |of: &serde_json::Value| {
        let answers = of["answers"].as_array().expect("answers").iter();
        let answer = |pair: &serde_json::Value| {
            (
                pair[0].as_u64().expect("rows"),
                pair[1].as_i64().expect("the sum of the offsets"),
            )
        };
        (
            of["name"].as_str().expect("a name").to_owned(),
            of["ms"].as_f64().expect("a time"),
            answers.map(answer).collect(),
        )
    };
    said.as_array()
        .expect("engines")
        .iter()
        .map(engine)
        .collect()
}

/// Returns the folder of chdb. Installs it first if it is missing.
fn chdb(python: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(CHDB);
    if !folder.exists() {
        let new = folder.with_extension("new");
        let pip = [
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            CHDB,
            "--target",
        ];
        done(Command::new(python).args(pip).arg(&new));
        std::fs::rename(&new, &folder).expect("a folder");
    }
    folder
}

fn done(command: &mut Command) -> String {
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
}
