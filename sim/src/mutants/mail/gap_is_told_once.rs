//! Losses are told when a session begins, and forgotten: if that frame is lost, so are they.

use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{Ask, Command, MailboxMachine, MailboxStep};

use crate::invariants::honest_gap;
use crate::mutants::Mutant;
use crate::mutants::mail::{PlantedMail, ask_of, handle, planted_mail, rough_mail};

pub(super) const MUTANT: Mutant = Mutant {
    name: "gap_is_told_once",
    source: "spec/rules/refuted.md#a-gap-told-once",
    breaks: honest_gap::NAME,
    sut: planted_mail(|| Box::new(PlantedMail(tell_once))),
    plan: rough_mail,
};

fn tell_once(state: &mut MailboxMachine, host: HostTime, event: &Event<Command>) -> MailboxStep {
    let step = handle(state, host, event);
    if let Some(Ask::Connect { agent, .. }) = ask_of(event)
        && let Some(agent) = state.agents.get_mut(agent)
        && let Some(registration) = &mut agent.registration
    {
        registration.losses.count = 0;
    }
    step
}
