//! Settling grants first and drops tickets whose time is over afterwards: a ticket whose deadline is
//! not after the expiry that it waits for is granted to somebody who has given up.

use mailbus_spec::lease::OverReason;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine, Timestamp};

use crate::invariants::no_lost_place;
use crate::mutants::rearrange::{Planted, joined, now, settle, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "dead_ticket_is_granted",
    source: "spec/rules/refuted.md#a-deadline-at-the-instant-of-an-expiry",
    breaks: no_lost_place::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let now = now(state, host);
    let mut over: Vec<(u64, Timestamp)> = Vec::new();
    for (arrival, ticket) in &mut state.queue {
        if ticket.deadline <= now {
            over.push((*arrival, std::mem::replace(&mut ticket.deadline, now.plus_ms(1))));
        }
    }
    let mut settled = settle(state, host);
    for (arrival, deadline) in over {
        if let Some(ticket) = state.queue.remove(&arrival) {
            state.remembered.extend([ticket.ended(OverReason::TimedOut, deadline)]);
            settled = written(state, host, settled);
        }
    }
    joined(settled, state.handle(host, event))
}
