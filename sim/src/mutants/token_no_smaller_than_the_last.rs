//! A token is never smaller than the one before: `>=` stands where `>` belongs, and two grants of one
//! millisecond, or all of those on a host that is behind, share a token.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, Ordinal, StateMachine};

use crate::invariants::fencing;
use crate::mutants::rearrange::Planted;
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "token_no_smaller_than_the_last",
    source: "spec/rules/refuted.md#ordinals-from-the-clock-alone",
    breaks: fencing::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let last = state.last_token;
    let before = Ordinal::new(last.get().saturating_sub(1)).unwrap_or(last);
    state.last_token = before;
    let step = state.handle(host, event);
    state.last_token = state.last_token.max(last);
    step
}
