//! A holder is never in its own way: it is granted a second lease over the first, as a lock that may
//! be taken twice by its owner.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::server_exclusion;
use crate::mutants::rearrange::{Planted, acquire_of, is_live, joined, key_of, settle};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "own_lease_is_no_obstacle",
    source: "spec/rules/leases.md#the-order-of-decisions",
    breaks: server_exclusion::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
    let settled = settle(state, host);
    if key_of(acquire).is_some_and(|key| is_live(state, &key)) {
        return joined(settled, state.handle(host, event));
    }
    let (own, others) = std::mem::take(&mut state.leases)
        .into_iter()
        .partition(|(_, lease)| lease.key.holder == *acquire.holder());
    state.leases = others;
    let step = state.handle(host, event);
    state.leases.extend(own);
    joined(settled, step)
}
