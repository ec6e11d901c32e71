//! Mutants that let another in than who has waited longest, or forget who waits.

use std::collections::{BTreeMap, BTreeSet};

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::state::{Content, LeaseMachine, Ticket};
use mailbus_spec::lease::{Acquire, Command, LeaseStep, Outcome, OverReason, Rejection};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, Ordinal, PathSet, StateMachine, Timestamp};

use super::{Mutant, acquire_of, answering, expire, grant, is_live, joined, key_of, now, written};

/// An acquisition looks at leases alone: what is free between two holders goes to whoever asks at
/// that moment, past those who wait.
pub const BARGING: Mutant = Mutant::rule(
    "barging",
    "spec/rules/refuted.md#an-acquisition-that-barges",
    |state, host, event| {
        let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
        let expired = expire(state, host);
        let is_new = key_of(acquire).is_none_or(|key| !is_live(state, &key));
        if !is_new || state.leases_on(acquire.paths()).next().is_some() {
            return joined(expired, state.handle(host, event));
        }
        let (own, others) = std::mem::take(&mut state.queue)
            .into_iter()
            .partition(|(_, ticket)| ticket.holder == *acquire.holder());
        state.queue = own;
        let step = state.handle(host, event);
        state.queue.extend(others);
        joined(expired, step)
    },
);

/// Whoever waits is let in as soon as no lease is in the way, without a look at who came before: a
/// large claim starves while small ones pass.
pub const SMALL_CLAIMS_OVERTAKE: Mutant = Mutant::rule(
    "small_claims_overtake",
    "spec/rules/leases.md#no-barging",
    |state, host, event| {
        let expired = expire(state, host);
        let expired = let_in(state, host, expired);
        let step = state.handle(host, event);
        match event {
            // Who has only just come is let in by the next event.
            Event::Command(Command::Acquire(_)) => joined(expired, step),
            _ => joined(expired, let_in(state, host, step)),
        }
    },
);

fn let_in(state: &mut LeaseMachine, host: HostTime, mut step: LeaseStep) -> LeaseStep {
    let arrivals: Vec<u64> = state.queue.keys().copied().collect();
    for arrival in arrivals {
        let paths = state.queue.get(&arrival).map(|ticket| ticket.content.paths.clone());
        let free = paths.is_some_and(|paths| state.leases_on(&paths).next().is_none());
        if let Some(push) = free.then(|| grant(state, host, arrival)).flatten() {
            step.pushes.push(push);
            step = written(state, host, step);
        }
    }
    step
}

/// The queue is settled from a list of what is free that is drawn up once: two who wait for one path
/// both get it.
pub const GRANTS_FROM_A_SNAPSHOT: Mutant = Mutant::rule(
    "grants_from_a_snapshot",
    "spec/rules/leases.md#settling",
    |state, host, event| {
        let expired = expire(state, host);
        let expired = grant_the_others(state, host, expired);
        let step = state.handle(host, event);
        joined(expired, grant_the_others(state, host, step))
    },
);

/// Grants what was free before the first of them was granted.
fn grant_the_others(state: &mut LeaseMachine, host: HostTime, mut step: LeaseStep) -> LeaseStep {
    let granted = step.pushes.iter().filter_map(|push| match push.notice {
        Notice::Granted { token, .. } => Some(token),
        _ => None,
    });
    let granted: Vec<Ordinal> = granted.collect();
    let arrivals: Vec<u64> = state.queue.keys().copied().collect();
    for arrival in arrivals {
        let Some(ticket) = state.queue.get(&arrival) else { continue };
        let paths = ticket.content.paths.clone();
        let was_free = state.leases_on(&paths).all(|(token, _)| granted.contains(&token));
        let is_blocked = state.leases_on(&paths).next().is_some();
        if let Some(push) = (was_free && is_blocked).then(|| grant(state, host, arrival)).flatten()
        {
            step.pushes.push(push);
            step = written(state, host, step);
        }
    }
    step
}

