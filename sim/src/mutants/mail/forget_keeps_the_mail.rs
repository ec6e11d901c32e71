//! Forgetting an agent deletes its row and leaves its mail, which whoever takes the name then gets.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::state::Agent;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};

use crate::invariants::no_phantom;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, handle, planted_mail, rough_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "forget_keeps_the_mail",
    source: "spec/rules/mailboxes.md#unknown-names-and-forgotten-agents",
    breaks: no_phantom::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(forget_the_row))),
    plan: rough_mail,
};

fn forget_the_row(
    state: &mut MailboxMachine,
    host: HostTime,
    event: &Event<Command>,
) -> MailboxStep {
    let Some(Ask::Forget { agent: name }) = ask_of(event) else {
        return handle(state, host, event);
    };
    let inbox = state.agents.get(name).map(|agent| agent.inbox.clone());
    let step = handle(state, host, event);
    if let Some(inbox) = inbox.filter(|inbox| !inbox.is_empty()) {
        state.agents.insert(name.clone(), Agent { inbox, ..Agent::default() });
    }
    step
}
