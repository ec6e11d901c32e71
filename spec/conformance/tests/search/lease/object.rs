//! One event on the object of a world: executed, checked on both sides, answered into the network.

use std::sync::Arc;

use mailbus_conformance::mutants;
use mailbus_spec::invariant::Transition;
use mailbus_spec::lease::answer::{HeldBy, Notice};
use mailbus_spec::lease::state::ClaimKey;
use mailbus_spec::lease::{
    Acquire, Command, LeaseMachine, LeaseStep, Outcome, OverReason, Rejection, ReleaseTarget,
};
use mailbus_spec::limits;
use mailbus_spec::machine::Event;

use crate::lease::marks::Mark;
use crate::lease::scenario::Scenario;
use crate::lease::state::{Body, GrantOnce, Packet, State};

/// The command that a packet carries.
pub fn command(scenario: &Scenario, packet: &Packet) -> Command {
    let claim = scenario.claim(packet.client, packet.claim);
    let holder = scenario.holder(packet.client).clone();
    match packet.body {
        Body::Acquire => {
            let (request, paths) = (claim.request.clone(), claim.paths.clone());
            Command::Acquire(Acquire::new(holder, request, paths, claim.ttl, claim.wait).unwrap())
        }
        Body::Renew(token) => {
            let drain = scenario.peers[usize::from(packet.client)].knows_drains;
            Command::Renew { holder, token, ttl: claim.renewal, drain }
        }
        Body::Release(token) => Command::Release { holder, target: ReleaseTarget::Token(token) },
        Body::Cancel => Command::Cancel { holder, request: claim.request.clone().unwrap() },
        Body::Granted(..) | Body::Renewed(_) | Body::Draining(_) | Body::Lost(_) => {
            unreachable!("not a request")
        }
    }
}

/// A packet arrives at the object.
pub fn receive(scenario: &Scenario, state: &mut State, packet: &Packet) {
    let command = command(scenario, packet);
    let answer = execute(scenario, state, &Event::Command(command));
    let body = match (packet.body, answer) {
        (_, Some(Ok(Outcome::Granted { token, ttl, .. }))) => Body::Granted(token, ttl),
        (Body::Renew(token), Some(Ok(Outcome::Renewed { draining: true, .. })))
            if scenario.peers[usize::from(packet.client)].knows_drains =>
        {
            Body::Draining(token)
        }
        (Body::Renew(token), Some(Ok(Outcome::Renewed { .. }))) => Body::Renewed(token),
        (Body::Renew(token), Some(Err(Rejection::Lost))) => Body::Lost(token),
        (Body::Cancel, Some(Ok(Outcome::Cancelled))) => {
            cancelled(state, packet);
            return;
        }
        // Nothing that a client believes, or stops to believe, depends on the other answers.
        _ => return,
    };
    state.send(Packet { body, age: 0, ..*packet });
}

fn cancelled(state: &mut State, packet: &Packet) {
    let key = (packet.client, packet.claim);
    if !state.history.cancelled.contains(&key) {
        state.history.cancelled.push(key);
        state.history.cancelled.sort_unstable();
    }
}

/// An event that does nothing but what time does.
pub fn question() -> Event<Command> {
    Event::Command(Command::List { prefix: "\u{0}".into(), after: None, limit: 1 })
}

/// One event, whoever caused it; every invariant of state and step is checked on it.
pub fn execute(
    scenario: &Scenario,
    state: &mut State,
    event: &Event<Command>,
) -> Option<Result<Outcome, Rejection>> {
    let host = state.host();
    let before = Arc::clone(&state.object);
    let mut after = LeaseMachine::clone(&before);
    let step = mutants::wake(scenario.mutant).handle(&mut after, host, event);
    let transition = Transition { before: &*before, host, event, step: &step, after: &after };
    if let Err((name, why)) = transition.check(scenario.only) {
        state.violate(scenario, name, why);
    }
    mark_transition(scenario, &transition);
    state.object = Arc::new(after);
    remember(scenario, state, &before, event);
    if scenario.pushes {
        push(scenario, state, &step);
    }
    step.reply.map(|reply| reply.answer)
}

/// Client and claim by their numbers.
fn claim_of(scenario: &Scenario, key: &ClaimKey) -> Option<(u8, u8)> {
    let client = scenario.peers.iter().position(|peer| peer.holder == key.holder)?;
    let claims = &scenario.peers[client].claims;
    let claim = claims.iter().position(|claim| {
        claim.request.as_ref().is_some_and(|id| ClaimKey::of(&key.holder, id) == *key)
    })?;
    Some((client as u8, claim as u8))
}

