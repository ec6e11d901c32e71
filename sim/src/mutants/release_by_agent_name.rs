//! A release compares the agent alone: a process that was slow, or is gone, frees the lease that
//! another of its agent's runs holds by now.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep, ReleaseTarget};
use mailbus_spec::machine::Event;
use mailbus_spec::{Holder, HostTime, Ordinal, PathSet, StateMachine};

use crate::invariants::no_stale_effect;
use crate::mutants::rearrange::{Planted, joined, settle};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "release_by_agent_name",
    source: "spec/rules/refuted.md#a-release-by-the-agents-name",
    breaks: no_stale_effect::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Event::Command(Command::Release { holder, target: ReleaseTarget::Token(token) }) = event
    else {
        return state.handle(host, event);
    };
    let settled = settle(state, host);
    let Some(found) = lease_of_agent(state, holder, *token) else {
        return joined(settled, state.handle(host, event));
    };
    let (holder, target) = (found.0, ReleaseTarget::Token(found.1));
    let release = Event::Command(Command::Release { holder, target });
    joined(settled, state.handle(host, &release))
}

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
