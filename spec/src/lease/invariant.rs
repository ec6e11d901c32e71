//! Invariants of every reachable lease state, and of every step between two.
//!
//! Claims about what clients believe have their names here and their checkers where the histories are.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::AgentId;
use crate::invariant::{self, Check, Invariant, Specified, ensure};
use crate::lease::answer::{Notice, Outcome, Rejection};
use crate::lease::command::{Command, ReleaseTarget};
use crate::lease::state::{ClaimKey, LeaseMachine, Ticket};
use crate::limits;
use crate::machine::Event;
use crate::ordinal::Ordinal;
use crate::path::PathSet;
use crate::time::{Timestamp, Wait};

type Transition<'a> = invariant::Transition<'a, LeaseMachine>;

impl Specified for LeaseMachine {
    const INVARIANTS: &'static [Invariant<Self>] = &INVARIANTS;
}

/// Every lease invariant, in the order of [its page](crate::rules::leases#invariants).
const INVARIANTS: [Invariant<LeaseMachine>; 13] = [
    Invariant {
        name: "server_exclusion",
        claim: "at every commit, no two live leases overlap",
        check: Check::State(server_exclusion),
    },
    Invariant {
        name: "belief_exclusion",
        claim: "inside the clock bound, at no true instant do two holders believe they hold overlapping leases",
        check: Check::History,
    },
    Invariant {
        name: "belief_within_grant",
        claim: "who believes, inside the clock bound, is the holder at the object, with the same token, unexpired",
        check: Check::History,
    },
    Invariant {
        name: "fencing",
        claim: "tokens strictly increase over grants under any clock",
        check: Check::Step(fencing),
    },
    Invariant {
        name: "ttl_honoured",
        claim: "a lease ends before its expiry only when its holder gives it back or an admin forces it",
        check: Check::Step(ttl_honoured),
    },
    Invariant {
        name: "drain_ends",
        claim: "nothing moves the end of a lease that is being drained, and a holder who knows of drains is told of it",
        check: Check::Step(drain_ends),
    },
    Invariant {
        name: "no_stale_effect",
        claim: "a command with a stale token, a refusal or a repetition within its memory changes nothing that it may not",
        check: Check::Step(no_stale_effect),
    },
    Invariant {
        name: "fifo",
        claim: "overlapping tickets are granted in order of arrival",
        check: Check::Step(fifo),
    },
    Invariant {
        name: "idempotent",
        claim: "a request is granted at most once within its memory",
        check: Check::Step(idempotent),
    },
    Invariant {
        name: "no_lost_place",
        claim: "a ticket that is extended in time keeps its place until it is granted, cancelled, forced or over; asking leaves it three quarters of its wait",
        check: Check::Step(no_lost_place),
    },
    Invariant {
        name: "lease_liveness",
        claim: "what nothing blocks is granted, and no wait is endless",
        check: Check::State(lease_liveness),
    },
    Invariant {
        name: "bounded_leases",
        claim: "what is over is remembered for its memory and then forgotten; nothing exceeds its limit",
        check: Check::State(bounded_leases),
    },
    Invariant {
        name: "silent_is_unchanged",
        claim: "an event that wrote nothing left the state equal; one that wrote moved the sequence by one",
        check: Check::Step(silent_is_unchanged),
    },
];

fn server_exclusion(state: &LeaseMachine) -> Result<(), String> {
    for (token, lease) in &state.leases {
        for (other, second) in state.leases.range(..token) {
            ensure(!lease.content.paths.overlaps(&second.content.paths), || {
                format!("leases {other} and {token} overlap")
            })?;
        }
    }
    Ok(())
}

/// The object time of a step; a recovery may move it ahead of what was read.
fn object_now(transition: &Transition<'_>) -> Option<Timestamp> {
    let seen = transition.before.clock.observe(transition.host).ok()?;
    Some(match transition.event {
        Event::Command(Command::Recover { .. }) => seen.now.max(transition.after.clock.floor),
        _ => seen.now,
    })
}

/// A lease that an event granted, whether it outlived the event or not.
///
/// One event can grant and end the same lease: time lets a ticket through, and then the command gives
/// the lease back, or a recovery carries the clock past its end. Only what is remembered shows it then.
struct Grant<'a> {
    token: Ordinal,
    key: &'a ClaimKey,
    paths: &'a PathSet,
}

