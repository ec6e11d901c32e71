//! The object answers questions from what it has in memory and goes to its storage for commands only:
//! replaced, it goes on telling what was true then.
//!
//! Source: DESIGN.md 5 ("every event touches storage, reads too").

use mailbus_spec::lease::{Command, LeaseMachine, LeaseStep};
use mailbus_spec::machine::Event;
use mailbus_spec::{HostTime, StateMachine};

use crate::bugs::{Bug, planted_object, rough};
use crate::invariants::ttl_honoured;
use crate::subject::Model;

pub(super) const BUG: Bug = Bug {
    name: "zombie_answers_from_memory",
    source: "DESIGN.md 5",
    breaks: ttl_honoured::NAME,
    subject: planted_object(|| Box::new(ZombieAnswersFromMemory)),
    plan: rough,
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
