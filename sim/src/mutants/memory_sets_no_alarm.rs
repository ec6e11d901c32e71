//! The alarm is set for leases and tickets alone: what is remembered after the last of them stays for
//! ever.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine, Timestamp};

use crate::invariants::bounded_leases;
use crate::mutants::{Mutant, mixed, planted_object};
use crate::sut::Model;

pub(super) const MUTANT: Mutant = Mutant {
    name: "memory_sets_no_alarm",
    source: "spec/rules/refuted.md#a-memory-without-an-alarm",
    breaks: bounded_leases::NAME,
    sut: planted_object(|| Box::new(MemorySetsNoAlarm)),
    plan: mixed,
};

struct MemorySetsNoAlarm;

impl Model for MemorySetsNoAlarm {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        state.handle(host, event)
    }

    fn next_alarm(&self, state: &LeaseMachine) -> Option<Timestamp> {
        let expiries = state.leases.values().map(|lease| lease.expires_at);
        expiries.chain(state.queue.values().map(|ticket| ticket.deadline)).min()
    }
}