/// Every lease that the event granted, by token.
fn grants<'a>(transition: &Transition<'a>) -> Vec<Grant<'a>> {
    let Transition { before, after, .. } = transition;
    let live = after.leases.iter().map(|(token, lease)| Grant {
        token: *token,
        key: &lease.key,
        paths: &lease.content.paths,
    });
    let over = after.remembered.iter().filter_map(|(key, over)| {
        Some(Grant { token: over.token?, key, paths: &over.content.as_ref()?.paths })
    });
    let was_over = |grant: &Grant<'_>| {
        before.remembered.get(grant.key).is_some_and(|over| over.token == Some(grant.token))
    };
    let mut grants: Vec<Grant<'a>> = live
        .chain(over)
        .filter(|grant| !before.leases.contains_key(&grant.token) && !was_over(grant))
        .collect();
    grants.sort_by_key(|grant| grant.token);
    grants
}

fn fencing(transition: &Transition<'_>) -> Result<(), String> {
    let mut last = transition.before.last_token;
    for Grant { token, .. } in grants(transition) {
        ensure(token > last, || format!("token {token} was issued after {last}"))?;
        last = token;
    }
    ensure(transition.after.last_token >= last, || format!("the last token fell from {last}"))
}

fn ttl_honoured(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = object_now(transition) else { return Ok(()) };
    for (token, lease) in &transition.before.leases {
        let still = transition.after.leases.get(token);
        let shortened = still.is_some_and(|later| later.expires_at < lease.expires_at);
        ensure(!shortened, || format!("lease {token} was shortened"))?;
        if still.is_none() && now < lease.expires_at {
            let granted = Grant { token: *token, key: &lease.key, paths: &lease.content.paths };
            ensure(may_end(transition.event, &granted), || {
                format!("lease {token} ended at {now}, before its expiry {}", lease.expires_at)
            })?;
        }
        let outlived = still.is_some_and(|later| later.expires_at <= now);
        ensure(!outlived, || format!("lease {token} outlived its expiry"))?;
    }
    for grant in grants(transition) {
        let ended = !transition.after.leases.contains_key(&grant.token);
        let lapsed = told_expiry(transition, grant.token).is_some_and(|expiry| expiry <= now);
        ensure(!ended || lapsed || may_end(transition.event, &grant), || {
            format!("lease {} was granted and ended in one event, at {now}", grant.token)
        })?;
    }
    Ok(())
}

/// True if the event is one that may end this lease early: its holder's, or an admin's.
fn may_end(event: &Event<Command>, lease: &Grant<'_>) -> bool {
    match event {
        Event::Command(Command::Release { holder, target }) => {
            *holder == lease.key.holder
                && match target {
                    ReleaseTarget::Token(named) => *named == lease.token,
                    ReleaseTarget::Path(path) => lease.paths.covers(path),
                }
        }
        Event::Command(Command::Cancel { holder, request }) => {
            ClaimKey::of(holder, request) == *lease.key
        }
        Event::Command(Command::ForceRelease { token, drain: false, .. }) => *token == lease.token,
        _ => false,
    }
}

/// The expiry that the holder of a lease out of the queue is told with its grant.
fn told_expiry(transition: &Transition<'_>, granted: Ordinal) -> Option<Timestamp> {
    transition.step.pushes.iter().find_map(|push| match push.notice {
        Notice::Granted { token, expires_at, .. } if token == granted => Some(expires_at),
        _ => None,
    })
}

fn drain_ends(transition: &Transition<'_>) -> Result<(), String> {
    for (token, lease) in transition.before.leases.iter().filter(|(_, lease)| lease.draining) {
        let later = transition.after.leases.get(token);
        let unmoved =
            later.is_none_or(|later| later.draining && later.expires_at == lease.expires_at);
        ensure(unmoved, || format!("the end of the draining lease {token} moved"))?;
    }
    told_of_drain(transition)
}

/// A holder who knows of drains and renews a lease that drains is told the end of it.
fn told_of_drain(transition: &Transition<'_>) -> Result<(), String> {
    let Event::Command(Command::Renew { holder, token, drain: true, .. }) = transition.event else {
        return Ok(());
    };
    let lease = transition.after.leases.get(token).filter(|lease| lease.key.holder == *holder);
    let Some(end) = lease.filter(|lease| lease.draining).map(|lease| lease.expires_at) else {
        return Ok(());
    };
    let answer = transition.step.reply.as_ref().map(|reply| &reply.answer);
    let told = matches!(
        answer,
        Some(Ok(Outcome::Renewed { expires_at, draining: true, .. })) if *expires_at == end
    ) || matches!(answer, Some(Err(Rejection::Clock(_))));
    ensure(told, || format!("the lease {token} drains, and its holder is told {answer:?}"))
}

