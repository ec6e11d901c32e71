//! Origin: nothing is delivered that was not accepted, to anybody it was not for, or changed.

use alloc::format;
use alloc::string::String;

use super::{Transition, addressed, asked_to_send, ensure, letters};
use crate::id::AgentId;
use crate::mailbox::command::Ask;
use crate::mailbox::state::{Agent, Logged};
use crate::ordinal::Ordinal;

pub(super) fn no_phantom(transition: &Transition<'_>) -> Result<(), String> {
    rows_never_change(transition)?;
    for (name, agent) in &transition.after.agents {
        let before = transition.before.agents.get(name);
        for seq in agent.inbox.open.keys() {
            let was_pending = before.is_some_and(|agent| agent.inbox.open.contains_key(seq));
            ensure(
                was_pending
                    || was_sent(transition, name, *seq)
                    || was_redriven(transition, name, *seq),
                || format!("{seq} is pending for {name}, whom nobody sent it to"),
            )?;
        }
        ensure(may_have_chosen(transition, name, agent), || {
            format!("the subscriptions of {name} changed")
        })?;
    }
    for delivery in transition.deliveries() {
        let (seq, name) = (delivery.seq, &delivery.to.agent);
        let agent = transition.after.agents.get(name);
        let Some(open) = agent.and_then(|agent| agent.inbox.open.get(&seq)) else {
            return Err(format!("{seq} was pushed to {name} and is not pending"));
        };
        let logged = transition.after.log.entries.get(&seq);
        let same = logged.is_some_and(|logged| *logged.message == *delivery.message);
        ensure(same, || format!("{seq} was pushed to {name} with other bytes"))?;
        let expected = (open.attempts.saturating_add(1), open.redriven);
        ensure((delivery.attempt, delivery.redriven) == expected, || {
            format!(
                "{seq} was pushed as attempt {}, on record are {}",
                delivery.attempt, open.attempts
            )
        })?;
    }
    ephemeral_is_not_kept(transition)
}

/// Rows of the log stay as they came; only who refused it is forgotten.
fn rows_never_change(transition: &Transition<'_>) -> Result<(), String> {
    let before = &transition.before.log.entries;
    for (seq, logged) in &transition.after.log.entries {
        let Some(old) = before.get(seq) else { continue };
        let same = (old.at, &old.message, &old.to) == (logged.at, &logged.message, &logged.to);
        ensure(same, || format!("the message {seq} changed in the log"))?;
        ensure(logged.refused.is_subset(&old.refused), || format!("{seq} was refused later"))?;
    }
    Ok(())
}

fn was_sent(transition: &Transition<'_>, name: &AgentId, seq: Ordinal) -> bool {
    let Some((to, message)) = asked_to_send(transition) else { return false };
    let is_row = |logged: &Logged| *logged.message == *message && logged.to.as_ref() == to;
    transition.accepted().is_some_and(|(accepted, logged)| accepted == seq && is_row(logged))
        && addressed(transition.before, to, message).contains(name)
}

fn was_redriven(transition: &Transition<'_>, name: &AgentId, seq: Ordinal) -> bool {
    let named = match transition.ask() {
        Some(Ask::Redrive { agent, seqs }) => agent == name && seqs.contains(&seq),
        _ => false,
    };
    named && letters(transition.before, name).contains(&seq)
}

/// True if the agent's subscriptions are as before, or it chose them itself in this event.
fn may_have_chosen(transition: &Transition<'_>, name: &AgentId, after: &Agent) -> bool {
    let types = |agent: &Agent| agent.registration.as_ref().and_then(|known| known.types.clone());
    let (old, new) = (transition.before.agents.get(name).and_then(types), types(after));
    if old == new {
        return true;
    }
    match transition.ask() {
        Some(Ask::Connect { agent, types, .. }) => {
            agent == name
                && types.as_ref().map_or(old.is_none(), |types| new.as_ref() == Some(types))
        }
        Some(Ask::Subscribe { agent, .. } | Ask::Unsubscribe { agent, .. }) => agent == name,
        _ => false,
    }
}

/// An ephemeral message leaves nothing, and reaches those alone whom it is for.
fn ephemeral_is_not_kept(transition: &Transition<'_>) -> Result<(), String> {
    use crate::mailbox::answer::Notice;
    let sent = asked_to_send(transition).filter(|(_, message)| message.ephemeral);
    let for_whom = sent.map(|(to, message)| addressed(transition.before, to, message));
    for push in &transition.step.pushes {
        let Notice::Ephemeral { message } = &push.notice else { continue };
        let fine = for_whom.as_ref().is_some_and(|names| names.contains(&push.to.agent))
            && sent.is_some_and(|(_, sent)| sent == message);
        ensure(fine, || format!("{} was pushed an ephemeral message of nobody's", push.to))?;
    }
    ensure(sent.is_none() || transition.accepted().is_none(), || {
        String::from("an ephemeral message was kept")
    })
}
