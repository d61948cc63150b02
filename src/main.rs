//! The `ebbtide` program.

use std::process::ExitCode;

/// Ingest allocates and frees buffers of megabytes all the time. The system's allocator returns
/// each to the kernel, which clears it again at the next allocation.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ebbtide::cli::run(std::env::args_os())
}
