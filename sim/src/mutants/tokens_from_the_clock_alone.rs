//! Tokens are the host's time, "which only grows": a host whose clock is behind issues smaller ones.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine};

use crate::invariants::fencing;
use crate::mutants::rearrange::Planted;
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "tokens_from_the_clock_alone",
    source: "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    breaks: fencing::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    state.last_token = Ordinal::ZERO;
    state.handle(host, event)
}
