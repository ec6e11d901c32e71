//! Planted mistakes of the object: each is the lease machine with one rule broken, made by
//! rearranging its open state around an event. A search that cannot find them checks nothing.

use mailbus_spec::lease::state::{ClaimKey, Content, LeaseMachine, Remembered};
use mailbus_spec::lease::{Command, LeaseStep, Outcome, OverReason, ReleaseTarget};
use mailbus_spec::limits;
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine, Timestamp};

/// What the object does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A lease lives through the instant of its expiry: `>` where `>=` belongs.
    LivesAtExpiry,
    /// Only the alarm ends a lease.
    ExpiresByAlarmOnly,
    /// An `Acquire` does not look at the queue.
    Barges,
    /// The latest ticket is granted first.
    GrantsLatestFirst,
    /// Asking again for a ticket puts it at the end of the queue.
    ExtensionLosesPlace,
    /// `Cancel` of an unknown request leaves nothing.
    NoTombstone,
    /// `Cancel` leaves what was granted alone.
    CancelSparesLeases,
    /// `Cancel` of what is over does not renew its memory.
    CancelRenewsNoMemory,
    /// What is over is forgotten at once.
    NoMemory,
    /// `Granted` says the term asked for, not the one granted.
    AnswersAskedTerm,
    /// `Renew` sets the end, even to an earlier instant (the original did).
    RenewShortens,
    /// An id-less `Acquire` of the exact set sets the end, even to an earlier instant.
    ReacquireShortens,
    /// A release compares the agent alone (the original did).
    ReleaseByAgent,
    /// An id-less `Acquire` extends a draining lease.
    DrainIsExtended,
    /// `ForceRelease` ends whatever is leased, not the lease of its token.
    ForceIgnoresToken,
    /// Tokens are the host's time alone.
    TokensFromClockAlone,
    /// A release hands nothing to those who wait.
    ReleaseSparesQueue,
    /// An `Acquire` looks at the first path of its set alone.
    LooksAtFirstPathOnly,
    /// A refused `Acquire` is remembered as over.
    RemembersRefusals,
    /// A renewal forgets to say that it wrote.
    RenewsSilently,
    /// A clock that is far behind is never re-anchored.
    NeverReanchors,
}

/// One event on the object with `mistake`.
pub fn handle(
    mistake: Option<Mistake>,
    object: &mut LeaseMachine,
    host: HostTime,
    event: &Event<Command>,
) -> LeaseStep {
    let Some(mistake) = mistake else { return object.handle(host, event) };
    let before = object.clone();
    match mistake {
        Mistake::LivesAtExpiry => sparing(object, host, event, |end, now| end == now),
        Mistake::ExpiresByAlarmOnly if *event == Event::Alarm => object.handle(host, event),
        Mistake::ExpiresByAlarmOnly => sparing(object, host, event, |end, now| end <= now),
        Mistake::Barges | Mistake::ReleaseSparesQueue => {
            with_queue_hidden(mistake, object, host, event)
        }
        Mistake::LooksAtFirstPathOnly => look_at_first_path(object, host, event),
        Mistake::GrantsLatestFirst => grant_latest_first(object, host, event),
        Mistake::ExtensionLosesPlace => lose_place(object, host, event),
        Mistake::NeverReanchors => {
            let floor = object.clock.floor.ms();
            let earliest = floor.saturating_sub(limits::REANCHOR_MS as u64);
            object.handle(HostTime(host.0.max(earliest)), event)
        }
        Mistake::TokensFromClockAlone => {
            object.last_token = Ordinal::ZERO;
            object.handle(host, event)
        }
        Mistake::ReleaseByAgent => object.handle(host, &released_by_agent(&before, event)),
        Mistake::ForceIgnoresToken => object.handle(host, &forced_whatever(&before, event)),
        Mistake::DrainIsExtended => extend_draining(object, host, event),
        Mistake::CancelSparesLeases => {
            if !held_by_cancelled(&before, event) {
                return object.handle(host, event);
            }
            let mut step = object.handle(host, &question());
            if let Some(reply) = &mut step.reply {
                reply.answer = Ok(Outcome::Cancelled);
            }
            step
        }
        Mistake::RemembersRefusals
        | Mistake::RenewsSilently
        | Mistake::NoTombstone
        | Mistake::CancelRenewsNoMemory
        | Mistake::NoMemory
        | Mistake::RenewShortens
        | Mistake::ReacquireShortens
        | Mistake::AnswersAskedTerm => {
            let mut step = object.handle(host, event);
            correct_afterwards(mistake, &before, object, event, &mut step);
            step
        }
    }
}

