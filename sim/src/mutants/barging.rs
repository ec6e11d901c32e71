//! An acquisition looks at leases alone: what is free between two holders goes to whoever asks at
//! that moment, past those who wait.

use mailbus_spec::HostTime;
use mailbus_spec::StateMachine;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;

use crate::invariants::fifo;
use crate::mutants::rearrange::{Planted, acquire_of, is_live, joined, key_of, settle};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "barging",
    source: "spec/rules/refuted.md#an-acquisition-that-barges",
    breaks: fifo::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
    let settled = settle(state, host);
    let is_new = key_of(acquire).is_none_or(|key| !is_live(state, &key));
    if !is_new || state.leases_on(acquire.paths()).next().is_some() {
        return joined(settled, state.handle(host, event));
    }
    let (own, others) = std::mem::take(&mut state.queue)
        .into_iter()
        .partition(|(_, ticket)| ticket.holder == *acquire.holder());
    state.queue = own;
    let step = state.handle(host, event);
    state.queue.extend(others);
    joined(settled, step)
}
