//! When a message that was given back comes again is kept in memory: an object that wakes sends all of
//! it at once.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep};

use crate::invariants::order;
use crate::mutants::Mutant;
use crate::mutants::mail::{handle, planted_mail, rough_mail};
use crate::sut::MailModel;

pub(super) const MUTANT: Mutant = Mutant {
    name: "due_times_are_memory_alone",
    source: "spec/rules/refuted.md#delays-without-a-bound",
    breaks: order::NAME,
    sut: planted_mail(|| Box::new(Impatient)),
    plan: rough_mail,
};

struct Impatient;

impl MailModel for Impatient {
    fn handle(
        &mut self,
        state: &mut MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> MailboxStep {
        handle(state, host, event)
    }

    fn woken(&mut self, state: &mut MailboxMachine) {
        let floor = state.clock.floor;
        for agent in state.agents.values_mut() {
            for open in agent.inbox.open.values_mut() {
                open.due = open.due.map(|due| due.min(floor));
            }
        }
    }
}
