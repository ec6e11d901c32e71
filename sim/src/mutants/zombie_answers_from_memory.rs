//! The object answers questions from what it has in memory and goes to its storage for commands only:
//! replaced, it goes on telling what was true then.

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::invariants::ttl_honoured;
use crate::mutants::{Mutant, planted_object};
use crate::plan::{Action, Fault, FaultKind, PATHS, Plan, Profile};
use crate::sut::Model;

pub(super) const MUTANT: Mutant = Mutant {
    name: "zombie_answers_from_memory",
    source: "spec/rules/README.md#events",
    breaks: ttl_honoured::NAME,
    sut: planted_object(|| Box::new(ZombieAnswersFromMemory)),
    plan: zombies,
};

struct ZombieAnswersFromMemory;

impl Model for ZombieAnswersFromMemory {
    fn handle(
        &mut self,
        state: &mut LeaseMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> LeaseStep {
        let Event::Command(Command::Status { .. } | Command::List { .. } | Command::Verify { .. }) =
            event
        else {
            return state.handle(host, event);
        };
        // What time has ended is only taken into account: the next command writes it down.
        let mut seen = state.clone();
        let answered = seen.handle(host, event);
        LeaseStep { pushes: Vec::new(), wrote: false, ..answered }
    }

    fn touches_storage(&self) -> bool {
        false
    }
}

/// The plan of a seed in which the object is replaced again and again, and often asked.
fn zombies(seed: u64) -> Plan {
    let mut plan = Plan::with_leases_alone(seed, Some(Profile::Calm));
    for (path, operation) in (0..PATHS).cycle().zip(plan.operations.iter_mut().step_by(3)) {
        operation.action = Action::Status { path };
    }
    let replaced = (5_000..plan.heal_at_ms - 20_000).step_by(15_000);
    plan.faults.extend(replaced.map(|at_ms| {
        let kind = FaultKind::Zombie { for_ms: 12_000 };
        Fault { at_ms, kind }
    }));
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan
}
