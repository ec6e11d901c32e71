//! A ticket has its time from its arrival on, however often its holder asks again: who waits longer
//! than `wait` is sent away although it never stopped asking.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::no_lost_place;
use crate::mutants::rearrange::{Planted, acquire_of, key_of};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "asking_again_extends_nothing",
    source: "spec/rules/refuted.md#a-ticket-as-long-as-a-lease",
    breaks: no_lost_place::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Some(key) = acquire_of(event).and_then(key_of) else { return state.handle(host, event) };
    let own = state.queue.iter().find(|(_, ticket)| ticket.key() == key);
    let before = own.map(|(arrival, ticket)| (*arrival, ticket.deadline));
    let step = state.handle(host, event);
    if let Some((arrival, deadline)) = before
        && let Some(ticket) = state.queue.get_mut(&arrival)
    {
        ticket.deadline = deadline;
    }
    step
}
