//! Whoever waits is let in as soon as no lease is in the way, without a look at who came before: a
//! large claim starves while small ones pass.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::fifo;
use crate::mutants::rearrange::{Planted, grant, joined, settle, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "small_claims_overtake",
    source: "spec/rules/leases.md#no-barging",
    breaks: fifo::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let settled = settle(state, host);
    let settled = let_in(state, host, settled);
    let step = state.handle(host, event);
    match event {
        // Who has only just come is let in by the next event.
        Event::Command(Command::Acquire(_)) => joined(settled, step),
        _ => joined(settled, let_in(state, host, step)),
    }
}

fn let_in(state: &mut LeaseMachine, host: HostTime, mut step: LeaseStep) -> LeaseStep {
    let arrivals: Vec<u64> = state.queue.keys().copied().collect();
    for arrival in arrivals {
        let paths = state.queue.get(&arrival).map(|ticket| ticket.content.paths.clone());
        let free = paths.is_some_and(|paths| state.leases_on(&paths).next().is_none());
        if let Some(push) = free.then(|| grant(state, host, arrival)).flatten() {
            step.pushes.push(push);
            step = written(state, host, step);
        }
    }
    step
}
