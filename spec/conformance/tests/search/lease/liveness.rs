//! Liveness: a client that keeps asking is granted in the end. From every state the fair
//! continuation is run, in which faults have stopped, nobody renews, no alarm rings, and all who
//! wait ask again in time.

use mailbus_conformance::mutants;
use mailbus_spec::lease::state::{LeaseMachine, Ticket};
use mailbus_spec::lease::{Acquire, Command};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, limits};

use crate::lease::marks::Mark;
use crate::lease::object;
use crate::lease::scenario::Scenario;
use crate::lease::state::State;

/// `lease_liveness`: each waiting ticket is granted within (claims ahead) × (largest TTL + poll
/// lateness) + 60 s, in which a clock that stands still is re-anchored.
pub fn check(scenario: &Scenario, state: &mut State) {
    let object = LeaseMachine::clone(&state.object);
    let tickets: Vec<Ticket> = object.queue.values().cloned().collect();
    let Some(poll_ms) =
        tickets.iter().filter_map(|ticket| ticket.content.wait).map(|wait| wait.poll_ms()).min()
    else {
        return;
    };
    let mut now = object;
    // A ticket that is already past its deadline was not asked for in time.
    settle(scenario, &mut now, state.host());
    let tickets: Vec<Ticket> = tickets
        .into_iter()
        .filter(|ticket| now.queue.values().any(|live| live == ticket))
        .collect();
    for (place, ticket) in tickets.iter().enumerate() {
        let ahead = now.leases.len() + place;
        let each = scenario.longest_ttl_ms() + poll_ms;
        let bound_ms = ahead as u64 * each + limits::REANCHOR_MS as u64;
        if granted_within(scenario, &now, state.host(), &tickets, ticket, poll_ms, bound_ms) {
            scenario.mark(Mark::GrantedInTheEnd);
        } else {
            let why = format!("{} is not granted in {bound_ms} ms", ticket.holder);
            state.violate(scenario, "lease_liveness", why);
        }
    }
}

fn settle(scenario: &Scenario, object: &mut LeaseMachine, host: HostTime) {
    mutants::wake(scenario.mutant).handle(object, host, &object::question());
}

fn granted_within(
    scenario: &Scenario,
    object: &LeaseMachine,
    host: HostTime,
    tickets: &[Ticket],
    watched: &Ticket,
    poll_ms: u64,
    bound_ms: u64,
) -> bool {
    let (mut object, mut model) = (object.clone(), mutants::wake(scenario.mutant));
    for after_ms in (poll_ms..=bound_ms).step_by(poll_ms as usize) {
        for ticket in tickets {
            if !object.queue.values().any(|live| live.key() == ticket.key()) {
                continue;
            }
            let (holder, content) = (ticket.holder.clone(), ticket.content.clone());
            let request = Some(ticket.request.clone());
            let ask = Acquire::new(holder, request, content.paths, content.ttl, content.wait);
            let event = Event::Command(Command::Acquire(ask.unwrap()));
            model.handle(&mut object, HostTime(host.0 + after_ms), &event);
        }
        if object.leases.values().any(|lease| lease.key == watched.key()) {
            return true;
        }
    }
    false
}
