//! Replays the committed seeds and findings of every fuzz target, and a fixed number of bytes drawn from a
//! seed.

use std::fs;
use std::path::{Path, PathBuf};

use mailbus_fuzz::differential::{Production, script};
use mailbus_worker::lease::SqlLeases;
use mailbus_worker::mailbox::SqlMailboxes;

/// A target's name, what it does with bytes, and how many histories are drawn for it.
type Target = (&'static str, fn(&[u8]), u64);

const TARGETS: [Target; 4] = [
    ("lease_differential", mailbus_fuzz::differential::leases, 500),
    ("mailbox_differential", mailbus_fuzz::differential::mailboxes, 300),
    ("wire_mailbox", mailbus_fuzz::wire_mailbox::run, 500),
    ("wire_request", mailbus_fuzz::wire_request::run, 500),
];

/// The files of a folder of this crate: at least one.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

#[test]
fn every_finding_holds() {
    fn all<P: Production>(folder: &str) {
        for file in files(folder) {
            println!("{}", file.display());
            script::<P>(&fs::read_to_string(&file).unwrap()).unwrap();
        }
    }
    all::<SqlLeases>("findings/lease");
    all::<SqlMailboxes>("findings/mailbox");
}

#[test]
fn every_committed_seed_holds() {
    for (target, run, _) in TARGETS {
        for file in files(&format!("seeds/{target}")) {
            println!("cargo run -p mailbus-fuzz --bin {target} -- {}", file.display());
            run(&fs::read(&file).unwrap());
        }
    }
}

/// Bytes from a fixed linear congruential generator (Knuth, MMIX): no dependency, the same for ever.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

#[test]
fn drawn_histories_hold_on_every_target() {
    for (target, run, histories) in TARGETS {
        for seed in 0..histories {
            println!("{target}, seed {seed}");
            // Large loads come in multiples of 80 bytes.
            run(&bytes(seed, 1_200 + 16 * (seed as usize % 3)));
        }
    }
}
