//! Liveness: a client that keeps asking is granted in the end. From every state the fair
//! continuation is run, in which faults have stopped, nobody renews, alarms ring in time, and all who
//! wait ask again at once and then in time.

use mailbus_conformance::mutants::{self, Model};
use mailbus_spec::lease::state::{LeaseMachine, Ticket};
use mailbus_spec::lease::{Acquire, Command, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, limits};

use crate::lease::marks::Mark;
use crate::lease::object;
use crate::lease::scenario::Scenario;
use crate::lease::state::State;

/// `lease_liveness`: each waiting ticket is granted within (claims ahead) × (largest term + poll
/// lateness) + 60 s, in which a clock that stands still is re-anchored, and its holder learns of it
/// before more than a third of the first term is over.
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
        let each = scenario.longest_ttl_ms().max(limits::QUEUED_TERM_MS) + poll_ms;
        let bound_ms = ahead as u64 * each + limits::REANCHOR_MS as u64;
        if learns_within(scenario, &now, state.host(), &tickets, ticket, poll_ms, bound_ms) {
            scenario.mark(Mark::GrantedInTheEnd);
        } else {
            let why = format!("{} does not learn of a grant in {bound_ms} ms", ticket.holder);
            state.violate(scenario, "lease_liveness", why);
        }
    }
}

fn settle(scenario: &Scenario, object: &mut LeaseMachine, host: HostTime) {
    mutants::wake(scenario.mutant).handle(object, host, &object::question());
}

/// True if the watched holder is answered `Granted` in time: within the bound, and with so much of the
/// first term left as an answer may take.
fn learns_within(
    scenario: &Scenario,
    object: &LeaseMachine,
    host: HostTime,
    tickets: &[Ticket],
    watched: &Ticket,
    poll_ms: u64,
    bound_ms: u64,
) -> bool {
    let (mut object, mut model) = (object.clone(), mutants::wake(scenario.mutant));
    let mut before = host;
    for after_ms in (0..=bound_ms).step_by(poll_ms as usize) {
        let asked = HostTime(host.0 + after_ms);
        ring(&mut object, &mut *model, (before, asked));
        before = asked;
        for ticket in tickets {
            let is_watched = ticket.key() == watched.key();
            if !is_watched && !object.queue.values().any(|live| live.key() == ticket.key()) {
                continue;
            }
            let (holder, content) = (ticket.holder.clone(), ticket.content.clone());
            let request = Some(ticket.request.clone());
            let ask = Acquire::new(holder, request, content.paths, content.ttl, content.wait);
            let event = Event::Command(Command::Acquire(ask.unwrap()));
            let reply = model.handle(&mut object, asked, &event).reply;
            match reply.filter(|_| is_watched).map(|reply| (reply.answer, reply.commit.now)) {
                Some((Ok(Outcome::Granted { expires_at, ttl, .. }), now)) => {
                    return 3 * expires_at.ms_since(now) >= 2 * ttl.ms();
                }
                Some((Ok(Outcome::Over { .. }), _)) => return false,
                _ => {}
            }
        }
    }
    false
}

/// The alarms between two instants: what ends is handed on at once, whoever asks when.
fn ring(
    object: &mut LeaseMachine,
    model: &mut dyn Model<LeaseMachine>,
    (from, until): (HostTime, HostTime),
) {
    let mut rung = None;
    while let Some(due) = model.next_alarm(object).filter(|due| rung < Some(*due)) {
        let rings = object.clock.host_at(due).max(from);
        if until < rings {
            break;
        }
        model.handle(object, rings, &Event::Alarm);
        rung = Some(due);
    }
}