/// A refused or merely repeated command leaves what time alone would leave.
fn no_stale_effect(transition: &Transition<'_>) -> Result<(), String> {
    let Some(reply) = &transition.step.reply else { return Ok(()) };
    let changes_nothing = match &reply.answer {
        Err(Rejection::Clock(_)) => {
            return ensure(transition.before == transition.after, || {
                "a refused clock changed the state".into()
            });
        }
        Err(_) | Ok(Outcome::Over { .. }) => true,
        Ok(
            Outcome::Free { .. }
            | Outcome::Held { .. }
            | Outcome::Leases { .. }
            | Outcome::Tickets { .. }
            | Outcome::Current { .. }
            | Outcome::Stale,
        ) => true,
        Ok(_) => false,
    };
    if !changes_nothing {
        return Ok(());
    }
    let mut advanced = transition.before.clone();
    // A question about a path that cannot exist lets time pass and does nothing else.
    let nobody =
        Event::Command(Command::List { prefix: String::from("\u{0}"), after: None, limit: 1 });
    crate::machine::StateMachine::handle(&mut advanced, transition.host, &nobody);
    let same = advanced.leases == transition.after.leases
        && advanced.queue == transition.after.queue
        && advanced.remembered == transition.after.remembered
        && advanced.last_token == transition.after.last_token;
    ensure(same, || format!("{:?} changed the state", reply.answer))
}

fn fifo(transition: &Transition<'_>) -> Result<(), String> {
    let arrival_of = |grant: &Grant<'_>| {
        let mut queue = transition.before.queue.iter();
        let waited = queue.find(|(_, ticket)| ticket.key() == *grant.key);
        waited.map_or(u64::MAX, |(arrival, _)| *arrival)
    };
    let grants: Vec<(u64, Grant<'_>)> =
        grants(transition).into_iter().map(|grant| (arrival_of(&grant), grant)).collect();
    for (arrival, grant) in &grants {
        let waiting = transition.after.queue.range(..arrival);
        let waiting = waiting.map(|(earlier, ticket)| (earlier, &ticket.content.paths));
        let later =
            grants.iter().filter(|(earlier, later)| earlier < arrival && grant.token < later.token);
        let mut overtaken = waiting.chain(later.map(|(earlier, later)| (earlier, later.paths)));
        let overtaken = overtaken.find(|(_, paths)| paths.overlaps(grant.paths));
        ensure(overtaken.is_none(), || {
            let (token, earlier) = (grant.token, overtaken.map(|(earlier, _)| earlier));
            format!("lease {token} was granted before the ticket that arrived at {earlier:?}")
        })?;
    }
    Ok(())
}

fn idempotent(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = object_now(transition) else { return Ok(()) };
    for Grant { token, key, .. } in grants(transition) {
        let again = transition.before.remembered.get(key);
        ensure(again.is_none_or(|over| over.memory_ends() <= now), || {
            format!("a request that is remembered as over was granted as {token}")
        })?;
        let held = transition.before.leases.iter().find(|(_, live)| live.key == *key);
        let lapsed = held.is_none_or(|(_, live)| live.expires_at.plus_ms(limits::MEMORY_MS) <= now);
        ensure(lapsed, || format!("a request that held {held:?} was granted again as {token}"))?;
    }
    Ok(())
}

/// A ticket in time waits at its place until it is granted, cancelled or over. A grant that the same
/// event ended again was a grant: whether it might be ended is [`ttl_honoured`]'s to say.
fn no_lost_place(transition: &Transition<'_>) -> Result<(), String> {
    let Some(now) = object_now(transition) else { return Ok(()) };
    let grants = grants(transition);
    let ended_by = |arrival: u64, ticket: &Ticket| match transition.event {
        Event::Command(Command::Cancel { holder, request }) => {
            ClaimKey::of(holder, request) == ticket.key()
        }
        Event::Command(Command::ForceTicket { arrival: forced, generation }) => {
            *forced == arrival && *generation == transition.before.generation
        }
        _ => false,
    };
    for (arrival, ticket) in &transition.before.queue {
        let kept = transition.after.queue.get(arrival);
        let moved_forward = kept
            .is_some_and(|later| later.key() == ticket.key() && later.deadline >= ticket.deadline);
        let granted = grants.iter().any(|grant| *grant.key == ticket.key());
        let ended = kept.is_none() && (ticket.deadline <= now || ended_by(*arrival, ticket));
        ensure(moved_forward || granted || ended, || {
            format!("the ticket that arrived at {arrival} lost its place")
        })?;
    }
    asking_extends(transition, now)
}