/// Brings the history of grants up to date, and checks what only the whole history shows.
fn remember(scenario: &Scenario, state: &mut State, before: &LeaseMachine, event: &Event<Command>) {
    let (after, now) = (Arc::clone(&state.object), state.object_now());
    for once in state.history.granted.iter_mut().filter(|once| once.over.is_none()) {
        if !after.leases.contains_key(&once.token) {
            let lease = before.leases.get(&once.token);
            once.over = Some(lease.map_or(now, |lease| lease.expires_at.min(now)));
        }
    }
    if let Event::Command(Command::Cancel { holder, request }) = event {
        let claim = claim_of(scenario, &ClaimKey::of(holder, request));
        for once in &mut state.history.granted {
            let remembered = once.over.is_some_and(|end| end.plus_ms(limits::MEMORY_MS) > now);
            if Some((once.client, once.claim)) == claim && remembered {
                once.over = Some(now);
            }
        }
    }
    for (token, lease) in &after.leases {
        if before.leases.contains_key(token) {
            continue;
        }
        if *token <= state.history.largest {
            let largest = state.history.largest;
            state.violate(scenario, "fencing", format!("{token} was granted after {largest}"));
        }
        state.history.largest = state.history.largest.max(*token);
        let Some((client, claim)) = claim_of(scenario, &lease.key) else { continue };
        let known = state
            .history
            .granted
            .iter()
            .position(|once| (once.client, once.claim) == (client, claim));
        if let Some(known) = known {
            let once = state.history.granted.remove(known);
            if once.over.is_none_or(|end| end.plus_ms(limits::MEMORY_MS) > now) {
                let why =
                    format!("{} was granted as {} and as {token}", lease.key.holder, once.token);
                state.violate(scenario, "idempotent", why);
            }
        }
        state.history.granted.push(GrantOnce { client, claim, token: *token, over: None });
        state.history.granted.sort_by_key(|once| (once.client, once.claim));
    }
    remember_forced(scenario, state, before, event);
    let live = after.leases.values().map(|lease| lease.key.clone());
    for key in live.chain(after.queue.values().map(|ticket| ticket.key())) {
        if claim_of(scenario, &key).is_some_and(|claim| state.history.cancelled.contains(&claim)) {
            state.violate(scenario, "no_orphan", format!("{key:?} lives on after its Cancel"));
        }
    }
}

fn remember_forced(
    scenario: &Scenario,
    state: &mut State,
    before: &LeaseMachine,
    event: &Event<Command>,
) {
    let after = Arc::clone(&state.object);
    if let Event::Command(Command::ForceRelease { token, drain, .. }) = event {
        let ended = before.leases.get(token).filter(|_| !after.leases.contains_key(token));
        if let (Some(lease), false) = (ended, *drain) {
            state.history.forced.push((*token, lease.expires_at));
        }
        if let (Some(lease), true) = (after.leases.get(token), *drain)
            && !state.history.draining.iter().any(|(draining, _)| draining == token)
        {
            state.history.draining.push((*token, lease.expires_at));
        }
    }
    for (token, end) in state.history.draining.clone() {
        if let Some(lease) = after.leases.get(&token).filter(|lease| lease.expires_at != end) {
            let why = format!("{token} drains until {end}, but lives to {}", lease.expires_at);
            state.violate(scenario, "drain_ends", why);
        }
    }
    state.history.draining.retain(|(token, _)| after.leases.contains_key(token));
}

fn push(scenario: &Scenario, state: &mut State, step: &LeaseStep) {
    for push in &step.pushes {
        let Notice::Granted { request, token, ttl, .. } = &push.notice else { continue };
        let key = ClaimKey::of(&push.to, request);
        let Some((client, claim)) = claim_of(scenario, &key) else { continue };
        scenario.mark(Mark::GrantPushed);
        let body = Body::Granted(*token, *ttl);
        // A push answers no attempt in particular.
        state.send(Packet { client, claim, body, sent: (0, 0), age: 0 });
    }
}

