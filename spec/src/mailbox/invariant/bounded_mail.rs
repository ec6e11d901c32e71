//! Bounds: every count is the count of what it counts, and nothing exceeds its limit.

use alloc::format;
use alloc::string::String;

use super::no_loss::is_full;
use super::{Transition, ensure};
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::Share;
use crate::mailbox::answer::Notice;
use crate::mailbox::state::{Agent, MailboxMachine};
use crate::ordinal::Ordinal;

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
    push_budget_is_kept(transition)
}

fn full_inboxes_take_nothing(transition: &Transition<'_>) -> Result<(), String> {
    let Some((seq, logged)) = transition.accepted() else { return Ok(()) };
    let (share, bytes) = (Share::of(logged.to.as_ref()), logged.message.bytes());
    for (name, agent) in &transition.after.agents {
        let took = agent.inbox.open.contains_key(&seq);
        ensure(!took || !is_full(transition.before, name, bytes, share), || {
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
    for (seq, failed) in &agent.failed {
        let size = state.log.entries.get(seq).map(|logged| logged.message.bytes());
        ensure(size == Some(failed.bytes), || {
            format!("{seq} of {name} failed with {size:?} bytes")
        })?;
        (count, sum) = (count.saturating_add(1), sum.saturating_add(failed.bytes));
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

fn push_budget_is_kept(transition: &Transition<'_>) -> Result<(), String> {
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
