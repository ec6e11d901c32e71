//! Mutants that take one session for another, or keep too many.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, CloseReason, Command, Connection, Notice, Push};
use mailbus_spec::{Ordinal, StateMachine};

use super::{Mutant, ask_of, asking, joined, live, live_connection, question};

/// A frame is taken at its agent's name: what a replaced session still sends, its acks too, has its
/// effect.
pub const ANOTHER_EPOCH_IS_OBEYED: Mutant = Mutant::rule(
    "another_epoch_is_obeyed",
    "spec/rules/refuted.md#frames-of-an-older-epoch",
    |state, host, event| {
        let Event::Command(Command { over: Some(over), ask }) = event else {
            return state.handle(host, event);
        };
        let over = live_connection(state, &over.agent);
        state.handle(host, &Event::Command(Command { over, ask: ask.clone() }))
    },
);

/// The close of a socket ends its agent's session, whichever that is by then.
pub const LATE_CLOSE_ENDS_THE_NEW_SESSION: Mutant = Mutant::rule(
    "late_close_ends_the_new_session",
    "spec/rules/refuted.md#a-close-that-ends-the-new-session",
    |state, host, event| {
        let Some(Ask::Disconnect { connection }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let Some(connection) = live_connection(state, &connection.agent) else {
            return state.handle(host, event);
        };
        state.handle(host, &asking(event, Ask::Disconnect { connection }))
    },
);

/// A replacement closes the session that negotiated nothing: its client comes back at once.
pub const REPLACEMENT_CLOSES_THE_SILENT: Mutant = Mutant::rule(
    "replacement_closes_the_silent",
    "spec/rules/mailboxes.md#sessions-of-mailboxes",
    |state, host, event| {
        let Some(Ask::Connect { agent: name, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let old = live(state, name).filter(|live| live.window.is_none()).map(|live| live.epoch);
        let mut step = state.handle(host, event);
        if let (Some(epoch), Some(agent)) = (old, state.agents.get_mut(name)) {
            agent.superseded.retain(|superseded| *superseded != epoch);
            let to = Connection { agent: name.clone(), epoch };
            step.pushes.push(Push { to, notice: Notice::Closed(CloseReason::Reopen) });
        }
        step
    },
);

/// The end of the live session leaves the superseded ones open.
pub const SUPERSEDED_STAY_OPEN: Mutant = Mutant::rule(
    "superseded_stay_open",
    "spec/rules/mailboxes.md#sessions-of-mailboxes",
    |state, host, event| {
        let Some(Ask::Disconnect { connection }) = ask_of(event) else {
            return state.handle(host, event);
        };
        if !state.is_live(connection) {
            return state.handle(host, event);
        }
        let superseded = state.agents.get(&connection.agent).map(|agent| agent.superseded.clone());
        let mut step = state.handle(host, event);
        if let Some(agent) = state.agents.get_mut(&connection.agent) {
            agent.superseded = superseded.unwrap_or_default();
        }
        step.pushes.retain(|push| push.notice != Notice::Closed(CloseReason::Reopen));
        step
    },
);

/// The end of the live session makes the youngest superseded one live.
pub const SUPERSEDED_IS_PROMOTED: Mutant = Mutant::rule(
    "superseded_is_promoted",
    "spec/rules/mailboxes.md#sessions-of-mailboxes",
    |state, host, event| {
        let Some(Ask::Disconnect { connection }) = ask_of(event) else {
            return state.handle(host, event);
        };
        if !state.is_live(connection) {
            return state.handle(host, event);
        }
        let old = state.agents.get(&connection.agent).cloned();
        let mut step = state.handle(host, event);
        if let (Some(mut old), Some(agent)) = (old, state.agents.get_mut(&connection.agent))
            && let (Some(epoch), Some(mut live)) = (old.superseded.pop(), old.live)
        {
            (live.epoch, live.working) = (epoch, None);
            live.flights.clear();
            (agent.live, agent.superseded) = (Some(live), old.superseded);
            step.pushes.retain(|push| push.notice != Notice::Closed(CloseReason::Reopen));
        }
        let pushed = state.handle(host, &question());
        joined(step, pushed, state)
    },
);

/// Superseded sessions are pushed ephemeral messages.
pub const EPHEMERAL_FOR_SUPERSEDED: Mutant = Mutant::rule(
    "ephemeral_for_superseded",
    "spec/rules/mailboxes.md#ephemeral-messages",
    |state, host, event| {
        let mut step = state.handle(host, event);
        if let Some(Ask::Publish { message }) = ask_of(event)
            && message.ephemeral
        {
            for (name, agent) in &state.agents {
                step.pushes.extend(agent.superseded.iter().map(|epoch| Push {
                    to: Connection { agent: name.clone(), epoch: *epoch },
                    notice: Notice::Ephemeral { message: message.clone() },
                }));
            }
        }
        step
    },
);

/// Epochs are the host's time alone.
pub const EPOCHS_FROM_THE_CLOCK_ALONE: Mutant = Mutant::rule(
    "epochs_from_the_clock_alone",
    "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    |state, host, event| {
        let Some(Ask::Connect { agent, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let last = std::mem::replace(&mut state.last_seq, Ordinal::ZERO);
        let known = state.agents.get_mut(agent).and_then(|agent| agent.registration.as_mut());
        known.into_iter().for_each(|known| known.epoch = Ordinal::ZERO);
        let step = state.handle(host, event);
        state.last_seq = last;
        step
    },
);
