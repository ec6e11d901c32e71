//! Under `cargo fuzz` the target; otherwise a program that runs it on the files it is given.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mailbus_fuzz::differential::leases(bytes));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    mailbus_fuzz::replay(mailbus_fuzz::differential::leases)
}