/// An event that does nothing but settle.
pub fn question() -> Event<Command> {
    Event::Command(Command::List { prefix: "\u{0}".into(), after: None, limit: 1 })
}

fn cancelled_key(event: &Event<Command>) -> Option<ClaimKey> {
    match event {
        Event::Command(Command::Cancel { holder, request }) => Some(ClaimKey::of(holder, request)),
        _ => None,
    }
}

fn held_by_cancelled(object: &LeaseMachine, event: &Event<Command>) -> bool {
    let key = cancelled_key(event);
    key.is_some_and(|key| object.leases.values().any(|lease| lease.key == key))
}

/// Mistakes that are made by taking back a part of what the event did.
fn correct_afterwards(
    mistake: Mistake,
    before: &LeaseMachine,
    object: &mut LeaseMachine,
    event: &Event<Command>,
    step: &mut LeaseStep,
) {
    match (mistake, event) {
        (Mistake::NoMemory, _) => object.remembered.clear(),
        (Mistake::NoTombstone | Mistake::CancelRenewsNoMemory, _) => {
            let Some(key) = cancelled_key(event) else { return };
            let Some(over) = object.remembered.get_mut(&key) else { return };
            if mistake == Mistake::NoTombstone && over.content.is_none() {
                object.remembered.remove(&key);
            } else if mistake == Mistake::CancelRenewsNoMemory
                && let Some(old) = before.remembered.get(&key)
                && step.reply.as_ref().is_some_and(|reply| old.memory_ends() > reply.commit.now)
            {
                over.end = old.end;
            }
        }
        (Mistake::RenewShortens, Event::Command(Command::Renew { token, ttl, .. })) => {
            let now = object.clock.floor;
            if let Some(lease) = object.leases.get_mut(token) {
                let now = step.reply.as_ref().map_or(now, |reply| reply.commit.now);
                lease.expires_at = now.plus_ms(ttl.ms());
            }
        }
        (Mistake::ReacquireShortens, Event::Command(Command::Acquire(acquire))) => {
            let Some(reply) = &step.reply else { return };
            if let (None, Ok(Outcome::Granted { token, .. })) = (acquire.request(), &reply.answer)
                && let Some(lease) = object.leases.get_mut(token)
            {
                lease.expires_at = reply.commit.now.plus_ms(acquire.ttl().ms());
            }
        }
        (Mistake::RenewsSilently, Event::Command(Command::Renew { .. })) => step.wrote = false,
        (Mistake::RemembersRefusals, Event::Command(Command::Acquire(acquire))) => {
            let Some(reply) = step.reply.as_ref().filter(|reply| reply.answer.is_err()) else {
                return;
            };
            let (content, end) = (Some(Content::of(acquire)), reply.commit.now);
            let over = Remembered { content, token: None, reason: OverReason::Cancelled, end };
            let key = acquire.request().map(|request| ClaimKey::of(acquire.holder(), request));
            object.remembered.extend(key.map(|key| (key, over)));
        }
        (Mistake::AnswersAskedTerm, _) => {
            if let Some(reply) = &mut step.reply
                && let Ok(Outcome::Granted { token, ttl, .. }) = &mut reply.answer
                && let Some(lease) = object.leases.get(token)
            {
                *ttl = lease.content.ttl;
            }
        }
        _ => {}
    }
}

/// Handles the event while the leases whose end fits are taken to live one more millisecond.
fn sparing(
    object: &mut LeaseMachine,
    host: HostTime,
    event: &Event<Command>,
    fits: fn(Timestamp, Timestamp) -> bool,
) -> LeaseStep {
    let now = object.clock.observe(host).unwrap().now;
    let mut spared = Vec::new();
    for (token, lease) in object.leases.iter_mut() {
        if fits(lease.expires_at, now) {
            spared.push((*token, lease.expires_at));
            lease.expires_at = now.plus_ms(1);
        }
    }
    let step = object.handle(host, event);
    for (token, expires_at) in spared {
        if let Some(lease) = object.leases.get_mut(&token)
            && lease.expires_at == now.plus_ms(1)
        {
            lease.expires_at = expires_at;
        }
    }
    step
}

