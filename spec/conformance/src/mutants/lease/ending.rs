//! Mutants that end a lease at another time, or for another than its holder.

use mailbus_spec::lease::state::{Lease, LeaseMachine};
use mailbus_spec::lease::{Command, Outcome, OverReason, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, Ordinal, PathSet, StateMachine, Ttl};

use super::{Mutant, answering, expire, joined, now, sparing, written};

/// The object ends leases when its alarm rings, and only then: what the alarm was late for, or lost,
/// goes on.
pub const EXPIRY_ONLY_BY_ALARM: Mutant = Mutant::rule(
    "expiry_only_by_alarm",
    "spec/rules/refuted.md#expiry-by-the-alarm-alone",
    |state, host, event| match event {
        Event::Alarm => state.handle(host, event),
        Event::Command(_) => sparing(state, host, event, |end, now| end <= now),
    },
);

/// A renewal that comes too late revives the lease, since nobody has taken its paths.
pub const LAPSED_LEASE_IS_RENEWED: Mutant = Mutant::rule(
    "lapsed_lease_is_renewed",
    "spec/rules/leases.md#renewing",
    |state, host, event| {
        let Event::Command(Command::Renew { holder, token, ttl, .. }) = event else {
            return state.handle(host, event);
        };
        let expired = expire(state, host);
        let Some(revived) = revived(state, host, (holder, *token, *ttl)) else {
            return joined(expired, state.handle(host, event));
        };
        answering(written(state, host, expired), Ok(revived))
    },
);

fn revived(
    state: &mut LeaseMachine,
    host: HostTime,
    (holder, token, ttl): (&Holder, Ordinal, Ttl),
) -> Option<Outcome> {
    let (key, over) = state.remembered.iter().find(|(key, over)| {
        key.holder == *holder && over.token == Some(token) && over.reason == OverReason::Lapsed
    })?;
    let (key, content) = (key.clone(), over.content.clone()?);
    if state.leases_on(&content.paths).next().is_some() {
        return None;
    }
    let expires_at = now(state, host).plus_ms(ttl.ms());
    let waiting = state.queue_on(&content.paths);
    state.remembered.remove(&key);
    let lease = Lease { key, content, first_term: ttl, expires_at, draining: false };
    state.leases.insert(token, lease);
    Some(Outcome::Renewed { expires_at, waiting, draining: false })
}

/// Asking for more time sets the end instead of moving it: one who asks for less than is left
/// shortens the lease under everybody who relies on it.
pub const EXTENSION_SHORTENS: Mutant = Mutant::rule(
    "extension_shortens",
    "spec/rules/refuted.md#a-renewal-that-shortens",
    |state, host, event| {
        let now = now(state, host);
        let mut step = state.handle(host, event);
        let Some(reply) = &mut step.reply else { return step };
        let extended: Option<(Ordinal, Ttl)> = match (event, &reply.answer) {
            (Event::Command(Command::Renew { token, ttl, .. }), Ok(_)) => Some((*token, *ttl)),
            (Event::Command(Command::Acquire(acquire)), Ok(Outcome::Granted { token, .. }))
                if acquire.request().is_none() =>
            {
                Some((*token, acquire.ttl()))
            }
            _ => None,
        };
        let Some((token, ttl)) = extended else { return step };
        let Some(lease) = state.leases.get_mut(&token) else { return step };
        lease.expires_at = now.plus_ms(ttl.ms());
        if let Ok(Outcome::Granted { expires_at, .. } | Outcome::Renewed { expires_at, .. }) =
            &mut reply.answer
        {
            *expires_at = lease.expires_at;
        }
        written(state, host, step)
    },
);

/// A release compares the agent alone: a process that was slow, or is gone, frees the lease that
/// another of its agent's runs holds by now.
pub const RELEASE_BY_AGENT_NAME: Mutant = Mutant::rule(
    "release_by_agent_name",
    "spec/rules/refuted.md#a-release-by-the-agents-name",
    |state, host, event| {
        let Event::Command(Command::Release { holder, target: ReleaseTarget::Token(token) }) =
            event
        else {
            return state.handle(host, event);
        };
        let expired = expire(state, host);
        let Some(found) = lease_of_agent(state, holder, *token) else {
            return joined(expired, state.handle(host, event));
        };
        let (holder, target) = (found.0, ReleaseTarget::Token(found.1));
        let release = Event::Command(Command::Release { holder, target });
        joined(expired, state.handle(host, &release))
    },
);

