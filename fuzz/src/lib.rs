//! Fuzz targets: what bytes mean, and what must hold for all of them.
//!
//! Each target is a plain function that panics when something does not hold, so that the fuzzer
//! (`cargo fuzz run <target>`, on a nightly toolchain), a program and a test can run it alike. The
//! files in `seeds/` are replayed by `cargo test`.

#![forbid(unsafe_code)]

pub mod lease_differential;
pub mod mailbox_differential;
pub mod wire_mailbox;
pub mod wire_request;

/// Runs a target on each file named on the command line.
///
/// # Errors
/// If a file cannot be read.
pub fn replay(run: fn(&[u8])) -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        run(&std::fs::read(&file)?);
    }
    Ok(())
}
