//! What ends by itself, and what never grows.

use alloc::format;
use alloc::string::String;

use super::custody::is_full;
use super::{Transition, ensure, held, letters};
use crate::id::AgentId;
use crate::limits;
use crate::machine::Event;
use crate::mailbox::answer::Notice;
use crate::mailbox::state::{Agent, MailboxMachine};
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

pub(super) fn retention(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = transition.now() else { return Ok(()) };
    let after = transition.after;
    let is_old = |seq: Ordinal| transition.is_expired(after, seq);
    for delivery in transition.deliveries() {
        let (seq, to) = (delivery.seq, delivery.to);
        ensure(!is_old(seq), || format!("{seq} was pushed to {to} after its retention"))?;
    }
    for (name, agent) in after.agents.iter().filter(|(_, agent)| agent.live.is_some()) {
        let old = agent.inbox.open.keys().find(|seq| is_old(**seq));
        ensure(old.is_none(), || format!("{old:?} is pending for {name} after its retention"))?;
    }
    let kept = held(after);
    let deleted = transition.before.log.entries.keys();
    for seq in deleted.filter(|seq| !after.log.entries.contains_key(seq)) {
        ensure(!kept.contains(seq), || format!("{seq} was collected, and somebody keeps it"))?;
    }
    let round = transition.before.round_at.plus_ms(limits::COLLECTION_MS) <= now;
    if *transition.event == Event::Alarm && round {
        nothing_is_left_over(transition, now)?;
    }
    Ok(())
}

/// What a round of collection has to let go of, as far as its budget goes.
fn nothing_is_left_over(transition: &Transition<'_>, now: Timestamp) -> Result<(), String> {
    let (before, after) = (transition.before, transition.after);
    let deleted = before.log.entries.len().saturating_sub(after.log.entries.len());
    if deleted >= limits::COLLECTION_ROWS {
        return Ok(());
    }
    let kept = held(after);
    for (seq, logged) in &after.log.entries {
        let repeatable = now < logged.at.plus_ms(limits::DEDUP_MS);
        // The pushes after the round may presume more settled: the next round lets go of that.
        let presumed = before.agents.iter().any(|(name, agent)| {
            agent.inbox.open.contains_key(seq) && transition.presumes(name, *seq).is_some()
        });
        let held = repeatable || kept.contains(seq) || presumed;
        ensure(held, || format!("{seq} is kept for nobody"))?;
        let retained = now < logged.at.plus_ms(limits::RETENTION_MS);
        ensure(retained, || format!("{seq} is kept after its retention"))?;
    }
    for (name, agent) in &after.agents {
        let silent_since = agent.registration.as_ref().map(|known| known.written_at);
        let is_old = silent_since.is_none_or(|at| at.plus_ms(limits::RETENTION_MS) <= now);
        let is_idle = agent.live.is_none() && agent.superseded.is_empty() && agent.inbox.is_empty();
        ensure(!is_old || !is_idle || !letters(after, name).is_empty(), || {
            format!("{name} has long been silent and is known")
        })?;
    }
    Ok(())
}

pub(super) fn silent_is_unchanged(transition: &Transition<'_>) -> Result<(), String> {
    let (before, after) = (transition.before, transition.after);
    if !transition.step.wrote {
        return ensure(is_same_storage(before, after), || {
            String::from("an event that wrote nothing changed what is stored")
        });
    }
    let moved = after.sequence.checked_sub(before.sequence);
    ensure(moved == Some(1), || format!("the sequence moved by {moved:?}"))?;
    let floor = transition.now().map(|now| now.max(before.clock.floor));
    ensure(Some(after.clock.floor) == floor, || {
        format!("the clock was written as {}, it is {floor:?}", after.clock.floor)
    })
}

/// Whether two states differ in their sessions alone.
fn is_same_storage(one: &MailboxMachine, other: &MailboxMachine) -> bool {
    let stored = |agent: &Agent, other: &Agent| {
        agent.registration == other.registration
            && agent.inbox == other.inbox
            && agent.failed == other.failed
    };
    let same_agents = one.agents.len() == other.agents.len()
        && one
            .agents
            .iter()
            .zip(&other.agents)
            .all(|((name, agent), (second, other))| name == second && stored(agent, other));
    same_agents
        && one.log == other.log
        && (one.clock, one.last_seq, one.sequence) == (other.clock, other.last_seq, other.sequence)
        && (one.generation, one.round_at) == (other.generation, other.round_at)
}

