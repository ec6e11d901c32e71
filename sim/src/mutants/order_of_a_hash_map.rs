//! The object sends its pushes in the order of a hash map, which differs from process to process.
//!
//! It breaks no invariant of leases. It is the canary of the check that a plan, run twice, gives one
//! event log.

use std::hash::{BuildHasher, RandomState};

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::conforms;
use crate::mutants::{Mutant, mixed, planted_object};
use crate::sut::Model;

pub(super) const MUTANT: Mutant = Mutant {
    name: "order_of_a_hash_map",
    source: "spec/rules/README.md#nevers",
    breaks: conforms::NAME,
    sut: planted_object(|| Box::new(OrderOfAHashMap(RandomState::new()))),
    plan: mixed,
};

struct OrderOfAHashMap(RandomState);

impl Model for OrderOfAHashMap {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        let mut step = state.handle(host, event);
        step.pushes.sort_by_key(|push| self.0.hash_one(format!("{push:?}")));
        step
    }
}
