//! Retention: it ends by the host's time and by nothing else, nothing is pushed after it, and collection lets
//! go of what nobody is owed.

use alloc::format;
use alloc::string::String;

use super::{Transition, ensure, held, letters};
use crate::limits;
use crate::machine::Event;
use crate::ordinal::Ordinal;
use crate::time::Timestamp;

pub(super) fn retention(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = transition.now() else { return Ok(()) };
    let (before, after) = (transition.before, transition.after);
    ensure(after.clock.floor <= now.max(before.clock.floor), || {
        format!("the clock was carried to {}, and the host says {now}", after.clock.floor)
    })?;
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
    let deleted = before.log.entries.keys();
    for seq in deleted.filter(|seq| !after.log.entries.contains_key(seq)) {
        ensure(!kept.contains(seq), || format!("{seq} was collected, and somebody keeps it"))?;
    }
    let round = before.round_at.plus_ms(limits::COLLECTION_MS) <= now;
    if *transition.event == Event::Alarm && round {
        nothing_is_left_over(transition, now)?;
    }
    Ok(())
}

/// Rows that a round of collection has to let go of, as far as its budget goes.
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
        let failed = after.agents.values().any(|agent| agent.failed.contains_key(seq));
        ensure(retained || failed, || format!("{seq} is kept after its retention"))?;
    }
    for (name, agent) in &after.agents {
        let is_old = agent.registration.as_ref().is_none_or(|known| {
            let told = known.losses.count == 0;
            let kept_ms = if told { limits::KNOWN_MS } else { limits::LOSSES_MS };
            known.written_at.plus_ms(kept_ms) <= now
        });
        let ended =
            agent.failed.iter().find(|(_, failed)| failed.at.plus_ms(limits::RETENTION_MS) <= now);
        ensure(ended.is_none(), || format!("{ended:?} is a dead letter of {name} for too long"))?;
        let is_idle = !agent.has_session() && agent.inbox.is_empty();
        ensure(!is_old || !is_idle || !letters(after, name).is_empty(), || {
            format!("{name} has long been silent and is known")
        })?;
    }
    Ok(())
}