pub(super) fn bounded_mail(transition: &Transition<'_>) -> Result<(), String> {
    let state = transition.after;
    log_is_bounded(state)?;
    for (name, agent) in &state.agents {
        inbox_is_bounded(state, name, agent)?;
        let patterns = agent
            .registration
            .as_ref()
            .and_then(|known| known.types.as_ref())
            .map_or(0, alloc::collections::BTreeSet::len);
        ensure(patterns <= limits::AGENT_PATTERNS, || format!("{name} has {patterns} patterns"))?;
        ensure(agent.superseded.len() <= limits::AGENT_SUPERSEDED, || {
            format!("{name} has too many superseded sessions")
        })?;
    }
    let unknown = state.agents.values().filter(|agent| agent.registration.is_none());
    let mut unknowns = 0_usize;
    for agent in unknown {
        unknowns = unknowns.saturating_add(1);
        ensure(agent.inbox.len() <= limits::UNKNOWN_NAME_MESSAGES, || {
            format!("a name that never connected holds {} messages", agent.inbox.len())
        })?;
    }
    ensure(unknowns <= limits::UNKNOWN_NAMES, || format!("{unknowns} names never connected"))?;
    ensure(state.registered() <= limits::WORKSPACE_AGENTS, || {
        format!("{} agents are known", state.registered())
    })?;
    full_inboxes_take_nothing(transition)?;
    bites_are_bounded(transition)
}

fn full_inboxes_take_nothing(transition: &Transition<'_>) -> Result<(), String> {
    let Some((seq, logged)) = transition.accepted() else { return Ok(()) };
    for (name, agent) in &transition.after.agents {
        let took = agent.inbox.open.contains_key(&seq);
        ensure(!took || !is_full(transition.before, name, logged.message.bytes()), || {
            format!("the inbox of {name} was full and took {seq}")
        })?;
    }
    Ok(())
}

fn log_is_bounded(state: &MailboxMachine) -> Result<(), String> {
    let rows = state.log.entries.len() as u64;
    let sum = state.log.entries.values();
    let sum = sum.fold(0_u64, |sum, logged| sum.saturating_add(logged.message.bytes()));
    ensure(sum == state.log.bytes, || format!("the log has {sum} bytes, not {}", state.log.bytes))?;
    ensure(rows <= limits::LOG_MESSAGES && sum <= limits::LOG_BYTES, || {
        format!("the log has {rows} messages of {sum} bytes")
    })?;
    let by_time = state.log.entries.values().is_sorted_by_key(|logged| logged.at);
    ensure(by_time, || String::from("the log is not in order of time"))?;
    let last = state.log.entries.last_key_value().map(|(seq, _)| *seq);
    ensure(last <= Some(state.last_seq), || format!("{last:?} is after the last seq"))
}

fn inbox_is_bounded(state: &MailboxMachine, name: &AgentId, agent: &Agent) -> Result<(), String> {
    let silent = agent.live.as_ref().filter(|live| live.window.is_none());
    let presumable = |seq: &Ordinal| {
        silent.is_some_and(|live| live.flights.contains_key(seq))
            && state.log.entries.get(seq).is_some_and(|logged| !logged.message.ack_required)
    };
    let (mut count, mut sum, mut all) = (0_u64, 0_u64, 0_u64);
    for (seq, open) in &agent.inbox.open {
        let size = state.log.entries.get(seq).map(|logged| logged.message.bytes());
        ensure(size == Some(open.bytes), || format!("{seq} of {name} has {size:?} bytes"))?;
        all = all.saturating_add(open.bytes);
        if !presumable(seq) {
            (count, sum) = (count.saturating_add(1), sum.saturating_add(open.bytes));
        }
    }
    ensure(all == agent.inbox.bytes, || format!("the inbox of {name} has {all} bytes"))?;
    // What a silent session was pushed counts again once that session is lost unseen.
    let bound = |limit: u64| limit.saturating_mul(2);
    let bounded = count <= bound(limits::INBOX_MESSAGES) && sum <= bound(limits::INBOX_BYTES);
    ensure(bounded, || format!("the inbox of {name} has {count} messages of {sum} bytes"))?;
    let flights = agent.live.iter().flat_map(|live| live.flights.keys());
    let mut strays = flights.filter(|seq| !agent.inbox.open.contains_key(seq));
    ensure(strays.next().is_none(), || format!("{name} has deliveries that are not pending"))?;
    let dead = agent
        .failed
        .keys()
        .find(|seq| agent.inbox.open.contains_key(seq) || !state.log.entries.contains_key(seq));
    ensure(dead.is_none(), || format!("the dead letter {dead:?} of {name} is pending or not kept"))
}

fn bites_are_bounded(transition: &Transition<'_>) -> Result<(), String> {
    let (mut messages, mut bytes) = (0_u64, 0_u64);
    for push in &transition.step.pushes {
        if let Notice::Message { message, .. } | Notice::Ephemeral { message } = &push.notice {
            messages = messages.saturating_add(1);
            bytes = bytes.saturating_add(message.bytes());
        }
    }
    ensure(messages <= limits::PUSH_BUDGET_MESSAGES && bytes <= limits::PUSH_BUDGET_BYTES, || {
        format!("one event pushed {messages} messages of {bytes} bytes")
    })
}
