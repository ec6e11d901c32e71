//! Each question of one who waits is a new arrival: whoever asks more often waits longer.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::no_lost_place;
use crate::mutants::rearrange::{Planted, acquire_of, key_of, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "asking_again_goes_to_the_end",
    source: "spec/rules/leases.md#tickets",
    breaks: no_lost_place::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let step = state.handle(host, event);
    let Some(key) = acquire_of(event).and_then(key_of) else { return step };
    let own = state.queue.iter().find(|(_, ticket)| ticket.key() == key);
    let Some(arrival) = own.map(|(arrival, _)| *arrival) else { return step };
    let mut step = written(state, host, step);
    let Some(ticket) = state.queue.remove(&arrival) else { return step };
    let position = state.queue_on(&ticket.content.paths);
    state.queue.insert(state.sequence, ticket);
    if let Some(reply) = &mut step.reply {
        reply.answer = Ok(Outcome::Queued { position });
    }
    step
}
