//! Mutants that grant to another, something else, or under another token.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, LeasePath, Ordinal, PathSet, StateMachine};

use super::{Mutant, acquire_of, answering, expire, is_live, joined, key_of, now, written};

/// Handles an event as if nothing were claimed.
fn alone(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let (leases, queue) = (std::mem::take(&mut state.leases), std::mem::take(&mut state.queue));
    let step = state.handle(host, event);
    state.leases.extend(leases);
    state.queue.extend(queue);
    step
}

/// A second process of an agent is given the lease of the first: the object knows agents, not
/// sessions.
pub const SESSION_IS_IGNORED: Mutant = Mutant::rule(
    "session_is_ignored",
    "spec/rules/refuted.md#two-processes-with-one-lease",
    |state, host, event| {
        let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
        let expired = expire(state, host);
        let until = now(state, host).plus_ms(acquire.ttl().ms());
        let shared = state.leases.iter_mut().find(|(_, lease)| {
            let holder = &lease.key.holder;
            holder.agent == acquire.holder().agent
                && holder.session != acquire.holder().session
                && lease.content.paths == *acquire.paths()
        });
        let Some((token, lease)) = shared else {
            return joined(expired, state.handle(host, event));
        };
        lease.expires_at = lease.expires_at.max(until);
        let (token, expires_at, ttl) = (*token, lease.expires_at, acquire.ttl());
        answering(written(state, host, expired), Ok(Outcome::Granted { token, expires_at, ttl }))
    },
);

/// `Granted` says the TTL that was asked for, which is what is stored: out of the queue the lease ends
/// after thirty seconds, and its holder believes for longer.
pub const GRANTED_SAYS_THE_TERM_ASKED_FOR: Mutant = Mutant::rule(
    "granted_says_the_term_asked_for",
    "spec/rules/refuted.md#belief-in-the-term-asked-for",
    |state, host, event| {
        let mut step = state.handle(host, event);
        let asked = |token| state.leases.get(&token).map(|lease| lease.content.ttl);
        if let Some(reply) = &mut step.reply
            && let Ok(Outcome::Granted { token, ttl, .. }) = &mut reply.answer
        {
            *ttl = asked(*token).unwrap_or(*ttl);
        }
        for push in &mut step.pushes {
            if let Notice::Granted { token, ttl, .. } = &mut push.notice {
                *ttl = asked(*token).unwrap_or(*ttl);
            }
        }
        step
    },
);

/// An acquisition of a set is checked against its first path: the original knew one path a lease, and
/// sets came later.
pub const FIRST_PATH_ALONE_IS_CHECKED: Mutant = Mutant::rule(
    "first_path_alone_is_checked",
    "spec/rules/leases.md#sets",
    |state, host, event| {
        let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
        let expired = expire(state, host);
        let first = acquire.paths().as_slice().first().cloned().map(PathSet::one);
        let is_new = key_of(acquire).is_none_or(|key| !is_live(state, &key));
        let is_free = first.is_some_and(|first| {
            state.leases_on(&first).next().is_none() && state.tickets_on(&first).next().is_none()
        });
        if !is_new || !is_free {
            return joined(expired, state.handle(host, event));
        }
        joined(expired, alone(state, host, event))
    },
);

/// Paths are compared by their bytes: one file under two spellings is two files.
pub const PATHS_ARE_COMPARED_BY_BYTES: Mutant = Mutant::rule(
    "paths_are_compared_by_bytes",
    "spec/rules/refuted.md#a-path-by-its-bytes",
    |state, host, event| {
        let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
        let expired = expire(state, host);
        let asked: Vec<&str> = acquire.paths().as_slice().iter().map(LeasePath::as_str).collect();
        let spells =
            |set: &PathSet| set.as_slice().iter().any(|path| asked.contains(&path.as_str()));
        let is_new = key_of(acquire).is_none_or(|key| !is_live(state, &key));
        let is_free = !state
            .leases_on(acquire.paths())
            .any(|(_, lease)| spells(&lease.content.paths))
            && !state.tickets_on(acquire.paths()).any(|(_, ticket)| spells(&ticket.content.paths));
        if !is_new || !is_free {
            return joined(expired, state.handle(host, event));
        }
        joined(expired, alone(state, host, event))
    },
);

/// A holder is never in its own way: it is granted a second lease over the first, as a lock that may
/// be taken twice by its owner.
pub const OWN_LEASE_IS_NO_OBSTACLE: Mutant = Mutant::rule(
    "own_lease_is_no_obstacle",
    "spec/rules/leases.md#the-order-of-decisions",
    |state, host, event| {
        let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
        let expired = expire(state, host);
        if key_of(acquire).is_some_and(|key| is_live(state, &key)) {
            return joined(expired, state.handle(host, event));
        }
        let (own, others) = std::mem::take(&mut state.leases)
            .into_iter()
            .partition(|(_, lease)| lease.key.holder == *acquire.holder());
        state.leases = others;
        let step = state.handle(host, event);
        state.leases.extend(own);
        joined(expired, step)
    },
);

/// Tokens are the host's time, "which only grows": a host whose clock is behind issues smaller ones.
pub const TOKENS_FROM_THE_CLOCK_ALONE: Mutant = Mutant::rule(
    "tokens_from_the_clock_alone",
    "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    |state, host, event| {
        state.last_token = Ordinal::ZERO;
        state.handle(host, event)
    },
);

/// A token is never smaller than the one before: `>=` stands where `>` belongs, and two grants of one
/// millisecond, or all of those on a host that is behind, share a token.
pub const TOKEN_NO_SMALLER_THAN_THE_LAST: Mutant = Mutant::rule(
    "token_no_smaller_than_the_last",
    "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    |state, host, event| {
        let last = state.last_token;
        let before = Ordinal::new(last.get().saturating_sub(1)).unwrap_or(last);
        state.last_token = before;
        let step = state.handle(host, event);
        state.last_token = state.last_token.max(last);
        step
    },
);
