//! The `ebbtide` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ebbtide::cli::run(std::env::args_os())
}
