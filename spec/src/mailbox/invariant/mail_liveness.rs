//! Liveness: what may be pushed is pushed, or the alarm is set to when it may be.

use alloc::format;
use alloc::string::String;

use super::{Transition, ensure, fits, lowest_due, refusals};
use crate::limits;
use crate::machine::{Event, StateMachine};
use crate::mailbox::answer::Notice;
use crate::mailbox::state::MailboxMachine;
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

pub(super) fn mail_liveness(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = transition.now() else { return Ok(()) };
    let after = transition.after;
    let alarm = after.next_alarm();
    let (mut messages, mut bytes) = (0_u64, 0_u64);
    for push in &transition.step.pushes {
        if let Notice::Message { message, .. } | Notice::Ephemeral { message } = &push.notice {
            messages = messages.saturating_add(1);
            bytes = bytes.saturating_add(message.bytes());
        }
    }
    for (name, agent) in &after.agents {
        let Some(live) = &agent.live else { continue };
        if let Some((seq, open)) = lowest_due(agent, live, now)
            && fits(agent, live, &open)
        {
            let budget_is_spent = messages >= limits::PUSH_BUDGET_MESSAGES
                || bytes.saturating_add(open.bytes) > limits::PUSH_BUDGET_BYTES
                || another_was_too_large(transition, seq, bytes, now);
            ensure(budget_is_spent, || format!("{seq} may be pushed to {name} and was not"))?;
            ensure(alarm <= Some(after.clock.floor.max(now)) && alarm.is_some(), || {
                format!("{seq} is left to the alarm, which is set to {alarm:?}")
            })?;
        }
        let delayed = agent.inbox.open.iter().filter(|(seq, _)| !live.flights.contains_key(seq));
        if let Some(due) = delayed.filter_map(|(_, open)| open.due).filter(|due| *due > now).min()
            && lowest_due(agent, live, due).is_some_and(|(_, open)| fits(agent, live, &open))
        {
            ensure(alarm.is_some_and(|alarm| alarm <= due), || {
                format!("{name} has mail due at {due}, and the alarm is set to {alarm:?}")
            })?;
        }
    }
    rounds_are_wanted(after, alarm)?;
    let was_due = transition.before.next_alarm().is_some_and(|due| due <= now);
    let idle = !transition.step.wrote && transition.step.pushes.is_empty();
    ensure(!(*transition.event == Event::Alarm && was_due && idle), || {
        String::from("an alarm that was due did nothing")
    })
}

/// True if the budget ended at somebody's message that comes before `seq` and was too large for it.
fn another_was_too_large(
    transition: &Transition<'_>,
    seq: Ordinal,
    bytes: u64,
    now: Timestamp,
) -> bool {
    transition.after.agents.values().any(|agent| {
        agent.live.as_ref().and_then(|live| lowest_due(agent, live, now)).is_some_and(
            |(lowest, open)| {
                lowest <= seq && bytes.saturating_add(open.bytes) > limits::PUSH_BUDGET_BYTES
            },
        )
    })
}

/// The alarm rings for whatever only collection ends.
fn rounds_are_wanted(state: &MailboxMachine, alarm: Option<Timestamp>) -> Result<(), String> {
    let earliest = state.round_at.plus_ms(limits::COLLECTION_MS);
    let failed = state.agents.values().flat_map(|agent| &agent.failed);
    let deaths = failed.map(|(seq, failed)| (*seq, failed.at));
    let is_letter = |seq| state.agents.values().any(|agent| agent.failed.contains_key(seq));
    let is_owed = |seq| {
        let mut agents = state.agents.iter();
        agents.any(|(name, agent)| {
            agent.inbox.open.contains_key(seq) || refusals(state, name).contains(seq)
        })
    };
    // What failed and is kept for nothing else ends by its death alone.
    let mut rows = state.log.entries.iter();
    let oldest = rows.find(|(seq, _)| !is_letter(*seq) || is_owed(*seq));
    let kept = deaths.chain(oldest.map(|(seq, logged)| (*seq, logged.at)));
    if let Some((seq, at)) = kept.min_by_key(|(_, at)| *at) {
        let end = at.plus_ms(limits::RETENTION_MS).max(earliest);
        ensure(alarm.is_some_and(|alarm| alarm <= end), || {
            format!("{seq} is kept, and the alarm is set to {alarm:?}")
        })?;
    }
    for (name, agent) in &state.agents {
        let Some(live) = agent.live.as_ref().filter(|live| live.window.is_none()) else { continue };
        let presumable = live.flights.keys().filter_map(|seq| state.log.entries.get(seq));
        let mut presumable = presumable.filter(|logged| !logged.message.ack_required);
        if let Some(first) = presumable.next() {
            let at = first.at.max(live.since).plus_ms(limits::PRESUMED_MS).max(earliest);
            ensure(alarm.is_some_and(|alarm| alarm <= at), || {
                format!("{name} is silent, and the alarm is set to {alarm:?}")
            })?;
        }
    }
    Ok(())
}
