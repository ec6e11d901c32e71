//! An alarm that rings before anything is due neither cleans nor sets the next one.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine, Timestamp};

use crate::invariants::bounded_leases;
use crate::mutants::rearrange::now;
use crate::mutants::{Mutant, mixed, planted_object};
use crate::sut::Model;

pub(super) const MUTANT: Mutant = Mutant {
    name: "early_alarm_is_forgotten",
    source: "spec/rules/refuted.md#an-early-alarm-that-is-forgotten",
    breaks: bounded_leases::NAME,
    sut: planted_object(|| Box::new(EarlyAlarmIsForgotten { rang_early: false })),
    plan: mixed,
};

struct EarlyAlarmIsForgotten {
    rang_early: bool,
}

impl Model for EarlyAlarmIsForgotten {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        let is_early = state.next_alarm().is_none_or(|due| now(state, host) < due);
        self.rang_early = is_early && *event == Event::Alarm;
        if self.rang_early {
            return LeaseStep { reply: None, pushes: Vec::new(), wrote: false };
        }
        state.handle(host, event)
    }

    fn next_alarm(&self, state: &LeaseMachine) -> Option<Timestamp> {
        state.next_alarm().filter(|_| !self.rang_early)
    }
}
