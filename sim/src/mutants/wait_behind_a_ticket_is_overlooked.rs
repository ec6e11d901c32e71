//! The look for deadlocks follows leases alone. But a ticket also waits behind earlier tickets: two
//! that hold nothing of each other's may wait for one another for ever.

use std::collections::BTreeSet;

use mailbus_spec::lease::state::{Content, Ticket};
use mailbus_spec::lease::{Acquire, Command, LeaseMachine, LeaseStep, Outcome, Rejection};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, PathSet, StateMachine};

use crate::invariants::lease_liveness;
use crate::mutants::rearrange::{Planted, acquire_of, answering, now, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "wait_behind_a_ticket_is_overlooked",
    source: "spec/rules/refuted.md#a-deadlock-behind-a-ticket",
    breaks: lease_liveness::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let step = state.handle(host, event);
    let refused = step
        .reply
        .as_ref()
        .is_some_and(|reply| matches!(reply.answer, Err(Rejection::Deadlock { .. })));
    match acquire_of(event).filter(|_| refused) {
        Some(acquire) if !closes_a_cycle_of_leases(state, acquire) => {
            enqueue(state, host, acquire, step)
        }
        _ => step,
    }
}

fn enqueue(
    state: &mut LeaseMachine,
    host: HostTime,
    acquire: &Acquire,
    step: LeaseStep,
) -> LeaseStep {
    let (Some(request), Some(wait)) = (acquire.request(), acquire.wait()) else { return step };
    let ticket = Ticket {
        holder: acquire.holder().clone(),
        request: request.clone(),
        content: Content::of(acquire),
        deadline: now(state, host).plus_ms(wait.ms()),
    };
    let position = state.queue_on(acquire.paths());
    let step = written(state, host, answering(step, Ok(Outcome::Queued { position })));
    state.remembered.remove(&ticket.key());
    state.queue.insert(state.sequence, ticket);
    step
}

fn closes_a_cycle_of_leases(state: &LeaseMachine, acquire: &Acquire) -> bool {
    let holders_of = |paths: &PathSet| -> Vec<Holder> {
        state.leases_on(paths).map(|(_, lease)| lease.key.holder.clone()).collect()
    };
    let mut seen = BTreeSet::new();
    let mut to_expand = holders_of(acquire.paths());
    while let Some(holder) = to_expand.pop() {
        if holder == *acquire.holder() {
            return true;
        }
        if seen.insert(holder.clone()) {
            let waits = state.queue.values().filter(|ticket| ticket.holder == holder);
            to_expand.extend(waits.flat_map(|ticket| holders_of(&ticket.content.paths)));
        }
    }
    false
}
