//! What is accepted, kept and let go of, and why.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use super::{Transition, ensure, letters};
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::{Outcome, Rejection};
use crate::mailbox::command::Ask;
use crate::mailbox::message::Message;
use crate::mailbox::state::{Agent, Logged, MailboxMachine};
use crate::ordinal::Ordinal;

pub(super) fn no_loss(transition: &Transition<'_>) -> Result<(), String> {
    for (name, agent) in &transition.before.agents {
        nothing_departs_without_reason(transition, name)?;
        dead_letters_stay(transition, name, agent)?;
    }
    everybody_addressed_is_served(transition)?;
    a_page_is_complete(transition)
}

fn nothing_departs_without_reason(
    transition: &Transition<'_>,
    name: &AgentId,
) -> Result<(), String> {
    let after = transition.after.agents.get(name);
    for (seq, _) in transition.departed(name) {
        let dead = after.is_some_and(|agent| agent.failed.contains_key(&seq));
        let has_reason = dead
            || transition.acknowledges(name, seq)
            || transition.presumes(name, seq).is_some()
            || transition.is_expired(transition.before, seq)
            || transition.forgets(name);
        ensure(has_reason, || format!("{seq} was pending for {name} and is gone"))?;
    }
    for seq in after.into_iter().flat_map(|agent| agent.inbox.open.keys()) {
        let kept = transition.after.log.entries.contains_key(seq);
        ensure(kept, || format!("{seq} is pending for {name} and not in the log"))?;
    }
    Ok(())
}

fn dead_letters_stay(
    transition: &Transition<'_>,
    name: &AgentId,
    before: &Agent,
) -> Result<(), String> {
    if transition.forgets(name) {
        return Ok(());
    }
    let now = letters(transition.after, name);
    let after = transition.after.agents.get(name);
    for seq in letters(transition.before, name) {
        let pending = after.is_some_and(|agent| agent.inbox.open.contains_key(&seq));
        let pushed_out = now.len() >= limits::AGENT_DEAD && now.first() > Some(&seq);
        // A name without anything else keeps no refusals: nothing names it any more.
        let nobody = before.registration.is_none();
        let fine = now.contains(&seq)
            || pending
            || pushed_out
            || nobody
            || transition.is_expired(transition.before, seq);
        ensure(fine, || format!("the dead letter {seq} of {name} is gone"))?;
    }
    Ok(())
}

/// Whom a message is for, by the subscriptions of `state`.
fn addressed(state: &MailboxMachine, to: Option<&AgentId>, message: &Message) -> BTreeSet<AgentId> {
    let subscribed = state.agents.iter().filter(|(name, agent)| {
        let types = agent.registration.as_ref().and_then(|known| known.types.as_ref());
        **name != message.from
            && types.is_some_and(|types| types.iter().any(|each| each.matches(&message.kind)))
    });
    match to {
        Some(to) => BTreeSet::from([to.clone()]),
        None => subscribed.map(|(name, _)| name.clone()).collect(),
    }
}

fn asked_to_send<'a>(transition: &Transition<'a>) -> Option<(Option<&'a AgentId>, &'a Message)> {
    match transition.ask()? {
        Ask::Publish { message } => Some((None, message)),
        Ask::Send { to, message } => Some((Some(to), message)),
        _ => None,
    }
}

fn everybody_addressed_is_served(transition: &Transition<'_>) -> Result<(), String> {
    let Some(Outcome::Accepted { seq, recipients, refused }) = transition.outcome() else {
        return Ok(());
    };
    let Some((to, message)) = asked_to_send(transition) else {
        return Err(String::from("something was accepted that nobody sent"));
    };
    let logged = transition.after.log.entries.get(seq);
    let Some(logged) = logged else { return Err(format!("{seq} was accepted and is not kept")) };
    let told: BTreeSet<AgentId> = refused.iter().cloned().collect();
    ensure(told == logged.refused && told.len() == refused.len(), || {
        format!("{seq} was refused by {:?}, and the sender told {refused:?}", logged.refused)
    })?;
    let mut served = 0_u64;
    for name in addressed(transition.before, to, message) {
        let after = transition.after.agents.get(&name);
        let pending = after.is_some_and(|agent| agent.inbox.open.contains_key(seq));
        served = served.saturating_add(u64::from(pending));
        ensure(pending != told.contains(&name), || {
            format!("{seq} is for {name}, pending {pending}, refused {}", told.contains(&name))
        })?;
        ensure(pending || is_full(transition.before, &name, message.bytes()), || {
            format!("{seq} was refused by the inbox of {name}, which has room")
        })?;
    }
    ensure(served == *recipients, || {
        format!("{seq} has {served} recipients, and the sender was told {recipients}")
    })
}

