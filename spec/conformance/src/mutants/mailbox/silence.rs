//! Mutants that take the silence of a session that negotiated nothing for something else.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Agent, Session};
use mailbus_spec::mailbox::{Ask, MailboxMachine, MailboxStep, Outcome};
use mailbus_spec::{AgentId, HostTime, Ordinal, StateMachine, Timestamp, limits};

use super::{Mutant, ask_of, joined, now, outcome_mut, take};

/// A session that negotiated nothing settles by being sent to, at once: what was on its way when its
/// socket broke is lost.
pub const PUSHED_IS_SETTLED: Mutant = Mutant::rule(
    "pushed_is_settled",
    "spec/rules/refuted.md#silence-counted-from-the-accept",
    |state, host, event| {
        let step = state.handle(host, event);
        let entries = &state.log.entries;
        for agent in state.agents.values_mut() {
            let silent = agent.live.iter().filter(|live| live.window.is_none());
            let sent = silent
                .flat_map(|live| live.flights.keys())
                .filter(|seq| entries.get(seq).is_some_and(|logged| !logged.message.ack_required));
            let sent: Vec<Ordinal> = sent.copied().collect();
            sent.into_iter().for_each(|seq| take(agent, seq));
        }
        step
    },
);

/// Silence counts from the accept, not from the push.
pub const PRESUMED_FROM_THE_ACCEPT: Mutant = Mutant::rule(
    "presumed_from_the_accept",
    "spec/rules/refuted.md#silence-counted-from-the-accept",
    |state, host, event| {
        for live in state.agents.values_mut().filter_map(|agent| agent.live.as_mut()) {
            live.since = Timestamp::ZERO;
        }
        state.handle(host, event)
    },
);

/// Reads see what is presumed before it is on record.
pub const READS_PRESUME: Mutant =
    Mutant::rule("reads_presume", "spec/rules/mailboxes.md#silence", |state, host, event| {
        let Some(Ask::Inbox { agent, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let mut seen = state.clone();
        presume(&mut seen, agent, host, false);
        let reply = seen.handle(host, event).reply;
        MailboxStep { reply, ..state.handle(host, event) }
    });

/// Silence settles what asks for an ack.
pub const ACK_REQUIRED_IS_PRESUMED: Mutant = Mutant::rule(
    "ack_required_is_presumed",
    "spec/rules/mailboxes.md#silence",
    |state, host, event| {
        if *event != Event::Alarm {
            return state.handle(host, event);
        }
        let names: Vec<AgentId> = state.agents.keys().cloned().collect();
        let wrote = names.iter().any(|name| presume(state, name, host, true));
        if wrote && let Ok(seen) = state.clock.observe(host) {
            state.sequence += 1;
            state.clock = state.clock.advanced_to(&seen);
        }
        let presumed = MailboxStep { reply: None, pushes: Vec::new(), wrote };
        let step = state.handle(host, event);
        joined(presumed, step, state)
    },
);

/// The silence of sessions that negotiated settles, too.
pub const NEGOTIATED_IS_PRESUMED: Mutant = Mutant::rule(
    "negotiated_is_presumed",
    "spec/rules/mailboxes.md#silence",
    |state, host, event| {
        if *event != Event::Alarm {
            return state.handle(host, event);
        }
        let take = |live: &mut Session| live.window.take();
        let windows: Vec<_> =
            state.agents.values_mut().map(|a| a.live.as_mut().and_then(take)).collect();
        let step = state.handle(host, event);
        for (agent, window) in state.agents.values_mut().zip(windows) {
            if let Some(live) = &mut agent.live {
                live.window = window;
            }
        }
        step
    },
);

/// A full inbox refuses although a silent session was pushed all of it.
pub const SILENT_INBOX_REFUSES: Mutant = Mutant::rule(
    "silent_inbox_refuses",
    "spec/rules/mailboxes.md#overflow",
    |state, host, event| {
        let before = state.clone();
        let mut step = state.handle(host, event);
        let Some(Outcome::Accepted { seq, recipients, refused, .. }) = outcome_mut(&mut step)
        else {
            return step;
        };
        for (name, agent) in &mut state.agents {
            let Some(open) = agent.inbox.open.get(seq).copied() else { continue };
            let fits = |old: &Agent| old.inbox.bytes + open.bytes <= limits::INBOX_BYTES;
            if before.agents.get(name).is_none_or(fits) {
                continue;
            }
            take(agent, *seq);
            *recipients -= 1;
            refused.push(name.clone());
            if let Some(row) = state.log.entries.get_mut(seq) {
                row.refused.insert(name.clone());
            }
        }
        step.pushes.clear();
        step
    },
);

/// Takes out what an agent's silence has settled by now, of those that ask for an ack or of the others; says
/// whether there was any.
fn presume(state: &mut MailboxMachine, name: &AgentId, host: HostTime, ack_required: bool) -> bool {
    let now = now(state, host);
    let MailboxMachine { log, agents, .. } = state;
    let Some(agent) = agents.get_mut(name) else { return false };
    let Some(live) = agent.live.as_ref().filter(|live| live.window.is_none()) else { return false };
    let is_over = |seq: &Ordinal| {
        log.entries.get(seq).is_some_and(|logged| {
            logged.at.max(live.since).plus_ms(limits::PRESUMED_MS) <= now
                && logged.message.ack_required == ack_required
        })
    };
    let over: Vec<Ordinal> = live.flights.keys().copied().filter(is_over).collect();
    over.iter().for_each(|seq| take(agent, *seq));
    !over.is_empty()
}