/// Tickets that are told to wait have three quarters of their wait to ask again, and no more than the whole
/// unless they had more before.
fn asking_extends(transition: &Transition<'_>, now: Timestamp) -> Result<(), String> {
    let answer = transition.step.reply.as_ref().map(|reply| &reply.answer);
    let (Event::Command(Command::Acquire(acquire)), Some(Ok(Outcome::Queued { .. }))) =
        (transition.event, answer)
    else {
        return Ok(());
    };
    let request = acquire.request().map(|request| ClaimKey::of(acquire.holder(), request));
    let mut queue = transition.after.queue.values();
    let ticket = queue.find(|ticket| Some(ticket.key()) == request);
    let wait_ms = acquire.wait().map_or(0, Wait::ms);
    let least = wait_ms.saturating_sub(wait_ms.div_ceil(4));
    let left = ticket.map_or(0, |ticket| ticket.deadline.ms_since(now));
    ensure(left >= least, || format!("{acquire:?} waits, and {ticket:?} was not extended"))?;
    let known = transition.before.queue.values();
    let known = known.filter(|ticket| Some(ticket.key()) == request).map(|ticket| ticket.deadline);
    let most = known.chain([now.plus_ms(wait_ms)]).max().map_or(0, |most| most.ms_since(now));
    ensure(left <= most, || format!("{acquire:?} waits, and {ticket:?} was extended beyond it"))
}

fn lease_liveness(state: &LeaseMachine) -> Result<(), String> {
    for (arrival, ticket) in &state.queue {
        ensure(
            state.is_blocked(&ticket.content.paths, *arrival) || state.last_token == Ordinal::MAX,
            || format!("nothing blocks the ticket that arrived at {arrival}"),
        )?;
        ensure(!state.waits_for_itself(&ticket.holder), || {
            format!("{} waits for itself", ticket.holder)
        })?;
    }
    Ok(())
}

fn bounded_leases(state: &LeaseMachine) -> Result<(), String> {
    let floor = state.clock.floor;
    let lapsed = state.leases.values().find(|lease| lease.expires_at <= floor);
    ensure(lapsed.is_none(), || format!("a lapsed lease is live: {lapsed:?}"))?;
    let once = |key: &ClaimKey| {
        let leases = state.leases.values().filter(|lease| lease.key == *key).count();
        let tickets = state.queue.values().filter(|ticket| ticket.key() == *key).count();
        leases.saturating_add(tickets)
    };
    let live = state.leases.values().map(|lease| lease.key.clone());
    for key in live.chain(state.queue.values().map(Ticket::key)) {
        ensure(once(&key) == 1 && !state.remembered.contains_key(&key), || {
            format!("{key:?} is known twice")
        })?;
    }
    let alarm = crate::machine::StateMachine::next_alarm(state);
    let empty = state.leases.is_empty() && state.queue.is_empty() && state.remembered.is_empty();
    ensure(alarm.is_some() != empty, || format!("the next alarm is {alarm:?}"))?;
    ensure(
        state.leases.len().saturating_add(state.queue.len()) <= limits::WORKSPACE_CLAIMS,
        || "more claims are live than the workspace may have".into(),
    )?;
    bounded_agents(state)
}

/// No agent has more of the workspace than it may, whatever its sessions.
fn bounded_agents(state: &LeaseMachine) -> Result<(), String> {
    let leases = state.leases.values().map(|lease| (&lease.key.holder.agent, &lease.content));
    let tickets = state.queue.values().map(|ticket| (&ticket.holder.agent, &ticket.content));
    let mut sums: BTreeMap<&AgentId, (usize, usize)> = BTreeMap::new();
    for (agent, content) in leases.chain(tickets) {
        let (claims, paths) = sums.entry(agent).or_default();
        *claims = claims.saturating_add(1);
        *paths = paths.saturating_add(content.paths.as_slice().len());
        ensure(*claims <= limits::AGENT_CLAIMS && *paths <= limits::AGENT_PATHS, || {
            format!("{agent} has {claims} claims on {paths} paths")
        })?;
    }
    Ok(())
}

fn silent_is_unchanged(transition: &Transition<'_>) -> Result<(), String> {
    let (before, after) = (transition.before, transition.after);
    if transition.step.wrote {
        let moved = after.sequence.checked_sub(before.sequence);
        ensure(moved == Some(1), || format!("the sequence moved by {moved:?}"))?;
        ensure(after.clock.floor >= before.clock.floor, || "the floor fell".into())
    } else {
        ensure(before == after, || "an event that wrote nothing changed the state".into())
    }
}
