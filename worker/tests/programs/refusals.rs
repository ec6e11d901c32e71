//! What nobody should send.

use crate::bus::{Bus, run};
use crate::support::bad_input;
use crate::support::daemon::Program;

pub fn bad_input_changes_nothing(program: Program) {
    let mut bus = Bus::start(program);
    let cases = bad_input::cases();
    let faults = run(bad_input::faults(bus.address(), &cases));
    assert_eq!(faults, Vec::<String>::new());
    assert!(bus.daemon.is_running());
    // The check can fail: a good request is neither refused nor without consequence.
    let good = [bad_input::good_case()];
    let faults = run(bad_input::faults(bus.address(), &good));
    assert_eq!(faults.len(), 2, "{faults:?}");
}