/// Each question of one who waits is a new arrival: whoever asks more often waits longer.
pub const ASKING_AGAIN_GOES_TO_THE_END: Mutant = Mutant::rule(
    "asking_again_goes_to_the_end",
    "spec/rules/leases.md#tickets",
    |state, host, event| {
        let step = state.handle(host, event);
        let Some(key) = acquire_of(event).and_then(key_of) else { return step };
        let own = state.queue.iter().find(|(_, ticket)| ticket.key() == key);
        let Some(arrival) = own.map(|(arrival, _)| *arrival) else { return step };
        let mut step = written(state, host, step);
        let Some(ticket) = state.queue.remove(&arrival) else { return step };
        let position = state.queue_on(&ticket.content.paths);
        state.queue.insert(state.sequence, ticket);
        if let Some(reply) = &mut step.reply {
            reply.answer = Ok(Outcome::Queued { position });
        }
        step
    },
);

/// A ticket has its time from its arrival on, however often its holder asks again: who waits longer
/// than `wait` is sent away although it never stopped asking.
pub const ASKING_AGAIN_EXTENDS_NOTHING: Mutant = Mutant::rule(
    "asking_again_extends_nothing",
    "spec/rules/refuted.md#a-ticket-as-long-as-a-lease",
    |state, host, event| {
        let Some(key) = acquire_of(event).and_then(key_of) else {
            return state.handle(host, event);
        };
        let own = state.queue.iter().find(|(_, ticket)| ticket.key() == key);
        let before = own.map(|(arrival, ticket)| (*arrival, ticket.deadline));
        let step = state.handle(host, event);
        if let Some((arrival, deadline)) = before
            && let Some(ticket) = state.queue.get_mut(&arrival)
        {
            ticket.deadline = deadline;
        }
        step
    },
);

/// A question writes nothing while more than two thirds of the wait are left: one that comes a little early
/// is as good as none, and if the next is lost the place is too.
pub const QUESTION_IN_THE_FIRST_THIRD_IS_FORGOTTEN: Mutant = Mutant::rule(
    "question_in_the_first_third_is_forgotten",
    "spec/rules/refuted.md#a-question-in-the-first-third",
    |state, host, event| {
        let now = now(state, host);
        let Some(key) = acquire_of(event).and_then(key_of) else {
            return state.handle(host, event);
        };
        let own = state.queue.iter().find(|(_, ticket)| ticket.key() == key);
        let kept = own.and_then(|(arrival, ticket)| {
            let wait_ms = ticket.content.wait?.ms();
            let early = 3 * ticket.deadline.ms_since(now) > 2 * wait_ms;
            early.then_some((*arrival, ticket.deadline))
        });
        let step = state.handle(host, event);
        if let Some((arrival, deadline)) = kept
            && let Some(ticket) = state.queue.get_mut(&arrival)
        {
            ticket.deadline = deadline;
        }
        step
    },
);

/// Settling grants first and drops tickets whose time is over afterwards: a ticket whose deadline is
/// not after the expiry that it waits for is granted to somebody who has given up.
pub const DEAD_TICKET_IS_GRANTED: Mutant = Mutant::rule(
    "dead_ticket_is_granted",
    "spec/rules/refuted.md#a-deadline-at-the-instant-of-an-expiry",
    |state, host, event| {
        let now = now(state, host);
        let mut over: Vec<(u64, Timestamp)> = Vec::new();
        for (arrival, ticket) in &mut state.queue {
            if ticket.deadline <= now {
                over.push((*arrival, std::mem::replace(&mut ticket.deadline, now.plus_ms(1))));
            }
        }
        let mut expired = expire(state, host);
        for (arrival, deadline) in over {
            if let Some(ticket) = state.queue.remove(&arrival) {
                state.remembered.extend([ticket.ended(OverReason::TimedOut, deadline)]);
                expired = written(state, host, expired);
            }
        }
        joined(expired, state.handle(host, event))
    },
);

/// A turn lasts no longer than the TTL that was asked for, however seldom its holder has to ask: it may
/// begin and end between two questions.
pub const TURN_FORGETS_THE_WAIT: Mutant = Mutant::rule(
    "turn_forgets_the_wait",
    "spec/rules/refuted.md#a-turn-that-is-over-before-the-question",
    |state, host, event| {
        let now = now(state, host);
        let mut step = state.handle(host, event);
        let mut told = Vec::new();
        for push in &mut step.pushes {
            if let Notice::Granted { token, expires_at, ttl, .. } = &mut push.notice
                && let Some(lease) = state.leases.get_mut(token)
            {
                *ttl = lease.content.ttl.queued_term(None);
                *expires_at = now.plus_ms(ttl.ms());
                (lease.first_term, lease.expires_at) = (*ttl, *expires_at);
                told.push((*token, *expires_at, *ttl));
            }
        }
        if let Some(reply) = &mut step.reply
            && let Ok(Outcome::Granted { token, expires_at, ttl }) = &mut reply.answer
            && let Some(short) = told.iter().find(|(granted, ..)| granted == token)
        {
            (_, *expires_at, *ttl) = *short;
        }
        step
    },
);

