//! Object time never runs backwards, and that is all: after one event on a host that was ahead it
//! stands still until the others have caught up, and nothing lapses.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::limits::REANCHOR_MS;
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::lease_liveness;
use crate::mutants::rearrange::Planted;
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "clock_is_never_reanchored",
    source: "spec/rules/refuted.md#a-clock-that-waits-for-its-host",
    breaks: lease_liveness::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let earliest = state.clock.floor.ms().saturating_sub(REANCHOR_MS.unsigned_abs());
    state.handle(HostTime(host.0.max(earliest)), event)
}
