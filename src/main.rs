//! The `ebbtide` program.

use std::process::ExitCode;

/// Ingest lives on buffers of megabytes that come and go: the system's allocator gives each back to the kernel and has it
/// cleared again.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ebbtide::cli::run(std::env::args_os())
}
