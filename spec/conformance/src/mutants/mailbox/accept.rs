//! Mutants that accept a message twice, as another, or under a number that was given.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxStep, Message, Outcome};
use mailbus_spec::{Ordinal, StateMachine, Timestamp};

use super::{Mutant, ask_of, question};

/// A `seq` is the host's time: two messages of one millisecond, or of a host whose clock went back, get
/// the same.
pub const SEQ_FROM_THE_CLOCK_ALONE: Mutant = Mutant::rule(
    "seq_from_the_clock_alone",
    "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    |state, host, event| {
        if let Some(Ask::Publish { .. } | Ask::Send { .. }) = ask_of(event) {
            state.last_seq = Ordinal::ZERO;
        }
        state.handle(host, event)
    },
);

/// The last `seq` is that of the log: an emptied log begins anew.
pub const SEQ_FROM_THE_LOG: Mutant = Mutant::rule(
    "seq_from_the_log",
    "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    |state, host, event| {
        state.last_seq = state.log.entries.last_key_value().map_or(Ordinal::ZERO, |(seq, _)| *seq);
        state.handle(host, event)
    },
);

/// A recovery does not raise the last `seq`.
pub const RECOVERY_KEEPS_THE_LAST_SEQ: Mutant = Mutant::rule(
    "recovery_keeps_the_last_seq",
    "spec/rules/mailboxes.md#restores-of-mailboxes",
    |state, host, event| {
        let last_seq = state.last_seq;
        let step = state.handle(host, event);
        if let Some(Ask::Recover { .. }) = ask_of(event) {
            state.last_seq = last_seq;
        }
        step
    },
);

/// A recovery carries the clock on to the ordinal that it names.
pub const RECOVERY_CARRIES_THE_CLOCK: Mutant = Mutant::rule(
    "recovery_carries_the_clock",
    "spec/rules/refuted.md#a-recovery-that-expires-the-mail",
    |state, host, event| {
        if let Some(Ask::Recover { at_least }) = ask_of(event)
            && let Some(anchor) = Timestamp::from_ms(at_least.anchor_ms())
        {
            state.clock.floor = state.clock.floor.max(anchor);
        }
        state.handle(host, event)
    },
);

/// Ids are compared without their sender.
pub const IDS_WITHOUT_THEIR_SENDER: Mutant = Mutant::rule(
    "ids_without_their_sender",
    "spec/rules/mailboxes.md#accepting-once",
    |state, host, event| {
        let Some(Ask::Publish { message } | Ask::Send { message, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        // Of rows of others with this id it is made the sender, as long as the event lasts.
        let mut other = state.clone();
        for logged in other.log.entries.values_mut().filter(|row| row.message.id == message.id) {
            let same = Message { from: message.from.clone(), ..(*logged.message).clone() };
            logged.message = same.into();
        }
        let answer = other.handle(host, event);
        let is_known = answer.reply.as_ref().is_some_and(|reply| {
            !matches!(reply.answer, Ok(Outcome::Accepted { .. } | Outcome::Sent))
        });
        if is_known {
            MailboxStep { reply: answer.reply, ..state.handle(host, &question()) }
        } else {
            state.handle(host, event)
        }
    },
);

/// A message with a known id is taken for the first one, whatever is in it.
pub const CONFLICT_IS_A_REPETITION: Mutant = Mutant::rule(
    "conflict_is_a_repetition",
    "spec/rules/mailboxes.md#accepting-once",
    |state, host, event| {
        let Some(Ask::Publish { message } | Ask::Send { message, .. }) = ask_of(event) else {
            return state.handle(host, event);
        };
        let first = state.log.entries.iter().rev().find(|(_, logged)| {
            (&logged.message.from, &logged.message.id) == (&message.from, &message.id)
        });
        let first = first.map(|(seq, logged)| Outcome::Duplicate {
            seq: *seq,
            recipients: Some(logged.recipients),
            refused: logged.refused.iter().cloned().collect(),
        });
        let mut step = state.handle(host, event);
        if let (Some(first), Some(reply)) = (first, &mut step.reply)
            && reply.answer.is_err()
        {
            reply.answer = Ok(first);
        }
        step
    },
);

/// Ephemeral messages are kept.
pub const EPHEMERAL_IS_KEPT: Mutant = Mutant::rule(
    "ephemeral_is_kept",
    "spec/rules/mailboxes.md#ephemeral-messages",
    |state, host, event| {
        let Some(Ask::Publish { message }) = ask_of(event) else {
            return state.handle(host, event);
        };
        if !message.ephemeral {
            return state.handle(host, event);
        }
        let message = Message { ephemeral: false, ..message.clone() };
        let step = state.handle(host, &Event::Command(Command::alone(Ask::Publish { message })));
        for logged in state.log.entries.values_mut() {
            let kept = Message { ephemeral: true, ..(*logged.message).clone() };
            logged.message = kept.into();
        }
        step
    },
);