/// The look for deadlocks follows leases alone. But a ticket also waits behind earlier tickets: two
/// that hold nothing of each other's may wait for one another for ever.
pub const WAIT_BEHIND_A_TICKET_IS_OVERLOOKED: Mutant = Mutant::rule(
    "wait_behind_a_ticket_is_overlooked",
    "spec/rules/refuted.md#a-deadlock-behind-a-ticket",
    |state, host, event| {
        let step = state.handle(host, event);
        let refused = step
            .reply
            .as_ref()
            .is_some_and(|reply| matches!(reply.answer, Err(Rejection::Deadlock { .. })));
        match acquire_of(event).filter(|_| refused) {
            Some(acquire) if !closes_a_cycle_of_leases(state, acquire) => {
                enqueue(state, host, acquire, step)
            }
            _ => step,
        }
    },
);

fn enqueue(
    state: &mut LeaseMachine,
    host: HostTime,
    acquire: &Acquire,
    step: LeaseStep,
) -> LeaseStep {
    let (Some(request), Some(wait)) = (acquire.request(), acquire.wait()) else { return step };
    let ticket = Ticket {
        holder: acquire.holder().clone(),
        request: request.clone(),
        content: Content::of(acquire),
        deadline: now(state, host).plus_ms(wait.ms()),
    };
    let position = state.queue_on(acquire.paths());
    let step = written(state, host, answering(step, Ok(Outcome::Queued { position })));
    state.remembered.remove(&ticket.key());
    state.queue.insert(state.sequence, ticket);
    step
}

fn closes_a_cycle_of_leases(state: &LeaseMachine, acquire: &Acquire) -> bool {
    let holders_of = |paths: &PathSet| -> Vec<Holder> {
        state.leases_on(paths).map(|(_, lease)| lease.key.holder.clone()).collect()
    };
    let mut seen = BTreeSet::new();
    let mut to_expand = holders_of(acquire.paths());
    while let Some(holder) = to_expand.pop() {
        if holder == *acquire.holder() {
            return true;
        }
        if seen.insert(holder.clone()) {
            let waits = state.queue.values().filter(|ticket| ticket.holder == holder);
            to_expand.extend(waits.flat_map(|ticket| holders_of(&ticket.content.paths)));
        }
    }
    false
}

/// A release hands nothing to those who wait.
pub const RELEASE_HANDS_NOTHING_ON: Mutant = Mutant::rule(
    "release_hands_nothing_on",
    "spec/rules/leases.md#settling",
    |state, host, event| {
        if !matches!(event, Event::Command(Command::Release { .. })) {
            return state.handle(host, event);
        }
        let expired = expire(state, host);
        let waiting = std::mem::take(&mut state.queue);
        let step = state.handle(host, event);
        state.queue.extend(waiting);
        joined(expired, step)
    },
);

/// The latest ticket is granted first: the queue is a stack.
pub const LATEST_TICKET_FIRST: Mutant =
    Mutant::rule("latest_ticket_first", "spec/rules/leases.md#no-barging", |state, host, event| {
        let arrivals: Vec<u64> = state.queue.keys().copied().collect();
        let tickets = std::mem::take(&mut state.queue);
        let places: BTreeMap<_, u64> =
            tickets.iter().map(|(arrival, ticket)| (ticket.key(), *arrival)).collect();
        state.queue = arrivals.into_iter().rev().zip(tickets.into_values()).collect();
        let step = state.handle(host, event);
        let after = std::mem::take(&mut state.queue);
        state.queue = after
            .into_iter()
            .map(|(arrival, ticket)| {
                (places.get(&ticket.key()).copied().unwrap_or(arrival), ticket)
            })
            .collect();
        step
    });
