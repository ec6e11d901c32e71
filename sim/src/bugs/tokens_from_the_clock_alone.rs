//! Tokens are the host's time, "which only grows": a host whose clock is behind issues smaller ones.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine};

use crate::bugs::rearrange::Planted;
use crate::bugs::{Bug, mixed, planted_object};
use crate::invariants::fencing;

pub(super) const BUG: Bug = Bug {
    name: "tokens_from_the_clock_alone",
    source: "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    breaks: fencing::NAME,
    subject: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    state.last_token = Ordinal::ZERO;
    state.handle(host, event)
}
