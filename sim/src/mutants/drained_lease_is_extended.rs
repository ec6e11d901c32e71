//! A drain forbids nothing: a lease that an admin lets run out is renewed, or taken again by its
//! holder, and never runs out.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine};

use crate::invariants::no_stale_effect;
use crate::mutants::rearrange::{Planted, joined, settle};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "drained_lease_is_extended",
    source: "spec/rules/refuted.md#a-drain-that-never-ends",
    breaks: no_stale_effect::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    if !matches!(event, Event::Command(Command::Renew { .. } | Command::Acquire(_))) {
        return state.handle(host, event);
    }
    let settled = settle(state, host);
    let drained = state.leases.iter_mut().filter(|(_, lease)| lease.draining);
    let drained: Vec<Ordinal> = drained
        .map(|(token, lease)| {
            lease.draining = false;
            *token
        })
        .collect();
    let step = state.handle(host, event);
    for token in drained {
        if let Some(lease) = state.leases.get_mut(&token) {
            lease.draining = true;
        }
    }
    joined(settled, step)
}
