//! The binary `verbatim`.

use std::process::ExitCode;

/// Many small allocations of many threads: mimalloc takes them faster than the system's allocator, and gives memory
/// back after a burst.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    verbatim_api::cli::main()
}
