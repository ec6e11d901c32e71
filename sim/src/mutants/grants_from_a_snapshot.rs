//! The queue is settled from a list of what is free that is drawn up once: two who wait for one path
//! both get it.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine};

use crate::invariants::server_exclusion;
use crate::mutants::rearrange::{Planted, grant, joined, settle, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "grants_from_a_snapshot",
    source: "spec/rules/leases.md#settling",
    breaks: server_exclusion::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let settled = settle(state, host);
    let settled = grant_the_others(state, host, settled);
    let step = state.handle(host, event);
    joined(settled, grant_the_others(state, host, step))
}

/// Grants what was free before the first of them was granted.
fn grant_the_others(state: &mut LeaseMachine, host: HostTime, mut step: LeaseStep) -> LeaseStep {
    let granted = step.pushes.iter().filter_map(|push| match push.notice {
        Notice::Granted { token, .. } => Some(token),
        _ => None,
    });
    let granted: Vec<Ordinal> = granted.collect();
    let arrivals: Vec<u64> = state.queue.keys().copied().collect();
    for arrival in arrivals {
        let Some(ticket) = state.queue.get(&arrival) else { continue };
        let paths = ticket.content.paths.clone();
        let was_free = state.leases_on(&paths).all(|(token, _)| granted.contains(&token));
        let is_blocked = state.leases_on(&paths).next().is_some();
        if let Some(push) = (was_free && is_blocked).then(|| grant(state, host, arrival)).flatten()
        {
            step.pushes.push(push);
            step = written(state, host, step);
        }
    }
    step
}
