//! A plan run twice gives the same event log, byte for byte.
//!
//! Method: two processes replay one seed and their logs are compared. A planted bug whose order
//! differs between processes shows that the comparison can fail.

use std::process::Command;

fn log(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mailbus-sim"))
        .arg("replay")
        .args(arguments)
        .arg("--log")
        .output()
        .expect("the simulator runs");
    let log = String::from_utf8(output.stdout).expect("a log is text");
    assert!(log.lines().count() > 100, "a log of {arguments:?} has lines: {log}");
    log
}

/// The first line in which two logs differ.
fn difference(one: &str, other: &str) -> Option<String> {
    let mut pairs = one.lines().zip(other.lines()).zip(1..);
    let line = pairs.find(|((one, other), _)| one != other);
    let text = line.map(|((one, other), number)| format!("line {number}:\n{one}\n{other}"));
    text.or_else(|| (one != other).then(|| "one log is longer".to_owned()))
}

#[test]
fn one_seed_gives_one_event_log_in_any_process() {
    for (seed, target) in [("4", "native"), ("7", "native"), ("5", "spec")] {
        let arguments = ["--seed", seed, "--target", target];
        let differs = difference(&log(&arguments), &log(&arguments));
        assert_eq!(
            differs, None,
            "REPRODUCE WITH mailbus-sim replay --seed {seed} --target {target} --log"
        );
    }
}

#[test]
fn an_order_that_differs_between_processes_is_noticed() {
    let arguments = ["--seed", "4", "--bug", "order_of_a_hash_map"];
    let first = log(&arguments);
    let noticed = (0..8).any(|_| difference(&first, &log(&arguments)).is_some());
    assert!(noticed, "nine runs of the canary gave one log");
}
