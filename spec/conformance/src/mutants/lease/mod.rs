//! Mutants of the lease machine, and what they are made of.

pub mod ending;
pub mod grant;
pub mod memory;
pub mod queue;
pub mod waking;

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::state::{ClaimKey, Lease};
use mailbus_spec::lease::{Acquire, Command, LeaseMachine, LeaseStep, Outcome, Push, Rejection};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, Service, StateMachine, Timestamp};

/// Mutant of the lease machine.
pub type Mutant = super::Mutant<LeaseMachine>;

/// Object time of an event at `host`.
fn now(state: &LeaseMachine, host: HostTime) -> Timestamp {
    state.clock.observe(host).map_or(state.clock.floor, |seen| seen.now)
}

/// The acquisition that an event asks for.
fn acquire_of(event: &Event<Command>) -> Option<&Acquire> {
    match event {
        Event::Command(Command::Acquire(acquire)) => Some(acquire),
        _ => None,
    }
}

/// The attempt that an acquisition names.
fn key_of(acquire: &Acquire) -> Option<ClaimKey> {
    acquire.request().map(|request| ClaimKey::of(acquire.holder(), request))
}

/// True if an attempt holds or waits.
fn is_live(state: &LeaseMachine, key: &ClaimKey) -> bool {
    state.leases.values().any(|lease| lease.key == *key)
        || state.queue.values().any(|ticket| ticket.key() == *key)
}

/// Step of an event that asks nothing: time ends what is due. Its answer is to be replaced.
fn expire(state: &mut LeaseMachine, host: HostTime) -> LeaseStep {
    let nothing = Command::List { prefix: "\0".to_owned(), after: None, limit: 1 };
    state.handle(host, &Event::Command(nothing))
}

/// One step made of two: of what time has ended, and of a command after it.
fn joined(mut expired: LeaseStep, step: LeaseStep) -> LeaseStep {
    expired.pushes.extend(step.pushes);
    LeaseStep { reply: step.reply, pushes: expired.pushes, wrote: expired.wrote || step.wrote }
}

/// A step that gives another answer.
fn answering(mut step: LeaseStep, answer: Result<Outcome, Rejection>) -> LeaseStep {
    if let Some(reply) = &mut step.reply {
        reply.answer = answer;
    }
    step
}

/// Notes that the state was changed by hand: the event wrote, even if the model's did not.
fn written(state: &mut LeaseMachine, host: HostTime, mut step: LeaseStep) -> LeaseStep {
    if !std::mem::replace(&mut step.wrote, true) {
        state.sequence += 1;
        if let Ok(seen) = state.clock.observe(host) {
            state.clock = state.clock.advanced_to(&seen);
        }
        if let Some(reply) = &mut step.reply {
            reply.commit = state.commit(reply.commit.now);
        }
    }
    step
}

/// Grants the ticket of an arrival, whatever is in its way.
fn grant(state: &mut LeaseMachine, host: HostTime, arrival: u64) -> Option<Push> {
    let token = state.last_token.next(host)?;
    let expires = now(state, host);
    let ticket = state.queue.remove(&arrival)?;
    let ttl = ticket.content.ttl.queued_term(ticket.content.wait);
    let expires_at = expires.plus_ms(ttl.ms());
    let key = ticket.key();
    let (content, to, request) = (ticket.content, ticket.holder, ticket.request);
    let lease = Lease { key, content, first_term: ttl, expires_at, draining: false };
    state.leases.insert(token, lease);
    state.last_token = token;
    Some(Push { to, notice: Notice::Granted { request, token, expires_at, ttl } })
}

/// Handles an event for which leases whose end fits are not over yet.
fn sparing(
    state: &mut LeaseMachine,
    host: HostTime,
    event: &Event<Command>,
    fits: fn(end: Timestamp, now: Timestamp) -> bool,
) -> LeaseStep {
    let now = now(state, host);
    let little = now.plus_ms(1);
    let mut spared: Vec<(Ordinal, Timestamp)> = Vec::new();
    for (token, lease) in &mut state.leases {
        if fits(lease.expires_at, now) {
            spared.push((*token, std::mem::replace(&mut lease.expires_at, little)));
        }
    }
    let mut step = state.handle(host, event);
    for (token, end) in spared {
        if let Some(lease) = state.leases.get_mut(&token)
            && lease.expires_at == little
        {
            lease.expires_at = end;
        }
        if let Some(reply) = &mut step.reply
            && let Ok(Outcome::Granted { token: told, expires_at, .. }) = &mut reply.answer
            && *told == token
            && *expires_at == little
        {
            *expires_at = end;
        }
    }
    step
}
