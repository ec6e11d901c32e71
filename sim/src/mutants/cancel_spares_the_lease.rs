//! A `Cancel` takes a ticket out of the queue, but what was granted meanwhile it leaves alone: a lease
//! that nobody knows he holds.

use mailbus_spec::lease::state::ClaimKey;
use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep, Outcome};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::no_stale_effect;
use crate::mutants::rearrange::{Planted, answering, joined, settle};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "cancel_spares_the_lease",
    source: "spec/rules/refuted.md#a-cancel-that-spares-the-lease",
    breaks: no_stale_effect::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    let Event::Command(Command::Cancel { holder, request }) = event else {
        return state.handle(host, event);
    };
    let settled = settle(state, host);
    let key = ClaimKey::of(holder, request);
    if state.leases.values().any(|lease| lease.key == key) {
        return answering(settled, Ok(Outcome::Cancelled));
    }
    joined(settled, state.handle(host, event))
}
