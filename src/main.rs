//! The command line: parse, run, and turn the outcome into an exit code.

mod cli;

use std::process::ExitCode;

/// The C library's own allocator takes a fifth of a run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
