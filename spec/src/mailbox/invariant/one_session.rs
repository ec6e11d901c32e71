//! Sessions: one of an agent is pushed to at a time, and frames of an older one have no effect.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use super::{Transition, ensure};
use crate::id::AgentId;
use crate::limits;
use crate::machine::{Event, StateMachine};
use crate::mailbox::answer::{CloseReason, Notice, Outcome};
use crate::mailbox::command::{Ask, Command};
use crate::mailbox::state::{Agent, MailboxMachine};
use crate::ordinal::Ordinal;

pub(super) fn one_session(transition: &Transition<'_>) -> Result<(), String> {
    for (name, agent) in &transition.after.agents {
        epochs_rise(name, agent)?;
    }
    let both = transition.before.agents.keys().chain(transition.after.agents.keys());
    for name in both.collect::<BTreeSet<_>>() {
        ends_have_reasons(transition, name)?;
    }
    for push in &transition.step.pushes {
        let live = transition.live_after(&push.to.agent);
        let to_live = live.is_some_and(|live| live.epoch == push.to.epoch);
        ensure(to_live || matches!(push.notice, Notice::Closed(_)), || {
            format!("{} was pushed to and is not live", push.to)
        })?;
    }
    refusals_change_nothing(transition)
}

fn epochs_rise(name: &AgentId, agent: &Agent) -> Result<(), String> {
    let given = agent.registration.as_ref().map(|known| known.epoch);
    let live = agent.live.as_ref().map(|live| live.epoch);
    ensure(live.is_none() || live == given, || {
        format!("the session {live:?} of {name} is not the last, {given:?}")
    })?;
    ensure(agent.superseded.is_empty() || live.is_some(), || {
        format!("{name} has superseded sessions and none that is pushed to")
    })?;
    let mut epochs = agent.superseded.clone();
    epochs.extend(live);
    ensure(epochs.is_sorted_by(|one, next| one < next), || {
        format!("the sessions of {name} are {epochs:?}")
    })
}

fn open_sessions(state: &MailboxMachine, name: &AgentId) -> BTreeSet<Ordinal> {
    let agent = state.agents.get(name).into_iter();
    agent
        .flat_map(|agent| {
            agent.live.iter().map(|live| live.epoch).chain(agent.superseded.iter().copied())
        })
        .collect()
}

/// A session is closed when it is over, and over for a reason.
fn ends_have_reasons(transition: &Transition<'_>, name: &AgentId) -> Result<(), String> {
    let (before, after) =
        (open_sessions(transition.before, name), open_sessions(transition.after, name));
    let mut closed: BTreeMap<Ordinal, CloseReason> = BTreeMap::new();
    for push in transition.step.pushes.iter().filter(|push| push.to.agent == *name) {
        if let Notice::Closed(reason) = push.notice {
            let again = closed.insert(push.to.epoch, reason);
            ensure(again.is_none(), || format!("{} was closed twice", push.to))?;
        }
    }
    let over: BTreeSet<Ordinal> = before.difference(&after).copied().collect();
    let told: BTreeSet<Ordinal> = closed.keys().copied().collect();
    ensure(over == told, || format!("of {name} {over:?} are over, and {told:?} were closed"))?;
    for epoch in after.difference(&before) {
        let connects = matches!(transition.outcome(),
            Some(Outcome::Connected { epoch: given, .. }) if given == epoch);
        let last = transition.before.agents.get(name).and_then(|agent| agent.registration.as_ref());
        ensure(connects && last.is_none_or(|known| known.epoch < *epoch), || {
            format!("{name} has a session {epoch} that nobody began")
        })?;
    }
    let old = transition.live_before(name);
    for (epoch, reason) in &closed {
        let was_live = old.is_some_and(|live| live.epoch == *epoch);
        ensure(may_close(transition, name, *epoch, was_live, *reason), || {
            format!("session {epoch} of {name} was closed as {reason:?}")
        })?;
    }
    let became_superseded = old.is_some_and(|live| {
        let live_still = transition.live_after(name).is_some_and(|now| now.epoch == live.epoch);
        !live_still && after.contains(&live.epoch)
    });
    let replaced = matches!(transition.ask(), Some(Ask::Connect { agent, .. }) if agent == name);
    ensure(
        !became_superseded || (replaced && old.is_some_and(|live| live.window.is_none())),
        || format!("a session of {name} became superseded"),
    )
}

fn may_close(
    transition: &Transition<'_>,
    name: &AgentId,
    epoch: Ordinal,
    was_live: bool,
    reason: CloseReason,
) -> bool {
    let agent = transition.before.agents.get(name);
    match (transition.ask(), reason) {
        (Some(Ask::Connect { agent: by, session, .. }), _) if by == name => {
            let old = transition.live_before(name);
            let negotiated = old.is_some_and(|live| live.window.is_some());
            let same = old.is_some_and(|live| live.session == *session);
            match reason {
                CloseReason::TakenOver => was_live && negotiated && same,
                CloseReason::Replaced => was_live && negotiated && !same,
                CloseReason::Crowded => agent.is_some_and(|agent| {
                    agent.superseded.len() == limits::AGENT_SUPERSEDED
                        && agent.superseded.first() == Some(&epoch)
                }),
                _ => false,
            }
        }
        (Some(Ask::Disconnect { connection }), CloseReason::Disconnected) => {
            connection.agent == *name && connection.epoch == epoch
        }
        (Some(Ask::Disconnect { connection }), CloseReason::Reopen) => {
            connection.agent == *name && transition.before.is_live(connection) && !was_live
        }
        (Some(Ask::Forget { .. }), CloseReason::Forgotten) => transition.forgets(name),
        _ => false,
    }
}

/// A refused command does what a question does that concerns nobody, and so does one that comes over
/// the socket of an older session.
fn refusals_change_nothing(transition: &Transition<'_>) -> Result<(), String> {
    let stale = transition.over().is_some_and(|over| !transition.before.is_live(over))
        && !matches!(transition.ask(), Some(Ask::Disconnect { .. }));
    let refused = transition.answer().is_some_and(Result::is_err);
    if !stale && !refused {
        return Ok(());
    }
    let mut asked = transition.before.clone();
    let question = Command::alone(Ask::Agents { after: None, limit: 1 });
    let step = asked.handle(transition.host, &Event::Command(question));
    ensure(asked == *transition.after && step.pushes == transition.step.pushes, || {
        String::from("a command that was refused, or of an older session, had an effect")
    })
}
