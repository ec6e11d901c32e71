//! Goal: every script says what the specification does, and every rule of leases and mailboxes has one.
//!
//! Method: each file of `scripts/lease` and `scripts/mailbox` is run on the specification and compared
//! word for word. With `REWRITE=1` the lower halves are written instead.

use std::fs;

use mailbus_conformance::script::{Script, Verdict, rewriting, scripts_of};
use mailbus_conformance::{ModelSystem, Subject, block_on};
use mailbus_spec::lease::LeaseMachine;
use mailbus_spec::mailbox::MailboxMachine;

#[test]
fn every_lease_script_says_what_the_specification_does() {
    assert!(checked::<LeaseMachine>() >= 36);
}

#[test]
fn every_mailbox_script_says_what_the_specification_does() {
    assert!(checked::<MailboxMachine>() >= 35);
}

/// Checks or rewrites all scripts of a service, and says how many there are.
fn checked<S: Subject>() -> usize {
    let mut failures = Vec::new();
    let files = scripts_of::<S>().unwrap();
    for file in &files {
        let script = match Script::<S>::parse(&file.text) {
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
    files.len()
}