fn with_queue_hidden(
    mistake: Mistake,
    object: &mut LeaseMachine,
    host: HostTime,
    event: &Event<Command>,
) -> LeaseStep {
    let hides = match event {
        Event::Command(Command::Acquire(acquire)) => {
            let key = acquire.request().map(|request| ClaimKey::of(acquire.holder(), request));
            mistake == Mistake::Barges
                && object.queue.values().all(|ticket| Some(ticket.key()) != key)
        }
        Event::Command(Command::Release { .. }) => mistake == Mistake::ReleaseSparesQueue,
        _ => false,
    };
    if !hides {
        return object.handle(host, event);
    }
    object.handle(host, &question());
    let waiting = std::mem::take(&mut object.queue);
    let step = object.handle(host, event);
    object.queue.extend(waiting);
    step
}

fn look_at_first_path(
    object: &mut LeaseMachine,
    host: HostTime,
    event: &Event<Command>,
) -> LeaseStep {
    let Event::Command(Command::Acquire(acquire)) = event else {
        return object.handle(host, event);
    };
    object.handle(host, &question());
    let first = &acquire.paths().as_slice()[0];
    let (seen, hidden) = std::mem::take(&mut object.leases)
        .into_iter()
        .partition(|(_, lease)| lease.content.paths.covers(first));
    object.leases = seen;
    let step = object.handle(host, event);
    object.leases.extend(hidden);
    step
}

/// Turns the queue round while the event is handled.
fn grant_latest_first(
    object: &mut LeaseMachine,
    host: HostTime,
    event: &Event<Command>,
) -> LeaseStep {
    let reversed = |queue: &std::collections::BTreeMap<u64, _>| -> Vec<u64> {
        queue.keys().copied().rev().collect()
    };
    let arrivals = reversed(&object.queue);
    let tickets = std::mem::take(&mut object.queue);
    let mut originals = Vec::new();
    for ((_, ticket), arrival) in tickets.into_iter().zip(&arrivals) {
        originals.push((ticket.key(), *arrival));
        object.queue.insert(*arrival, ticket);
    }
    let step = object.handle(host, event);
    let after = std::mem::take(&mut object.queue);
    let count = originals.len();
    for (arrival, ticket) in after {
        let key = ticket.key();
        let place = originals.iter().position(|(original, _)| *original == key);
        let arrival = place.map_or(arrival, |place| originals[count - 1 - place].1);
        object.queue.insert(arrival, ticket);
    }
    step
}

fn lose_place(object: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let step = object.handle(host, event);
    let Event::Command(Command::Acquire(acquire)) = event else { return step };
    let key = acquire.request().map(|request| ClaimKey::of(acquire.holder(), request));
    let arrival = object.queue.iter().find(|(_, ticket)| Some(ticket.key()) == key);
    if let Some(arrival) = arrival.map(|(arrival, _)| *arrival)
        && step.wrote
        && let Some(ticket) = object.queue.remove(&arrival)
    {
        object.queue.insert(object.sequence, ticket);
    }
    step
}

fn extend_draining(object: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Event::Command(Command::Acquire(acquire)) = event else {
        return object.handle(host, event);
    };
    let exact = acquire.request().is_none().then(|| {
        object.leases.iter_mut().find(|(_, lease)| {
            lease.draining
                && lease.key.holder == *acquire.holder()
                && lease.content.paths == *acquire.paths()
        })
    });
    let Some((token, lease)) = exact.flatten() else { return object.handle(host, event) };
    let token = *token;
    lease.draining = false;
    let step = object.handle(host, event);
    if let Some(lease) = object.leases.get_mut(&token) {
        lease.draining = true;
    }
    step
}

fn released_by_agent(object: &LeaseMachine, event: &Event<Command>) -> Event<Command> {
    match event {
        Event::Command(Command::Release { holder, target: ReleaseTarget::Token(_) }) => {
            let of_agent =
                object.leases.iter().find(|(_, lease)| lease.key.holder.agent == holder.agent);
            of_agent.map_or_else(
                || event.clone(),
                |(token, lease)| {
                    let holder = lease.key.holder.clone();
                    let target = ReleaseTarget::Token(*token);
                    Event::Command(Command::Release { holder, target })
                },
            )
        }
        _ => event.clone(),
    }
}

fn forced_whatever(object: &LeaseMachine, event: &Event<Command>) -> Event<Command> {
    match event {
        Event::Command(Command::ForceRelease { reason, drain, .. }) => {
            let any = object.leases.keys().next();
            any.map_or_else(
                || event.clone(),
                |token| {
                    let (token, reason, drain) = (*token, reason.clone(), *drain);
                    Event::Command(Command::ForceRelease { token, reason, drain })
                },
            )
        }
        _ => event.clone(),
    }
}
