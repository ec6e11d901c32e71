//! Failures: a message is given up only after as many of its own as there may be, and in their time.

use alloc::format;
use alloc::string::String;

use super::{Transition, ensure};
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::{Fate, Outcome};
use crate::mailbox::command::Ask;
use crate::ordinal::Ordinal;

pub(super) fn no_innocent_dead(transition: &Transition<'_>) -> Result<(), String> {
    for (name, agent) in &transition.after.agents {
        let before = transition.before.agents.get(name);
        for (seq, open) in &agent.inbox.open {
            let old = before.and_then(|agent| agent.inbox.open.get(seq));
            let failures = old.map_or(0, |old| old.failures);
            let own = u64::from(has_failed(transition, name, *seq));
            ensure(open.failures <= failures.saturating_add(own), || {
                format!("{seq} of {name} has {} failures, after {failures}", open.failures)
            })?;
        }
        for seq in agent.failed.keys() {
            let old = before.and_then(|agent| agent.inbox.open.get(seq));
            let was_dead = before.is_some_and(|agent| agent.failed.contains_key(seq));
            let failures = old.map_or(0, |old| old.failures.saturating_add(1));
            let own = has_failed(transition, name, *seq) && failures >= limits::MAX_DELIVERIES;
            ensure(was_dead || own, || {
                format!("{seq} of {name} was given up after {failures} failures")
            })?;
        }
        announcements_end(transition, name)?;
    }
    a_return_takes_its_time(transition)
}

/// A message that is given back stays away for as long as was asked, and as its failures demand.
fn a_return_takes_its_time(transition: &Transition<'_>) -> Result<(), String> {
    let (
        Some(Ask::Nack { agent, seq, delay, .. }),
        Some(Outcome::Returned(Fate::Due { at })),
        Some(now),
    ) = (transition.ask(), transition.outcome(), transition.now())
    else {
        return Ok(());
    };
    let open = transition.before.agents.get(agent).and_then(|agent| agent.inbox.open.get(seq));
    let failures = open.map_or(0, |open| open.failures);
    let floor = limits::FAILURE_FLOORS_MS.iter().zip(0_u64..).find(|(_, at)| *at == failures);
    let floor_ms = floor.map_or(0, |(floor_ms, _)| *floor_ms);
    let due = now.plus_ms(delay.ms().max(floor_ms));
    ensure(*at == due, || format!("{seq} of {agent} is due at {at} after {failures} failures"))
}

/// True if the event is a failure of this message: it is given back, or its session ends while it was
/// announced, or is replaced by another run.
pub(super) fn has_failed(transition: &Transition<'_>, name: &AgentId, seq: Ordinal) -> bool {
    let Some(live) = transition.live_before(name) else { return false };
    if !live.flights.contains_key(&seq) {
        return false;
    }
    match transition.ask() {
        Some(Ask::Nack { .. }) => transition.gives_back(name, seq),
        Some(Ask::Disconnect { connection }) => {
            let heard = matches!(transition.outcome(), Some(Outcome::Disconnected));
            heard
                && connection.agent == *name
                && connection.epoch == live.epoch
                && live.working == Some(seq)
        }
        Some(Ask::Connect { agent, session, .. }) => {
            let begun = matches!(transition.outcome(), Some(Outcome::Connected { .. }));
            let negotiated = live.window.is_some();
            begun
                && agent == name
                && negotiated
                && live.session != *session
                && live.working == Some(seq)
        }
        _ => false,
    }
}

/// An announcement is of a delivery in flight, made over its session, and ends with the delivery.
fn announcements_end(transition: &Transition<'_>, name: &AgentId) -> Result<(), String> {
    let Some(live) = transition.live_after(name) else { return Ok(()) };
    let Some(seq) = live.working else { return Ok(()) };
    let announced = match (transition.ask(), transition.over()) {
        (Some(Ask::Working { agent, seq: named }), Some(over)) => {
            agent == name && *named == seq && over.epoch == live.epoch
        }
        _ => false,
    };
    let pushed =
        transition.deliveries().any(|delivery| delivery.seq == seq && delivery.to.agent == *name);
    let before = transition.live_before(name).filter(|before| before.epoch == live.epoch);
    let stays = before.is_some_and(|before| before.working == Some(seq));
    ensure(live.flights.contains_key(&seq) && !pushed && (announced || stays), || {
        format!("{name} is taken to work on {seq}")
    })
}
