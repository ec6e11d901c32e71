//! An acquisition of a set is checked against its first path: the original knew one path a lease, and
//! sets came later.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, PathSet, StateMachine};

use crate::invariants::server_exclusion;
use crate::mutants::rearrange::{Planted, acquire_of, is_live, joined, key_of, settle};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "first_path_alone_is_checked",
    source: "spec/rules/leases.md#sets",
    breaks: server_exclusion::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
    let settled = settle(state, host);
    let first = acquire.paths().as_slice().first().cloned().map(PathSet::one);
    let is_new = key_of(acquire).is_none_or(|key| !is_live(state, &key));
    let is_free = first.is_some_and(|first| {
        state.leases_on(&first).next().is_none() && state.tickets_on(&first).next().is_none()
    });
    if !is_new || !is_free {
        return joined(settled, state.handle(host, event));
    }
    let (leases, queue) = (std::mem::take(&mut state.leases), std::mem::take(&mut state.queue));
    let step = state.handle(host, event);
    state.leases.extend(leases);
    state.queue.extend(queue);
    joined(settled, step)
}
