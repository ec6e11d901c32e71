//! A second process of an agent is given the lease of the first: the object knows agents, not
//! sessions.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::belief_within_grant;
use crate::mutants::rearrange::{Planted, acquire_of, answering, joined, now, settle, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "session_is_ignored",
    source: "spec/rules/refuted.md#two-processes-with-one-lease",
    breaks: belief_within_grant::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Some(acquire) = acquire_of(event) else { return state.handle(host, event) };
    let settled = settle(state, host);
    let until = now(state, host).plus_ms(acquire.ttl().ms());
    let shared = state.leases.iter_mut().find(|(_, lease)| {
        let holder = &lease.key.holder;
        holder.agent == acquire.holder().agent
            && holder.session != acquire.holder().session
            && lease.content.paths == *acquire.paths()
    });
    let Some((token, lease)) = shared else {
        return joined(settled, state.handle(host, event));
    };
    lease.expires_at = lease.expires_at.max(until);
    let (token, expires_at, ttl) = (*token, lease.expires_at, acquire.ttl());
    answering(written(state, host, settled), Ok(Outcome::Granted { token, expires_at, ttl }))
}
