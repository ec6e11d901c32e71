//! Mutants that do not tell of a loss, or take a loss for known that nobody was told of.

use std::collections::BTreeMap;

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::{Failed, Open};
use mailbus_spec::mailbox::{Ask, Outcome, Settled, Share};
use mailbus_spec::{AgentId, Ordinal, StateMachine, limits};

use super::{Mutant, ask_of, now, outcome, outcome_mut};

/// Losses are told when a session begins, and forgotten: if that frame is lost, so are they.
pub const GAP_IS_TOLD_ONCE: Mutant = Mutant::rule(
    "gap_is_told_once",
    "spec/rules/refuted.md#a-gap-told-once",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Connect { agent, .. }) = ask_of(event)
            && let Some(agent) = state.agents.get_mut(agent)
            && let Some(registration) = &mut agent.registration
        {
            registration.losses.count = 0;
        }
        step
    },
);

/// A connect does not tell of the gap.
pub const GAP_IS_NOT_TOLD: Mutant =
    Mutant::rule("gap_is_not_told", "spec/rules/mailboxes.md#losses", |state, host, event| {
        let mut step = state.handle(host, event);
        if let Some(Outcome::Connected { gap, .. }) = outcome_mut(&mut step) {
            *gap = None;
        }
        step
    });

/// Acknowledging any loss acknowledges them all.
pub const ANY_ACK_CLEARS_THE_GAP: Mutant = Mutant::rule(
    "any_ack_clears_the_gap",
    "spec/rules/mailboxes.md#losses",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Ask::Ack { agent, what: Settled::Gap(_) }) = ask_of(event)
            && let Some(Outcome::Settled { settled: 1.., .. }) = outcome(&step)
            && let Some(agent) = state.agents.get_mut(agent)
            && let Some(known) = &mut agent.registration
        {
            known.losses.count = 0;
        }
        step
    },
);

/// Expired messages are not counted among the losses.
pub const EXPIRY_IS_NOT_COUNTED: Mutant = Mutant::rule(
    "expiry_is_not_counted",
    "spec/rules/mailboxes.md#losses",
    |state, host, event| {
        let before = state.clone();
        let step = state.handle(host, event);
        if matches!(ask_of(event), Some(Ask::Nack { .. } | Ask::Disconnect { .. })) {
            return step;
        }
        for (name, agent) in &mut state.agents {
            let old = before.agents.get(name).and_then(|agent| agent.registration.as_ref());
            if let (Some(known), Some(old)) = (&mut agent.registration, old)
                && old.losses.through < known.losses.through
            {
                known.losses = old.losses;
            }
        }
        step
    },
);

/// An agent that is forgotten after the ordinary time takes the gap along that it was never told.
pub const GAP_IS_FORGOTTEN_WITH_ITS_AGENT: Mutant = Mutant::rule(
    "gap_is_forgotten_with_its_agent",
    "spec/rules/refuted.md#a-gap-that-is-forgotten-with-its-agent",
    |state, host, event| {
        let mut step = state.handle(host, event);
        if *event == Event::Alarm {
            let now = now(state, host);
            let before = state.agents.len();
            state.agents.retain(|_, agent| {
                let is_idle = !agent.has_session() && agent.inbox.is_empty();
                let known = agent.registration.as_ref().filter(|_| is_idle);
                known.is_none_or(|known| now < known.written_at.plus_ms(limits::KNOWN_MS))
            });
            step.wrote |= state.agents.len() < before;
        }
        step
    },
);

/// A repetition is answered as if everybody had got the message.
pub const REPETITION_HIDES_THE_REFUSAL: Mutant = Mutant::rule(
    "repetition_hides_the_refusal",
    "spec/rules/refuted.md#a-repetition-that-hides-the-refusal",
    |state, host, event| {
        let mut step = state.handle(host, event);
        if let Some(Outcome::Duplicate { refused, .. }) = outcome_mut(&mut step) {
            refused.clear();
        }
        step
    },
);

