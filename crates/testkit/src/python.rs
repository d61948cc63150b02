//! Runs the scripts of `tests/python` in the pinned environment, and finds what `tools/servers`
//! fetched.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

use super::repo;

/// Returns the folder of a part that `tools/servers` fetches (`kafka`, `registry`, `python`);
/// fetches it if missing.
pub fn part(name: &str) -> PathBuf {
    let output = Command::new(repo().join("tools/servers"))
        .arg(name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "tools/servers {name} failed: {said}"
    );
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Returns a `java` of at least `version`.
pub fn java(version: &str) -> PathBuf {
    let output = Command::new(repo().join("tools/java"))
        .arg(version)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Returns the interpreter of the pinned environment.
pub fn interpreter() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| part("python")).join("bin/python")
}

pub fn script(name: &str) -> String {
    repo()
        .join("tests/python")
        .join(name)
        .to_string_lossy()
        .into_owned()
}

/// Runs a script to its end, and returns its output, even if it failed.
pub fn try_run(name: &str, args: &[String]) -> Output {
    Command::new(interpreter())
        .arg("-B")
        .arg(script(name))
        .args(args)
        .output()
        .unwrap()
}

/// Runs a script that must succeed, and returns its output.
pub fn run(name: &str, args: &[String]) -> String {
    let output = try_run(name, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{name} failed:\n{said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Makes arguments from any printable values.
#[macro_export]
macro_rules! args {
    ($($arg:expr),* $(,)?) => { &[$($arg.to_string()),*] };
}