/// Whatever the agent holds of the paths that the token once stood for.
fn lease_of_agent(
    state: &LeaseMachine,
    holder: &Holder,
    token: Ordinal,
) -> Option<(Holder, Ordinal)> {
    let over = state.remembered.values().find(|over| over.token == Some(token));
    let paths: PathSet = over?.content.as_ref()?.paths.clone();
    let mut held = state.leases_on(&paths);
    let (token, lease) = held.find(|(_, lease)| lease.key.holder.agent == holder.agent)?;
    Some((lease.key.holder.clone(), token))
}

/// An admin's command ends whatever lease is on the path by now: repeated after a lost reply, it frees
/// the next holder.
pub const FORCE_FREES_THE_NEXT_HOLDER: Mutant = Mutant::rule(
    "force_frees_the_next_holder",
    "spec/rules/refuted.md#a-forced-release-without-a-token",
    |state, host, event| {
        let Event::Command(Command::ForceRelease { token, reason, drain }) = event else {
            return state.handle(host, event);
        };
        let expired = expire(state, host);
        let Some(token) = on_the_same_path(state, *token) else {
            return joined(expired, state.handle(host, event));
        };
        let (reason, drain) = (reason.clone(), *drain);
        let force = Event::Command(Command::ForceRelease { token, reason, drain });
        joined(expired, state.handle(host, &force))
    },
);

/// The end of a ticket looks at its arrival alone: after a restore it ends another that came to the same.
pub const TICKET_IS_FORCED_IN_ANY_GENERATION: Mutant = Mutant::rule(
    "ticket_is_forced_in_any_generation",
    "spec/rules/refuted.md#a-ticket-named-by-its-arrival-alone",
    |state, host, event| {
        let mut event = event.clone();
        if let Event::Command(Command::ForceTicket { generation, .. }) = &mut event {
            *generation = state.generation;
        }
        state.handle(host, &event)
    },
);

fn on_the_same_path(state: &LeaseMachine, token: Ordinal) -> Option<Ordinal> {
    let over = state.remembered.values().find(|over| over.token == Some(token))?;
    state.leases_on(&over.content.as_ref()?.paths).next().map(|(token, _)| token)
}

/// A drain forbids nothing: a lease that an admin lets run out is renewed, or taken again by its
/// holder, and never runs out.
pub const DRAINED_LEASE_IS_EXTENDED: Mutant = Mutant::rule(
    "drained_lease_is_extended",
    "spec/rules/refuted.md#a-drain-that-never-ends",
    |state, host, event| {
        if !matches!(event, Event::Command(Command::Renew { .. } | Command::Acquire(_))) {
            return state.handle(host, event);
        }
        let expired = expire(state, host);
        let drained = state.leases.iter_mut().filter(|(_, lease)| lease.draining);
        let drained: Vec<Ordinal> = drained
            .map(|(token, lease)| {
                lease.draining = false;
                *token
            })
            .collect();
        let step = state.handle(host, event);
        for token in drained {
            if let Some(lease) = state.leases.get_mut(&token) {
                lease.draining = true;
            }
        }
        joined(expired, step)
    },
);

/// The drain of a lease is told to every holder that renews it. One that does not know the word takes the
/// answer for more time.
pub const DRAIN_IS_TOLD_TO_ALL: Mutant = Mutant::rule(
    "drain_is_told_to_all",
    "spec/rules/refuted.md#a-drain-that-is-told-to-all",
    |state, host, event| state.handle(host, &renewing(event, true)),
);

/// The drain of a lease is told as its loss, though nobody takes it before its end.
pub const DRAIN_IS_TOLD_AS_LOST: Mutant = Mutant::rule(
    "drain_is_told_as_lost",
    "spec/rules/refuted.md#a-drain-that-says-lost",
    |state, host, event| state.handle(host, &renewing(event, false)),
);

/// The event, with another knowledge of drains in a renewal.
fn renewing(event: &Event<Command>, knows: bool) -> Event<Command> {
    let mut event = event.clone();
    if let Event::Command(Command::Renew { drain, .. }) = &mut event {
        *drain = knows;
    }
    event
}

/// A lease lives through the instant of its expiry: `>` stands where `>=` belongs.
pub const LIVES_AT_ITS_EXPIRY: Mutant =
    Mutant::rule("lives_at_its_expiry", "spec/rules/leases.md#settling", |state, host, event| {
        sparing(state, host, event, |end, now| end == now)
    });

/// A renewal does not say that it wrote, so nothing of it is stored.
pub const RENEWAL_DOES_NOT_SAY_THAT_IT_WROTE: Mutant = Mutant::rule(
    "renewal_does_not_say_that_it_wrote",
    "spec/rules/README.md#events",
    |state, host, event| {
        let mut step = state.handle(host, event);
        step.wrote &= !matches!(event, Event::Command(Command::Renew { .. }));
        step
    },
);
