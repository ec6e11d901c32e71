//! A `Cancel` of a request that is not known does nothing: an acquisition that arrives after it is
//! granted, and nobody listens.

use mailbus_spec::lease::state::ClaimKey;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::idempotent;
use crate::mutants::rearrange::Planted;
use crate::mutants::{Mutant, hostile, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "cancel_leaves_no_tombstone",
    source: "spec/rules/refuted.md#a-cancel-that-leaves-an-orphan",
    breaks: idempotent::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: hostile,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let step = state.handle(host, event);
    if let Event::Command(Command::Cancel { holder, request }) = event {
        let key = ClaimKey::of(holder, request);
        if state.remembered.get(&key).is_some_and(|over| over.content.is_none()) {
            state.remembered.remove(&key);
        }
    }
    step
}
