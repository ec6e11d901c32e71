//! Mutants that forget what is over, or remember what never was.

use mailbus_spec::StateMachine;
use mailbus_spec::lease::state::{ClaimKey, Content, Remembered};
use mailbus_spec::lease::{Command, Outcome, OverReason};
use mailbus_spec::machine::Event;

use super::{Mutant, acquire_of, answering, expire, joined, key_of, now};

/// Milliseconds for which [`SHORT_MEMORY`] remembers.
const MEMORY_MS: u64 = 10_000;

/// Requests that are over are forgotten after ten seconds, "since nobody retries for longer": a copy that
/// was under way for half a minute is granted once more.
pub const SHORT_MEMORY: Mutant = Mutant::rule(
    "short_memory",
    "spec/rules/refuted.md#a-memory-that-is-too-short",
    |state, host, event| {
        let expired = expire(state, host);
        let now = now(state, host);
        state.remembered.retain(|_, over| now < over.end.plus_ms(MEMORY_MS));
        joined(expired, state.handle(host, event))
    },
);

/// A `Cancel` of a request that is not known does nothing: an acquisition that arrives after it is
/// granted, and nobody listens.
pub const CANCEL_LEAVES_NO_TOMBSTONE: Mutant = Mutant::rule(
    "cancel_leaves_no_tombstone",
    "spec/rules/refuted.md#a-cancel-that-leaves-an-orphan",
    |state, host, event| {
        let step = state.handle(host, event);
        if let Event::Command(Command::Cancel { holder, request }) = event {
            let key = ClaimKey::of(holder, request);
            if state.remembered.get(&key).is_some_and(|over| over.content.is_none()) {
                state.remembered.remove(&key);
            }
        }
        step
    },
);

/// A `Cancel` takes a ticket out of the queue, but what was granted meanwhile it leaves alone: a lease
/// that nobody knows he holds.
pub const CANCEL_SPARES_THE_LEASE: Mutant = Mutant::rule(
    "cancel_spares_the_lease",
    "spec/rules/refuted.md#a-cancel-that-spares-the-lease",
    |state, host, event| {
        let Event::Command(Command::Cancel { holder, request }) = event else {
            return state.handle(host, event);
        };
        let expired = expire(state, host);
        let key = ClaimKey::of(holder, request);
        if state.leases.values().any(|lease| lease.key == key) {
            return answering(expired, Ok(Outcome::Cancelled));
        }
        joined(expired, state.handle(host, event))
    },
);

/// Requests that are over are forgotten at once.
pub const NO_MEMORY: Mutant = Mutant::rule(
    "no_memory",
    "spec/rules/refuted.md#a-memory-that-is-too-short",
    |state, host, event| {
        let step = state.handle(host, event);
        state.remembered.clear();
        step
    },
);

/// A `Cancel` of what is over does not renew its memory: a copy that is still under way outlives it.
pub const CANCEL_RENEWS_NO_MEMORY: Mutant = Mutant::rule(
    "cancel_renews_no_memory",
    "spec/rules/refuted.md#a-cancel-that-leaves-an-orphan",
    |state, host, event| {
        let Event::Command(Command::Cancel { holder, request }) = event else {
            return state.handle(host, event);
        };
        let key = ClaimKey::of(holder, request);
        let now = now(state, host);
        let old = state.remembered.get(&key).filter(|old| old.memory_ends() > now);
        let end = old.map(|old| old.end);
        let step = state.handle(host, event);
        if let (Some(end), Some(over)) = (end, state.remembered.get_mut(&key)) {
            over.end = end;
        }
        step
    },
);

/// A refused acquisition is remembered as over: it can never be granted to who asks again.
pub const REFUSAL_IS_REMEMBERED: Mutant = Mutant::rule(
    "refusal_is_remembered",
    "spec/rules/leases.md#requests-and-their-memory",
    |state, host, event| {
        let step = state.handle(host, event);
        let refused = step.reply.as_ref().filter(|reply| reply.answer.is_err());
        if let (Some(reply), Some(acquire)) = (refused, acquire_of(event))
            && let Some(key) = key_of(acquire)
        {
            let (content, end) = (Some(Content::of(acquire)), reply.commit.now);
            let over = Remembered { content, token: None, reason: OverReason::Cancelled, end };
            state.remembered.insert(key, over);
        }
        step
    },
);
