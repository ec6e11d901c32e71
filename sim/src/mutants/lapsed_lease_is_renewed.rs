//! A renewal that comes too late revives the lease, since nobody has taken its paths.

use mailbus_spec::lease::state::{Lease, LeaseMachine};
use mailbus_spec::lease::{Command, LeaseStep, Outcome, OverReason};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, Ordinal, StateMachine, Ttl};

use crate::invariants::no_stale_effect;
use crate::mutants::rearrange::{Planted, answering, joined, now, settle, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "lapsed_lease_is_renewed",
    source: "spec/rules/leases.md#renewing",
    breaks: no_stale_effect::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Event::Command(Command::Renew { holder, token, ttl }) = event else {
        return state.handle(host, event);
    };
    let settled = settle(state, host);
    let Some(revived) = revived(state, host, (holder, *token, *ttl)) else {
        return joined(settled, state.handle(host, event));
    };
    answering(written(state, host, settled), Ok(revived))
}

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
    Some(Outcome::Renewed { expires_at, waiting })
}
