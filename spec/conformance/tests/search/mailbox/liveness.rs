//! `mail_liveness`: from a state the fair continuation is run, in which faults have stopped. Processes
//! that are in no session come back, clients ack what they are given, the original's only what asks
//! for it, and the alarm rings when it is set. In the end nobody connects any more, nothing is pending
//! for anybody who is connected, and nothing at all is kept.

use std::sync::Arc;

use mailbus_conformance::mutants;
use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Settled};
use mailbus_spec::{AgentId, HostTime, Ordinal, Timestamp};

use crate::harness::{Reached, Violation};
use crate::mailbox::client;
use crate::mailbox::marks::Mark;
use crate::mailbox::object;
use crate::mailbox::scenario::Scenario;
use crate::mailbox::state::State;

/// Rounds after which all must be over: more than the messages, processes and turning points there are.
const ROUNDS: u32 = 80;
/// Time that a process takes to come back.
const RECONNECT_MS: u64 = 5_000;
/// A message whose retention ends sooner than the longest delay and the rest may expire.
const GRACE_MS: u64 = limits::DELAY_MAX_MS + limits::PRESUMED_MS + limits::DEDUP_MS;

/// Violation of liveness: what does not come to a good end from here.
pub fn violation(scenario: &Scenario, state: &State) -> Option<Violation> {
    if scenario.only.is_some_and(|only| only != "mail_liveness") || state.violation.is_some() {
        return None;
    }
    let unmarked =
        Scenario { only: Some("mail_liveness"), reached: Reached::default(), ..scenario.clone() };
    let mut rest = state.clone();
    for client in &mut rest.clients {
        client.outbox.clear();
    }
    let owed = owed(&rest);
    if let Err(why) = run(&unmarked, &mut rest, &owed) {
        return Some(Violation { invariant: "mail_liveness", why });
    }
    if !owed.is_empty() {
        scenario.mark(Mark::DeliveredInTheEnd);
    }
    None
}

/// Messages that are pending for those who run, and will be for long enough.
fn owed(state: &State) -> Vec<(AgentId, Ordinal)> {
    let now = state.now();
    let lasting = |seq: &Ordinal| {
        let logged = state.object.log.entries.get(seq);
        logged.is_some_and(|logged| now.plus_ms(GRACE_MS) < logged.at.plus_ms(limits::RETENTION_MS))
    };
    let pending = state
        .object
        .agents
        .iter()
        .flat_map(|(name, agent)| agent.inbox.open.keys().map(move |seq| (name.clone(), *seq)));
    pending.filter(|(_, seq)| lasting(seq)).collect()
}

fn run(scenario: &Scenario, state: &mut State, owed: &[(AgentId, Ordinal)]) -> Result<(), String> {
    for _ in 0..ROUNDS {
        let busy =
            settle_sockets(scenario, state) | come_back(scenario, state) | answer(scenario, state);
        if busy {
            continue;
        }
        let alarm = mutants::wake(scenario.mutant).next_alarm(&state.object);
        if let Some((seq, due)) =
            pushable(state).filter(|(_, due)| alarm.is_none_or(|at| *due < at))
        {
            return Err(format!("{seq} may be pushed at {due}, and the alarm is set to {alarm:?}"));
        }
        let Some(at) = alarm.filter(|at| next_sight(state) != Some(*at)) else {
            return nothing_is_left(scenario, state, owed);
        };
        // A ring is late at times, never early.
        let host = state.object.clock.host_at(at).0.max(state.host_ms);
        state.host_ms = HostTime(host).0;
        object::execute(scenario, state, &Event::Alarm);
    }
    Err(format!("it does not come to rest: {:?}", state.object.agents))
}

/// Time at which the alarm rings for nothing but that somebody is there, once nothing is kept: it will for
/// ever.
fn next_sight(state: &State) -> Option<Timestamp> {
    let object = &state.object;
    let present = object.agents.values().filter(|agent| agent.has_session());
    let known = present.filter_map(|agent| agent.registration.as_ref());
    let soonest = known.map(|known| known.written_at.plus_ms(limits::SIGHT_MS)).min()?;
    let at_rest = object.log.entries.is_empty();
    at_rest.then(|| soonest.max(object.round_at.plus_ms(limits::COLLECTION_MS)))
}

