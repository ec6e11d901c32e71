//! Goal: every script says what the specification does, and every rule of the leases has one.
//!
//! Method: each file of `scripts/lease` is run on the specification and compared word for word. With
//! `REWRITE=1` the lower halves are written instead.

use std::fs;

use mailbus_spec::conformance::script::{Script, Verdict, rewriting, scripts_of};
use mailbus_spec::conformance::{ModelSystem, block_on};
use mailbus_spec::lease::LeaseMachine;

#[test]
fn every_lease_script_says_what_the_specification_does() {
    let mut failures = Vec::new();
    let files = scripts_of::<LeaseMachine>().unwrap();
    for file in &files {
        let script = match Script::<LeaseMachine>::parse(&file.text) {
            Ok(script) => script,
            Err(error) => {
                failures.push(format!("{}: {error}", file.path.display()));
                continue;
            }
        };
        if rewriting() {
            fs::write(&file.path, script.rewritten()).unwrap();
            continue;
        }
        match block_on(script.run(&mut ModelSystem::default())) {
            Ok(Verdict::Passed) => {}
            other => failures.push(format!("{}: {other:?}", file.path.display())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(files.len() >= 36, "only {} scripts", files.len());
}
