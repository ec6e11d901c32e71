//! Events that wrote nothing: they changed nothing but sessions.

use alloc::format;
use alloc::string::String;

use super::{Transition, ensure};
use crate::mailbox::state::{Agent, MailboxMachine};

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

/// True if two states differ in their sessions alone.
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
