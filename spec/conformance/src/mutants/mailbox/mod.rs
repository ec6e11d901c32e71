//! Mutants of the mailbox machine, and what they are made of.

pub mod accept;
pub mod address;
pub mod collect;
pub mod fail;
pub mod loss;
pub mod push;
pub mod session;
pub mod settle;
pub mod silence;
pub mod waking;

use std::collections::BTreeSet;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Agent, Session};
use mailbus_spec::mailbox::{Ask, Command, Connection, MailboxMachine, MailboxStep, Outcome};
use mailbus_spec::{AgentId, HostTime, Ordinal, Timestamp};

/// Mutant of the mailbox machine.
pub type Mutant = super::Mutant<MailboxMachine>;

/// Question of an event, if it is a command.
fn ask_of(event: &Event<Command>) -> Option<&Ask> {
    match event {
        Event::Command(command) => Some(&command.ask),
        Event::Alarm => None,
    }
}

/// The same event with another question.
fn asking(event: &Event<Command>, ask: Ask) -> Event<Command> {
    match event {
        Event::Command(Command { over, .. }) => Event::Command(Command { over: over.clone(), ask }),
        Event::Alarm => Event::Alarm,
    }
}

/// Outcome of a command that was not refused.
fn outcome(step: &MailboxStep) -> Option<&Outcome> {
    step.reply.as_ref()?.answer.as_ref().ok()
}

/// The same, to be changed.
fn outcome_mut(step: &mut MailboxStep) -> Option<&mut Outcome> {
    step.reply.as_mut()?.answer.as_mut().ok()
}

/// An event that does nothing but what every event does.
fn question() -> Event<Command> {
    Event::Command(Command::alone(Ask::Agents { after: None, limit: 1 }))
}

/// One step made of two events, the second of which nobody asked for.
fn joined(mut first: MailboxStep, second: MailboxStep, state: &mut MailboxMachine) -> MailboxStep {
    first.pushes.extend(second.pushes);
    if first.wrote && second.wrote {
        state.sequence -= 1;
    }
    first.wrote |= second.wrote;
    first
}

/// Object time of an event at `host`.
fn now(state: &MailboxMachine, host: HostTime) -> Timestamp {
    state.clock.observe(host).map_or(state.clock.floor, |seen| seen.now)
}

/// The live session of an agent.
fn live<'a>(state: &'a MailboxMachine, agent: &AgentId) -> Option<&'a Session> {
    state.agents.get(agent)?.live.as_ref()
}

/// The name of an agent's live session.
fn live_connection(state: &MailboxMachine, agent: &AgentId) -> Option<Connection> {
    live(state, agent).map(|live| Connection { agent: agent.clone(), epoch: live.epoch })
}

/// Takes a message out of an inbox, and out of flight.
fn take(agent: &mut Agent, seq: Ordinal) {
    if let Some(open) = agent.inbox.open.remove(&seq) {
        agent.inbox.bytes = agent.inbox.bytes.saturating_sub(open.bytes);
    }
    if let Some(live) = &mut agent.live {
        live.flights.remove(&seq);
    }
}

/// Messages that are in flight to an agent.
fn flights(state: &MailboxMachine, agent: &AgentId) -> BTreeSet<Ordinal> {
    live(state, agent).map(|live| live.flights.keys().copied().collect()).unwrap_or_default()
}
