//! Fuzz targets: what bytes mean, and what must hold for all of them.
//!
//! Each target is a plain function that panics when something does not hold, so that the fuzzer, a program
//! and a test can run it alike:
//!
//! | command | what it runs |
//! |---|---|
//! | `.ci/fuzz 600` | the fuzzer on each target, ten minutes each; it needs rustup's nightly toolchain |
//! | `cargo run -p mailbus-fuzz --bin TARGET -- FILE` | a target on a file, such as the fuzzer keeps in `fuzz/artifacts`; a history is printed as a script as it goes |
//! | `cargo test -p mailbus-fuzz` | every target on its files in `seeds/` and `findings/`, and on bytes drawn from numbers |
//!
//! A finding becomes a file and stays a test for ever: of the wire the bytes in `seeds/<target>/`, of a
//! history its script in `findings/<service>/`.
//!
//! # Speed
//!
//! What a fuzzer finds depends on how much it can try: `.ci/fuzz` holds what was found to help, measured on
//! one core.
//!
//! * It builds in release and without a sanitizer. No crate here has unsafe code, so the address sanitizer
//!   would watch SQLite alone, and takes half of the speed and more. Overflows and debug assertions are
//!   looked for by `cargo test`, in the development profile.
//! * Histories go on in one database, whose rows are deleted between them.
//! * Every check of a mailbox looks at all that is there. So a history has room for few loads that fill a
//!   window or an inbox, and few histories have any; of a load, what is alike is only compared.
//! * How often something happened in a history makes it no new one (`-use_counters=0`), and what takes
//!   long is tried more seldom (`-entropic_scale_per_exec_time=1`).

#![forbid(unsafe_code)]

pub mod differential;
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
