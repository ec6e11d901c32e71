//! The object ends leases when its alarm rings, and only then: what the alarm was late for, or lost,
//! goes on.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::no_stale_effect;
use crate::mutants::rearrange::{Planted, sparing};
use crate::mutants::{Mutant, mixed, planted_object};

pub(super) const MUTANT: Mutant = Mutant {
    name: "expiry_only_by_alarm",
    source: "spec/rules/refuted.md#expiry-by-the-alarm-alone",
    breaks: no_stale_effect::NAME,
    sut: planted_object(|| Box::new(Planted(handle))),
    plan: mixed,
};

fn handle(state: &mut LeaseMachine, host: HostTime, event: &Event<Command>) -> LeaseStep {
    match event {
        Event::Alarm => state.handle(host, event),
        Event::Command(_) => sparing(state, host, event, |end, now| end <= now),
    }
}