/// Whether one more message exceeds an inbox, what its silent session was pushed not counted.
pub(super) fn is_full(state: &MailboxMachine, name: &AgentId, bytes: u64) -> bool {
    let Some(agent) = state.agents.get(name) else { return bytes > limits::INBOX_BYTES };
    let silent = agent.live.as_ref().filter(|live| live.window.is_none());
    let presumable = |seq: &Ordinal| {
        silent.is_some_and(|live| live.flights.contains_key(seq))
            && state.log.entries.get(seq).is_some_and(|logged| !logged.message.ack_required)
    };
    let counted = agent.inbox.open.iter().filter(|(seq, _)| !presumable(seq));
    let (count, sum) = counted.fold((1_u64, bytes), |(count, sum), (_, open)| {
        (count.saturating_add(1), sum.saturating_add(open.bytes))
    });
    count > limits::INBOX_MESSAGES || sum > limits::INBOX_BYTES
}

/// An inbox that says to be complete up to a place is.
fn a_page_is_complete(transition: &Transition<'_>) -> Result<(), String> {
    let (
        Some(Ask::Inbox { agent, after, limit }),
        Some(Outcome::Inbox { messages, complete_through, .. }),
    ) = (transition.ask(), transition.outcome())
    else {
        return Ok(());
    };
    let last = transition.before.last_seq;
    ensure(*after <= *complete_through && *complete_through <= last.max(*after), || {
        format!("a page after {after} of {last} is complete through {complete_through}")
    })?;
    ensure(*after <= last, || format!("a page after {after} was answered, the last is {last}"))?;
    let listed: BTreeSet<Ordinal> = messages.iter().map(|pending| pending.seq).collect();
    ensure(listed.len() == messages.len() && listed.len() <= *limit, || {
        format!(
            "a page of {limit} has {} messages, {} of them different",
            messages.len(),
            listed.len()
        )
    })?;
    let agent = transition.before.agents.get(agent);
    let open = agent.into_iter().flat_map(|agent| agent.inbox.open.iter());
    let mut missing = 0_usize;
    for (seq, open) in open.filter(|(seq, _)| !listed.contains(seq)) {
        let promised = after < seq && seq <= complete_through;
        ensure(!promised, || format!("{seq} is pending and not listed"))?;
        missing = missing.saturating_add(usize::from(open.redriven && seq <= after));
    }
    let listed_bytes =
        messages.iter().fold(0_u64, |sum, each| sum.saturating_add(each.message.bytes()));
    let is_full = listed.len() >= *limit || listed_bytes > limits::PAGE_BYTES / 2;
    ensure(missing == 0 || is_full || *complete_through < last, || {
        format!("{missing} redriven messages are not listed")
    })
}

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

/// What is in the log stays as it came; only who refused it is forgotten.
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

/// Whether the agent's subscriptions are as before, or it chose them itself in this event.
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

pub(super) fn accept_once(transition: &Transition<'_>) -> Result<(), String> {
    let (before, after) = (transition.before, transition.after);
    ensure(after.last_seq >= before.last_seq, || {
        format!("the last seq fell to {}", after.last_seq)
    })?;
    let Some(now) = transition.now() else { return Ok(()) };
    for (seq, logged) in &before.log.entries {
        let ended = logged.at.plus_ms(limits::DEDUP_MS) <= now;
        ensure(ended || after.log.entries.contains_key(seq), || {
            format!("{seq} was collected while it may be repeated")
        })?;
    }
    let recent = |message: &Message| {
        message.id.as_ref()?;
        let mut rows = before.log.entries.iter().rev();
        rows.find(|(_, row)| {
            row.message.from == message.from
                && row.message.id == message.id
                && now < row.at.plus_ms(limits::DEDUP_MS)
        })
    };
    if let Some((seq, logged)) = transition.accepted() {
        ensure(before.last_seq < seq && after.last_seq == seq, || {
            format!("{seq} was accepted after {}", before.last_seq)
        })?;
        let first = recent(&logged.message);
        ensure(first.is_none(), || {
            format!("{seq} was accepted as {:?} before", first.map(|row| row.0))
        })?;
        ensure(logged.at == now, || format!("{seq} is said to be of {}", logged.at))?;
    }
    let Some((to, message)) = asked_to_send(transition) else { return Ok(()) };
    let first = recent(message);
    let same = first.is_some_and(|(_, row)| {
        row.to.as_ref() == to
            && row.message.kind == message.kind
            && row.message.payload == message.payload
    });
    match transition.answer() {
        Some(Ok(Outcome::Duplicate { seq })) => {
            ensure(same && first.is_some_and(|(known, _)| known == seq), || {
                format!("{seq} was said to be a message's first place")
            })
        }
        Some(Err(Rejection::Conflict)) => {
            ensure(first.is_some() && !same, || String::from("a message conflicts with nothing"))
        }
        _ => Ok(()),
    }
}
