//! Gaps: what an agent was owed and will not get is counted and told until it is acknowledged.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Presumed, Transition, ensure};
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::answer::{Gap, Notice, Outcome};
use crate::mailbox::command::{Ask, Settled};
use crate::mailbox::state::{Agent, Losses, Registration};
use crate::ordinal::Ordinal;

pub(super) fn honest_gap(transition: &Transition<'_>) -> Result<(), String> {
    for (name, agent) in &transition.after.agents {
        if let Some(registration) = &agent.registration {
            losses_are_counted(transition, name, registration)?;
        }
    }
    for (name, agent) in &transition.before.agents {
        let known = transition.after.agents.get(name);
        let losses = agent.registration.as_ref().map_or(0, |known| known.losses.count);
        let forgotten = known.is_none_or(|agent| agent.registration.is_none());
        let silent = agent.registration.as_ref().is_some_and(|known| {
            let end = known.written_at.plus_ms(limits::LOSSES_MS);
            transition.now().is_some_and(|now| end <= now)
        });
        ensure(losses == 0 || !forgotten || transition.forgets(name) || silent, || {
            format!("{losses} losses of {name} were forgotten")
        })?;
    }
    answers_carry_it(transition)
}

/// Messages that the agent lost in this event: surely, and perhaps.
fn lost(transition: &Transition<'_>, name: &AgentId) -> (BTreeSet<Ordinal>, BTreeSet<Ordinal>) {
    let (mut surely, mut perhaps) = (BTreeSet::new(), BTreeSet::new());
    let failed = transition.after.agents.get(name).map(|agent| &agent.failed);
    for (seq, _) in transition
        .before
        .agents
        .get_key_value(name)
        .into_iter()
        .flat_map(|(name, _)| transition.departed(name))
    {
        if failed.is_some_and(|failed| failed.contains_key(&seq)) {
            surely.insert(seq);
        } else if transition.acknowledges(name, seq) {
            continue;
        } else {
            match transition.presumes(name, seq) {
                Some(Presumed::ByAge) => continue,
                Some(Presumed::ForRoom) => perhaps.insert(seq),
                None => surely.insert(seq),
            };
        }
    }
    perhaps.extend(surely.iter().copied());
    (surely, perhaps)
}

fn losses_are_counted(
    transition: &Transition<'_>,
    name: &AgentId,
    registration: &Registration,
) -> Result<(), String> {
    let of = |agent: &Agent| agent.registration.as_ref().map(|known| known.losses);
    let before = transition.before.agents.get(name).and_then(of).unwrap_or_default();
    let Losses { count, through, first, last } = registration.losses;
    let (surely, perhaps) = lost(transition, name);
    let new = through.saturating_sub(before.through);
    ensure(
        through >= before.through && surely.len() as u64 <= new && new <= perhaps.len() as u64,
        || format!("{name} lost {surely:?}, and {new} losses were counted"),
    )?;
    let open = unacknowledged(transition, name, &before);
    ensure(count == open.saturating_add(new), || {
        format!("{name} has {count} losses to acknowledge, after {open} and {new} more")
    })?;
    let inside = |seq: &Ordinal| first <= *seq && *seq <= last;
    ensure(surely.iter().all(inside), || format!("{surely:?} are not within {first} to {last}"))?;
    ensure(open == 0 || (first <= before.first && before.last <= last), || {
        format!("the gap of {name} shrank to {first} to {last}")
    })?;
    let told: Vec<Gap> = transition
        .step
        .pushes
        .iter()
        .filter(|push| push.to.agent == *name)
        .filter_map(|push| if let Notice::Gap(gap) = push.notice { Some(gap) } else { None })
        .collect();
    let due = (new > 0 && transition.live_after(name).is_some()).then_some(Gap {
        count,
        first,
        last,
        through,
    });
    ensure(told.iter().copied().eq(due), || format!("{name} was told of {told:?}, due was {due:?}"))
}

/// Number of losses that are left to acknowledge of those before, after an acknowledgement in this event.
fn unacknowledged(transition: &Transition<'_>, name: &AgentId, before: &Losses) -> u64 {
    let Some(Ask::Ack { agent, what: Settled::Gap(through) }) = transition.ask() else {
        return before.count;
    };
    let acknowledged = before.through.saturating_sub(before.count);
    let effective = agent == name
        && matches!(transition.outcome(), Some(Outcome::Settled { .. }))
        && acknowledged < *through
        && *through <= before.through;
    if effective { before.through.saturating_sub(*through) } else { before.count }
}

/// Messages that the session before died of, when another run took its place: the first that the new one
/// hears of.
fn died_with_the_session<'a>(
    transition: &Transition<'a>,
    name: &'a AgentId,
) -> impl Iterator<Item = Ordinal> + use<'a> {
    let replaced = matches!(transition.ask(), Some(Ask::Connect { .. }));
    let before = transition.before.agents.get(name);
    let after = transition.after.agents.get(name).filter(|_| replaced);
    let failed = after.into_iter().flat_map(|agent| agent.failed.keys().copied());
    failed.filter(move |seq| before.is_none_or(|agent| !agent.failed.contains_key(seq)))
}

/// Every connect and every inbox carries the gap and the number of refusals.
fn answers_carry_it(transition: &Transition<'_>) -> Result<(), String> {
    let (name, gap, refused) = match (transition.ask(), transition.outcome()) {
        (Some(Ask::Connect { agent, .. }), Some(Outcome::Connected { gap, refused, .. }))
        | (Some(Ask::Inbox { agent, .. }), Some(Outcome::Inbox { gap, refused, .. })) => {
            (agent, gap, refused)
        }
        _ => return Ok(()),
    };
    let agent = transition.before.agents.get(name);
    let known = agent.and_then(|agent| agent.registration.as_ref());
    let mut losses = known.map_or_else(Losses::default, |known| known.losses);
    died_with_the_session(transition, name).for_each(|seq| losses.add(seq));
    let due = losses.gap();
    ensure(*gap == due, || format!("{name} was told of {gap:?}, and its gap is {due:?}"))?;
    let refusals = super::refusals(transition.before, name).len();
    ensure(refusals as u64 == *refused, || {
        format!("{name} was told of {refused} refusals, and there are {refusals}")
    })
}