/// Refusals are forgotten, and the sender is not told of them.
pub const REFUSALS_ARE_FORGOTTEN: Mutant = Mutant::rule(
    "refusals_are_forgotten",
    "spec/rules/mailboxes.md#overflow",
    |state, host, event| {
        let mut step = state.handle(host, event);
        if let Some(Outcome::Accepted { seq, refused, .. }) = outcome_mut(&mut step) {
            refused.clear();
            state.log.entries.get_mut(seq).into_iter().for_each(|logged| logged.refused.clear());
        }
        step
    },
);

/// The newest dead letters are kept, be it what failed or what was refused: here the newest one.
pub const LETTERS_PUSH_FAILURES_OUT: Mutant = Mutant::rule(
    "letters_push_failures_out",
    "spec/rules/refuted.md#letters-that-push-each-other-out",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Some(Outcome::Accepted { refused, .. }) = outcome(&step) {
            for name in refused {
                state.agents.get_mut(name).into_iter().for_each(|agent| agent.failed.clear());
            }
        }
        step
    },
);

/// Dead letters that failed lie beside the inbox, which takes as much as if it were not there.
pub const LETTERS_TAKE_NO_ROOM: Mutant = Mutant::rule(
    "letters_take_no_room",
    "spec/rules/mailboxes.md#dead-letters",
    |state, host, event| {
        if !matches!(ask_of(event), Some(Ask::Publish { .. } | Ask::Send { .. })) {
            return state.handle(host, event);
        }
        let mut failed: BTreeMap<AgentId, BTreeMap<Ordinal, Failed>> = BTreeMap::new();
        for (name, agent) in &mut state.agents {
            failed.insert(name.clone(), std::mem::take(&mut agent.failed));
        }
        let step = state.handle(host, event);
        for (name, failed) in failed {
            if let Some(agent) = state.agents.get_mut(&name) {
                agent.failed = failed;
            }
        }
        step
    },
);

/// Published mail fills an inbox like what is sent to its agent.
pub const PUBLISHED_MAIL_FILLS_THE_INBOX: Mutant = Mutant::rule(
    "published_mail_fills_the_inbox",
    "spec/rules/refuted.md#chatter-that-takes-the-place-of-an-order",
    |state, host, event| {
        let mut step = state.handle(host, event);
        let Some(Ask::Publish { message }) = ask_of(event) else { return step };
        let Some(Ok(Outcome::Accepted { seq, recipients, refused, .. })) =
            step.reply.as_mut().map(|reply| &mut reply.answer)
        else {
            return step;
        };
        let bytes = message.bytes();
        refused.retain(|name| {
            let Some(agent) = state.agents.get_mut(name) else { return true };
            if !Share::Direct.holds(agent.inbox.len() + 1, agent.inbox.bytes + bytes) {
                return true;
            }
            agent.inbox.open.insert(*seq, Open { bytes, ..Open::default() });
            agent.inbox.bytes += bytes;
            *recipients += 1;
            if let Some(logged) = state.log.entries.get_mut(seq) {
                logged.refused.remove(name);
                logged.recipients += 1;
            }
            false
        });
        step
    },
);

/// Readers that know a later `seq` than the last are answered like any other.
pub const AHEAD_IS_IGNORED: Mutant = Mutant::rule(
    "ahead_is_ignored",
    "spec/rules/mailboxes.md#restores-of-mailboxes",
    |state, host, event| {
        let Some(Ask::Inbox { after, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let last = state.last_seq;
        state.last_seq = last.max(*after);
        let step = state.handle(host, event);
        state.last_seq = last;
        step
    },
);

/// Inboxes list nothing before the asked place, redriven or not.
pub const INBOX_HIDES_THE_REDRIVEN: Mutant = Mutant::rule(
    "inbox_hides_the_redriven",
    "spec/rules/mailboxes.md#inboxes",
    |state, host, event| {
        let mut step = state.handle(host, event);
        if let Some(Ask::Inbox { after, .. }) = ask_of(event)
            && let Some(Outcome::Inbox { messages, .. }) = outcome_mut(&mut step)
        {
            messages.retain(|pending| pending.seq > *after);
        }
        step
    },
);
