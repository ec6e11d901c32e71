//! What is over is forgotten after ten seconds, "since nobody retries for longer": a copy that was
//! under way for half a minute is granted once more.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::idempotent;
use crate::mutants::rearrange::{Planted, joined, now, settle};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "short_memory",
    source: "spec/rules/refuted.md#a-memory-that-is-too-short",
    breaks: idempotent::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

const MEMORY_MS: u64 = 10_000;

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let settled = settle(state, host);
    let now = now(state, host);
    state.remembered.retain(|_, over| now < over.end.plus_ms(MEMORY_MS));
    joined(settled, state.handle(host, event))
}