/// Message that may be pushed when nothing else happens, and when. Sessions with deliveries in
/// flight wait for those, unless all fits them.
fn pushable(state: &State) -> Option<(Ordinal, Timestamp)> {
    let floor = state.object.clock.floor;
    let soonest = state.object.agents.values().filter_map(|agent| {
        let live = agent.live.as_ref()?;
        let all_fits = live.window.is_none_or(|window| {
            agent.inbox.len() <= window.messages() && agent.inbox.bytes <= window.bytes()
        });
        let waiting = agent.inbox.open.iter().filter(|(seq, _)| !live.flights.contains_key(seq));
        let due = waiting.map(|(seq, open)| (*seq, open.due.map_or(floor, |due| due.max(floor))));
        due.filter(|_| all_fits || live.flights.is_empty()).min_by_key(|(_, due)| *due)
    });
    soonest.min_by_key(|(_, due)| *due)
}

/// The object hears of every socket that was left.
fn settle_sockets(scenario: &Scenario, state: &mut State) -> bool {
    let mut busy = false;
    for process in 0..state.clients.len() as u8 {
        while let Some(epoch) = state.clients[usize::from(process)].closing.first().copied() {
            client::close(scenario, state, process, epoch);
            busy = true;
        }
    }
    busy
}

/// One process that lost its session comes back, if it has no successor of another session.
fn come_back(scenario: &Scenario, state: &mut State) -> bool {
    let out = (0..state.clients.len() as u8).find(|process| {
        let client = &state.clients[usize::from(*process)];
        client.epoch.is_none() && !client.is_done && !client.is_gone
    });
    let Some(process) = out else { return false };
    state.host_ms += RECONNECT_MS;
    let _ = client::connect(scenario, state, process);
    true
}

/// Every client answers one of the deliveries it has.
fn answer(scenario: &Scenario, state: &mut State) -> bool {
    let mut busy = false;
    for at in 0..state.clients.len() {
        let pipe = std::mem::take(&mut state.clients[at].pipe);
        pipe.into_iter().for_each(|seq| state.clients[at].take(seq));
        let process = &scenario.processes[at];
        let name = process.agent.clone();
        let object = Arc::clone(&state.object);
        let asks_for_it = |seq: &&Ordinal| {
            let logged = object.log.entries.get(seq);
            process.window.is_some() || logged.is_some_and(|logged| logged.message.ack_required)
        };
        let next = state.clients[at].in_hand.iter().find(asks_for_it).copied();
        let Some(seq) = next else { continue };
        busy = true;
        state.clients[at].put_down(seq);
        client::handle(state, &name, seq);
        let what = Settled::Seqs(vec![seq]);
        let _ = object::ask(scenario, state, Ask::Ack { agent: name, what });
    }
    busy
}

/// Whoever could be reached has settled what he was owed, and nothing is kept.
fn nothing_is_left(
    scenario: &Scenario,
    state: &State,
    owed: &[(AgentId, Ordinal)],
) -> Result<(), String> {
    if let Some(violation) = &state.violation {
        return Err(violation.why.clone());
    }
    let runs = |name: &AgentId| {
        let mut processes = state.clients.iter().zip(&scenario.processes);
        processes.any(|(client, process)| process.agent == *name && client.epoch.is_some())
    };
    for (name, seq) in owed.iter().filter(|(name, _)| runs(name)) {
        let lost = state.past.agent(name).is_some_and(|past| past.lost.contains(seq));
        if lost {
            return Err(format!("{seq} was owed to {name}, who was there, and expired"));
        }
    }
    let object = &state.object;
    let pending = object.agents.values().any(|agent| !agent.inbox.is_empty());
    if pending || !object.log.entries.is_empty() {
        return Err(format!(
            "no alarm is wanted, and mail is kept: {:?}",
            object.log.entries.keys()
        ));
    }
    Ok(())
}
