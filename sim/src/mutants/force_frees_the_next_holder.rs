//! An admin's command ends whatever lease is on the path by now: repeated after a lost reply, it frees
//! the next holder.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine};

use crate::invariants::no_stale_effect;
use crate::mutants::rearrange::{Planted, joined, settle};
use crate::mutants::{Mutant, answers_lost, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "force_frees_the_next_holder",
    source: "spec/rules/refuted.md#a-forced-release-without-a-token",
    breaks: no_stale_effect::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: answers_lost,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Event::Command(Command::ForceRelease { token, reason, drain }) = event else {
        return state.handle(host, event);
    };
    let settled = settle(state, host);
    let Some(token) = on_the_same_path(state, *token) else {
        return joined(settled, state.handle(host, event));
    };
    let (reason, drain) = (reason.clone(), *drain);
    let force = Event::Command(Command::ForceRelease { token, reason, drain });
    joined(settled, state.handle(host, &force))
}

fn on_the_same_path(state: &LeaseMachine, token: Ordinal) -> Option<Ordinal> {
    let over = state.remembered.values().find(|over| over.token == Some(token))?;
    state.leases_on(&over.content.as_ref()?.paths).next().map(|(token, _)| token)
}
