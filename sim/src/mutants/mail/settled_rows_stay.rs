//! The alarm is set for what is to be pushed, and not for what is to be collected.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Command, MailboxMachine, MailboxStep};
use mailbus_spec::{HostTime, Timestamp};

use crate::invariants::retention;
use crate::mutants::Mutant;
use crate::mutants::mail::{calm_mail, handle, planted_mail};
use crate::sut::MailModel;

pub(super) const MUTANT: Mutant = Mutant {
    name: "settled_rows_stay",
    source: "spec/rules/mailboxes.md#retention-and-collection",
    breaks: retention::NAME,
    sut: planted_mail(|| Box::new(PushesAlone)),
    plan: calm_mail,
};

struct PushesAlone;

impl MailModel for PushesAlone {
    fn handle(
        &mut self,
        state: &mut MailboxMachine,
        host: HostTime,
        event: &Event<Command>,
    ) -> MailboxStep {
        handle(state, host, event)
    }

    fn next_alarm(&self, state: &MailboxMachine) -> Option<Timestamp> {
        let open = state.agents.values().filter(|agent| agent.live.is_some());
        let due = open.flat_map(|agent| agent.inbox.open.values()).filter_map(|open| open.due);
        due.filter(|due| *due > state.clock.floor).min()
    }
}
