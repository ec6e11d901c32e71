//! Custody: what was accepted stays until it is over for a reason.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use super::{Transition, addressed, asked_to_send, ensure, letters, refusals};
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::Share;
use crate::mailbox::answer::Outcome;
use crate::mailbox::command::Ask;
use crate::mailbox::state::{Agent, MailboxMachine};
use crate::ordinal::Ordinal;

pub(super) fn no_loss(transition: &Transition<'_>) -> Result<(), String> {
    for (name, agent) in &transition.before.agents {
        nothing_departs_without_reason(transition, name)?;
        what_failed_stays(transition, name, agent)?;
        refusals_stay(transition, name, agent)?;
    }
    everybody_addressed_is_served(transition)?;
    a_list_of_letters_is_complete(transition)?;
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

/// A message that failed is a dead letter for a retention after its death, unless it is redriven or dismissed.
fn what_failed_stays(
    transition: &Transition<'_>,
    name: &AgentId,
    before: &Agent,
) -> Result<(), String> {
    let Some(now) = transition.now() else { return Ok(()) };
    if transition.forgets(name) {
        return Ok(());
    }
    let after = transition.after.agents.get(name);
    for (seq, failed) in &before.failed {
        let stays = after.is_some_and(|agent| agent.failed.get(seq) == Some(failed));
        let redriven = matches!(transition.ask(), Some(Ask::Redrive { agent, seqs }) if agent == name && seqs.contains(seq))
            && after.is_some_and(|agent| agent.inbox.open.contains_key(seq));
        let over = failed.at.plus_ms(limits::RETENTION_MS) <= now;
        ensure(stays || redriven || over || transition.dismisses(name, *seq), || {
            format!("{seq} failed for {name} and is gone")
        })?;
    }
    for (seq, failed) in after.into_iter().flat_map(|agent| &agent.failed) {
        let is_new = !before.failed.contains_key(seq);
        ensure(!is_new || failed.at == now, || format!("{seq} of {name} died at {}", failed.at))?;
    }
    Ok(())
}

/// The newest of what an inbox refused are dead letters until their retention ends.
fn refusals_stay(
    transition: &Transition<'_>,
    name: &AgentId,
    before: &Agent,
) -> Result<(), String> {
    // A name without anything else keeps no refusals: nothing names it any more.
    if transition.forgets(name) || before.registration.is_none() {
        return Ok(());
    }
    let now = refusals(transition.after, name);
    let after = transition.after.agents.get(name);
    for seq in refusals(transition.before, name) {
        let pending = after.is_some_and(|agent| agent.inbox.open.contains_key(&seq));
        let newer_alone = now.len() >= limits::AGENT_REFUSED && now.first() > Some(&seq);
        let fine = now.contains(&seq)
            || pending
            || newer_alone
            || transition.is_expired(transition.before, seq);
        ensure(fine, || format!("{seq} was refused by the inbox of {name} and is gone"))?;
    }
    Ok(())
}

/// A list of dead letters leaves none out up to its end.
fn a_list_of_letters_is_complete(transition: &Transition<'_>) -> Result<(), String> {
    let (
        Some(Ask::DeadLetters { agent, after, .. }),
        Some(Outcome::DeadLetters { letters: listed, more }),
    ) = (transition.ask(), transition.outcome())
    else {
        return Ok(());
    };
    let last = listed.last().map(|letter| letter.seq).filter(|_| *more);
    let kept = letters(transition.before, agent);
    let due = kept.iter().filter(|seq| *after < **seq && last.is_none_or(|last| **seq <= last));
    ensure(due.eq(listed.iter().map(|letter| &letter.seq)), || {
        format!("the dead letters of {agent} after {after} are not as they are listed")
    })
}

fn everybody_addressed_is_served(transition: &Transition<'_>) -> Result<(), String> {
    let Some(Outcome::Accepted { seq, recipients, refused, .. }) = transition.outcome() else {
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
        let (share, bytes) = (Share::of(to), message.bytes());
        ensure(pending || is_full(transition.before, &name, bytes, share), || {
            format!("{seq} was refused by the inbox of {name}, which has room")
        })?;
    }
    ensure(served == *recipients, || {
        format!("{seq} has {served} recipients, and the sender was told {recipients}")
    })
}

/// True if one more message exceeds its share of an inbox, with what failed, and what its silent session was
/// pushed not counted.
pub(super) fn is_full(state: &MailboxMachine, name: &AgentId, bytes: u64, share: Share) -> bool {
    let Some(agent) = state.agents.get(name) else { return !share.holds(1, bytes) };
    let silent = agent.live.as_ref().filter(|live| live.window.is_none());
    let presumable = |seq: &Ordinal| {
        silent.is_some_and(|live| live.flights.contains_key(seq))
            && state.log.entries.get(seq).is_some_and(|logged| !logged.message.ack_required)
    };
    let counted = agent.inbox.open.iter().filter(|(seq, _)| !presumable(seq));
    let sizes = counted.map(|(_, open)| open.bytes);
    let sizes = sizes.chain(agent.failed.values().map(|failed| failed.bytes));
    let (count, sum) = sizes.fold((1_u64, bytes), |(count, sum), bytes| {
        (count.saturating_add(1), sum.saturating_add(bytes))
    });
    !share.holds(count, sum)
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
