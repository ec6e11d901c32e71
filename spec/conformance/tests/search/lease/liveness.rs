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

/// `lease_liveness`: each waiting ticket is granted within (claims ahead) × (longest term + poll
/// lateness) + 60 s, in which a clock that stands still is re-anchored, even if no alarm rings. Where alarms
/// ring in time its holder learns of it before more than a third of the first term is over.
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
        let each = scenario.longest_term_ms() + poll_ms;
        let bound_ms = ahead as u64 * each + limits::REANCHOR_MS as u64;
        let fair = Fair { scenario, object: &now, host: state.host(), tickets: &tickets, poll_ms };
        if !fair.grants_within(ticket, bound_ms) {
            let why = format!("{} is not granted in {bound_ms} ms", ticket.holder);
            state.violate(scenario, "lease_liveness", why);
        } else if !fair.tells_within(ticket, bound_ms) {
            let why = format!("{} does not learn of a grant in {bound_ms} ms", ticket.holder);
            state.violate(scenario, "lease_liveness", why);
        } else {
            scenario.mark(Mark::GrantedInTheEnd);
        }
    }
}

fn settle(scenario: &Scenario, object: &mut LeaseMachine, host: HostTime) {
    mutants::wake(scenario.mutant).handle(object, host, &object::question());
}

/// Fair continuation of a state: who waits asks again and again.
struct Fair<'a> {
    scenario: &'a Scenario,
    object: &'a LeaseMachine,
    host: HostTime,
    tickets: &'a [Ticket],
    poll_ms: u64,
}

impl Fair<'_> {
    /// True if the watched ticket is a lease within the bound, by questions alone.
    fn grants_within(&self, watched: &Ticket, bound_ms: u64) -> bool {
        let (mut object, mut model) = (self.object.clone(), mutants::wake(self.scenario.mutant));
        for after_ms in (self.poll_ms..=bound_ms).step_by(self.poll_ms as usize) {
            let asked = HostTime(self.host.0 + after_ms);
            for ticket in self.tickets {
                if object.queue.values().any(|live| live.key() == ticket.key()) {
                    model.handle(&mut object, asked, &question(ticket));
                }
            }
            if object.leases.values().any(|lease| lease.key == watched.key()) {
                return true;
            }
        }
        false
    }

    /// True if the watched holder is answered `Granted` in time: within the bound, and with so much of the
    /// first term left as an answer may take.
    fn tells_within(&self, watched: &Ticket, bound_ms: u64) -> bool {
        let (mut object, mut model) = (self.object.clone(), mutants::wake(self.scenario.mutant));
        let mut before = self.host;
        for after_ms in (0..=bound_ms).step_by(self.poll_ms as usize) {
            let asked = HostTime(self.host.0 + after_ms);
            ring(&mut object, &mut *model, (before, asked));
            before = asked;
            for ticket in self.tickets {
                let is_watched = ticket.key() == watched.key();
                if !is_watched && !object.queue.values().any(|live| live.key() == ticket.key()) {
                    continue;
                }
                let reply = model.handle(&mut object, asked, &question(ticket)).reply;
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
}

/// The question after a ticket.
fn question(ticket: &Ticket) -> Event<Command> {
    let Ticket { holder, request, content, .. } = ticket.clone();
    let ask = Acquire::new(holder, Some(request), content.paths, content.ttl, content.wait);
    Event::Command(Command::Acquire(ask.unwrap()))
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