fn mark_transition(scenario: &Scenario, transition: &Transition<'_, LeaseMachine>) {
    let (before, after) = (transition.before, transition.after);
    let mark = |condition: bool, mark| {
        if condition {
            scenario.mark(mark);
        }
    };
    if let Ok(seen) = before.clock.observe(transition.host) {
        mark(seen.reanchored, Mark::Reanchored);
        let host_ms = transition.host.0 as i64 + seen.offset;
        mark((seen.now.ms() as i64) > host_ms, Mark::FrozenClock);
    }
    let ended = |reason, granted| {
        after.remembered.iter().any(|(key, over)| {
            over.reason == reason
                && over.token.is_some() == granted
                && over.content.is_some()
                && !before.remembered.contains_key(key)
        })
    };
    mark(ended(OverReason::Lapsed, true), Mark::Lapsed);
    mark(ended(OverReason::TimedOut, false), Mark::TimedOut);
    mark(ended(OverReason::Cancelled, true), Mark::CancelledLease);
    mark(ended(OverReason::Cancelled, false), Mark::CancelledTicket);
    let drained = before
        .leases
        .iter()
        .any(|(token, lease)| lease.draining && !after.leases.contains_key(token));
    mark(drained && ended(OverReason::Forced, true), Mark::DrainEnded);
    mark(after.remembered.len() < before.remembered.len(), Mark::MemoryForgotten);
    let from_queue = before
        .queue
        .values()
        .any(|ticket| after.leases.values().any(|lease| lease.key == ticket.key()));
    mark(from_queue, Mark::GrantedFromQueue);
    let Some(reply) = &transition.step.reply else { return };
    let Event::Command(command) = transition.event else { return };
    mark_answer(scenario, transition, command, &reply.answer);
}

fn mark_answer(
    scenario: &Scenario,
    transition: &Transition<'_, LeaseMachine>,
    command: &Command,
    answer: &Result<Outcome, Rejection>,
) {
    let (before, after) = (transition.before, transition.after);
    let reached = match (command, answer) {
        (Command::Acquire(_), Ok(Outcome::Granted { token, .. })) => {
            if let Some(lease) = before.leases.get(token) {
                let same = after.leases.get(token).is_some_and(|new| new == lease);
                if same { Mark::RepeatedGrant } else { Mark::Extended }
            } else {
                let key = after.leases.get(token).map(|lease| &lease.key);
                if key.is_some_and(|key| before.remembered.contains_key(key)) {
                    scenario.mark(Mark::GrantedAfterMemory);
                }
                Mark::Granted
            }
        }
        (Command::Acquire(_), Ok(Outcome::Queued { .. })) => {
            if before.queue.len() == after.queue.len() && transition.step.wrote {
                Mark::TicketExtended
            } else {
                Mark::Queued
            }
        }
        (_, Ok(Outcome::Over { reason, token })) => {
            if *reason == OverReason::Cancelled && token.is_none() {
                scenario.mark(Mark::LateAcquireRefused);
            }
            Mark::OverAnswered
        }
        (_, Err(Rejection::Held(blocker))) => match blocker.by {
            HeldBy::Lease => Mark::Held,
            HeldBy::Ticket => Mark::HeldByTicket,
            HeldBy::Own => Mark::HeldByOwn,
        },
        (_, Err(Rejection::Deadlock { .. })) => Mark::DeadlockRefused,
        (_, Ok(Outcome::Renewed { draining: true, .. })) => Mark::DrainTold,
        (_, Ok(Outcome::Renewed { .. })) => Mark::Renewed,
        (Command::Renew { .. }, Err(Rejection::Lost)) => Mark::RenewalLost,
        (Command::Release { .. }, Ok(Outcome::Released)) => {
            let again = before.leases.len() == after.leases.len();
            if again { Mark::ReleasedAgain } else { Mark::Released }
        }
        (Command::ForceRelease { token, drain, .. }, Ok(Outcome::Released)) => {
            match (before.leases.contains_key(token), *drain) {
                (false, _) => Mark::ForceRepeated,
                (true, true) => Mark::Drained,
                (true, false) => Mark::Forced,
            }
        }
        (Command::ForceTicket { .. }, Ok(Outcome::Released)) => Mark::TicketForced,
        (Command::Cancel { holder, request }, Ok(Outcome::Cancelled)) => {
            let key = ClaimKey::of(holder, request);
            match (before.remembered.get(&key), after.remembered.get(&key)) {
                (None, Some(over)) if over.content.is_none() => Mark::Tombstone,
                (Some(old), Some(new)) if old.end < new.end => Mark::MemoryRenewed,
                _ => return,
            }
        }
        _ => return,
    };
    scenario.mark(reached);
}
