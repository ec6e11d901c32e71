//! Asking for more time sets the end instead of moving it: one who asks for less than is left
//! shortens the lease under everybody who relies on it.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine, Ttl};

use crate::invariants::ttl_honoured;
use crate::mutants::rearrange::{Planted, now, written};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "extension_shortens",
    source: "spec/rules/refuted.md#a-renewal-that-shortens",
    breaks: ttl_honoured::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
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
}
